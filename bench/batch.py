"""Many pictures by one command, against as many runs of one picture each: seconds a picture.

Every command is a process of its own, as users start them, and finds its programs compiled already
in JAX's persistent cache: what is compared is the best of both.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from bench import work
from bench.child import ROOT, USERS_CACHE
from bench.markdown import table as markdown
from bench.worker import Row
from jaxstyle import images
from jaxstyle.images import Picture

HELP = "Seconds a picture: batch and sweep against as many single runs."

Show = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes beside what all do."""
    add = parser.add_argument
    add("--size", type=int, default=128, help="default: 128")
    add("--count", type=int, default=16, help="pictures (default: 16)")
    add("--rounds", type=int, default=2, help="times that each is measured (default: 2)")
    add("--batch-sizes", type=int, nargs="+", default=[1, 4, 16], help="default: 1 4 16")
    add("--settings", default="", help="more flags of both, as one text")


def measure(arguments: argparse.Namespace, show: Show) -> list[Row]:
    """A row for each way to make the same pictures."""
    quick = arguments.quick
    size, count, rounds = (
        (32, 2, 1) if quick else (arguments.size, arguments.count, arguments.rounds)
    )
    batch_sizes = [2] if quick else arguments.batch_sizes
    flags = ["--size", f"{size}", "--quiet", *arguments.settings.split()]
    flags += ["--weights", arguments.weights] if arguments.weights else []
    flags += ["--steps", "2"] if quick else []
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        pictures(here, size, count)
        weights = [str(10 ** (2 * i / max(1, count - 1))) for i in range(count)]
        ways = {
            "run, one after another": lambda: single_runs(here, flags, weights),
            **{
                f"batch, {n} at once": lambda n=n: one_command(
                    here,
                    f"batch --contents contents --styles style.png -o out --force --batch-size {n}",
                    flags,
                )
                for n in batch_sizes
            },
            "sweep": lambda: one_command(
                here,
                "sweep contents/0.png style.png -o grid.png --rows none --style-weight "
                + ",".join(weights),
                flags,
            ),
        }
        for name, way in ways.items():  # fills the cache
            show(f"{name}, to begin with")
            way()
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for index in range(rounds):
            for name, way in ways.items():
                show(f"{name}, {index + 1} of {rounds}")
                seconds[name].append(way() / count)
    return rows_of(seconds, size, count)


def rows_of(seconds: dict[str, list[float]], size: int, count: int) -> list[Row]:
    """Medians a picture, and how many times quicker than single runs."""
    first = median(next(iter(seconds.values())))
    return [
        {
            "way": name,
            "size": size,
            "pictures": count,
            "seconds": median(times),
            "low": min(times),
            "high": max(times),
            "ratio": first / median(times),
            "rounds": len(times),
        }
        for name, times in seconds.items()
    ]


def pictures(folder: Path, size: int, count: int) -> None:
    """Contents 0.png ... and style.png, drawn from a seed."""
    (folder / "contents").mkdir()
    for index in range(count):
        images.write(folder / "contents" / f"{index}.png", Picture(work.picture(index, size, size)))
    images.write(folder / "style.png", Picture(work.picture(count, size, size)))


def single_runs(folder: Path, flags: Sequence[str], weights: Sequence[str]) -> float:
    """Seconds of one run for each content picture."""
    commands = [f"run contents/{index}.png style.png -o out.png" for index in range(len(weights))]
    return sum(one_command(folder, command, flags) for command in commands)


def one_command(folder: Path, command: str, flags: Sequence[str]) -> float:
    """Seconds of a command, from its start to its end.

    Raises:
      RuntimeError: it failed; the last line it said.
    """
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ours = {name: value for name, value in os.environ.items() if name != USERS_CACHE}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "jaxstyle", *command.split(), *flags],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**ours, "PYTHONPATH": path},
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return seconds


COLUMNS = {
    "way": "way",
    "size": "size",
    "pictures": "pictures",
    "seconds": "seconds a picture",
    "low": "low",
    "high": "high",
    "ratio": "times as fast",
}


def table(rows: Sequence[Row]) -> str:
    """Markdown of the rows."""
    return markdown(rows, COLUMNS)
