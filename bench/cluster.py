"""Measure `batch --cluster`: one worker against two, and what the driver costs by itself.

The workers are Ray nodes of this machine, each bound to a core of its own.
"""

import argparse
import csv
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import batch, child
from bench.markdown import table as markdown
from bench.nodes import cluster
from bench.worker import Row
from jaxstyle import __version__

HELP = "batch on a Ray cluster: two workers against one, and the overhead of the driver."

Show = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("--size", type=int, default=128, help="size of the pictures (default: 128)")
    add("--count", type=int, default=24, help="number of pictures (default: 24)")
    add("--rounds", type=int, default=3, help="measurements of each number of workers (default: 3)")
    add("--batches", type=int, default=10_000, help="batches of no work (default: 10000)")
    add("--rows", type=int, default=100_000, help="rows of the manifest (default: 100000)")
    add("--settings", default="", help="flags added to every command, as one quoted string")


def measure(arguments: argparse.Namespace, show: Show) -> list[Row]:
    """Measure pictures per hour, batches of no work, and a long manifest; return a row for each."""
    if arguments.quick:
        arguments.size, arguments.count, arguments.rounds = 32, 4, 1
        arguments.batches, arguments.rows = 100, 200
    flags = ["--weights", os.path.abspath(arguments.weights)] if arguments.weights else []
    flags += arguments.settings.split() + (["--steps", "2"] if arguments.quick else [])
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        batch.pictures(here, arguments.size, arguments.count)
        rows = speed_rows(here, arguments, flags, show)
        show(f"{arguments.batches} batches of no work")
        rows.append(overhead_row(arguments.batches))
        show(f"a manifest of {arguments.rows} rows")
        rows.append(child.call("bench.cluster:manifest_row", count=arguments.rows, folder=folder))
    return rows


def speed_rows(
    here: Path, arguments: argparse.Namespace, flags: list[str], show: Show
) -> list[Row]:
    """Return rows of one and two workers: pictures per hour, and the ratio."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for index in range(-1, arguments.rounds):  # the first fills the compilation cache
        for count, each in seconds.items():
            show(f"{count} workers, round {index + 1} of {arguments.rounds}")
            with workers(count) as address:
                told = run(here, address, arguments.size, flags)
            if index >= 0:
                each.append(told["seconds"])
    per_hour = {n: 3600 * arguments.count / median(each) for n, each in seconds.items()}
    return [
        {
            "what": f"batch --cluster, workers: {n}",
            "size": arguments.size,
            "count": arguments.count,
            "seconds": median(each),
            "low": min(each),
            "high": max(each),
            "per_hour": per_hour[n],
            "ratio": per_hour[n] / per_hour[1],
        }
        for n, each in seconds.items()
    ]


@contextmanager
def workers(count: int) -> Iterator[str]:
    """Start a cluster with a worker on each of the first cores; yield its address."""
    with cluster(child.inherited(), head_works=False) as nodes:
        for core in sorted(os.sched_getaffinity(0))[:count]:
            nodes.add(core)
        yield nodes.address


def run(here: Path, address: str, size: int, flags: list[str]) -> dict[str, Any]:
    """Run a batch of the pictures on a cluster; return its summary."""
    given = f"batch --contents contents --styles style.png -o out --force --json --size {size}"
    words = [*given.split(), "--cluster", address, *flags]
    programs = {child.USERS_CACHE: str(here / "programs")}
    return json.loads(batch.output_of(here, words, **programs))


# --- the driver by itself -------------------------------------------------------------------------


@dataclass
class Idler:
    """A worker that does nothing."""

    def devices(self) -> str:
        """Return its devices in words."""
        return "nothing"

    def batch_size(self, job: Any, sides: Any, count: int) -> int:
        """Return the size of batches."""
        del job, sides, count
        return 8

    def free_memory(self) -> int:
        """Return the bytes of memory for pictures."""
        return 10**9

    def prepare(self, payload: Any) -> Any:
        """Return the payload."""
        return payload

    def compute(self, ready: Any, report: Callable[[Any], None]) -> Any:
        """Return what was prepared."""
        del report
        return ready

    def finish(self, ready: Any, computed: Any) -> Any:
        """Return what was computed."""
        del ready
        return computed


def idler(notes: list[str], check: Callable[[], None], cores: int | None) -> Idler:
    """Set up a worker that does nothing."""
    del notes, check, cores
    return Idler()


def overhead_row(count: int) -> Row:
    """Return a row of batches of no work by two workers, in a process of its own."""
    with workers(2) as address:
        return child.call("bench.cluster:empty_batches", count=count, address=address)


def empty_batches(count: int, address: str) -> Row:
    """Have so many batches of no work done; return seconds for all and the driver's memory."""
    from jaxstyle.execution.workers.cluster import connected, hired
    from jaxstyle.execution.workers.tasks import Done, Task

    done: list[Done] = []
    given = {
        "version": __version__,
        "problem": str,
        "set_up": idler,
        "resources": {},
        "retries": 3,
        "wait": 0.0,
        "most": 2,
        "tell": lambda line: None,
        "check": lambda: None,
    }
    with connected(address), hired(**given) as pool:
        tasks = [Task(f"{index}", index % 6, "x" * 4000) for index in range(count)]
        start = time.perf_counter()
        pool.run_jobs(tasks, done.append)
        seconds = time.perf_counter() - start
    assert len(done) == count
    return {"what": "batches of no work", "count": count, "seconds": seconds, "mb": _peak_mb()}


def manifest_row(count: int, folder: str) -> Row:
    """Return a row of a manifest that is read, settled into batches and looked up in the ledger."""
    from jaxstyle.batch import jobs
    from jaxstyle.batch.folder import group_jobs, missing_outputs
    from jaxstyle.batch.ledger import Ledger
    from jaxstyle.batch.storage import Folder
    from jaxstyle.batch.worker import undescribed
    from jaxstyle.execution.workers.local import Local

    here = Path(folder)
    photo = next((here / "contents").glob("*.png")).read_bytes()
    (here / "many").mkdir()
    with open(here / "rows.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["content", "style", "style_weight"])
        for index in range(count):
            (here / "many" / f"{index}.png").write_bytes(photo)
            rows.writerow([f"many/{index}.png", "style.png", 1 + index % 7])
    start = time.perf_counter()
    todo = jobs.from_manifest(str(here / "rows.csv"), {}, (), ())
    found, _ = group_jobs(todo, Local(Idler()))
    out = Folder(str(here / "settled"))
    with Ledger.open(out, {}) as ledger:
        missing = missing_outputs(todo, out, ledger, undescribed)
    seconds = time.perf_counter() - start
    assert len(missing) == count and sum(len(each.jobs) for each in found) == count
    return {
        "what": "rows of a manifest settled",
        "count": count,
        "seconds": seconds,
        "mb": _peak_mb(),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


COLUMNS = {
    "what": "what",
    "size": "size",
    "count": "count",
    "seconds": "seconds",
    "low": "low",
    "high": "high",
    "per_hour": "pictures per hour",
    "ratio": "speedup",
    "mb": "MB",
}


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    return markdown(rows, COLUMNS)
