"""``batch --plan``: prints the groups of a batch, and their time and memory."""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jaxstyle.batch.buckets import Batch
from jaxstyle.batch.checkpoints import Keeper
from jaxstyle.batch.folder import group_jobs
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.storage import Folder, is_url
from jaxstyle.batch.worker import Options
from jaxstyle.cli.batch_cluster import workers
from jaxstyle.cli.cluster import cluster_of
from jaxstyle.cli.common import Tell
from jaxstyle.cli.failures import interruptible
from jaxstyle.cli.interrupt import deferred_interrupt
from jaxstyle.cli.notes import tell_notes
from jaxstyle.cli.plan import WIDTH
from jaxstyle.errors import printable
from jaxstyle.execution.arithmetic import step_flops
from jaxstyle.execution.workers.cluster import Pool
from jaxstyle.execution.workers.local import Local
from jaxstyle.machine.words import about, count_of, in_bytes
from jaxstyle.network.weights import Loaded


@dataclass(frozen=True)
class Group:
    """Consecutive batches that share their compiled programs, one per scale.

    Attributes:
      height: height of the results in pixels.
      width: width of the results in pixels.
      pictures: number of pictures in all batches.
      batches: number of batches.
      slots: pictures that a batch optimizes at once.
      compilations: number of programs.
      flops: arithmetic of all steps.
      peak_bytes: rough memory of all devices together.
    """

    height: int
    width: int
    pictures: int
    batches: int
    slots: int
    compilations: int
    flops: float
    peak_bytes: int


def show_batch_plan(
    arguments: argparse.Namespace, jobs: Sequence[Job], loaded: Loaded, tell: Tell
) -> None:
    """Print the plan of a batch on standard output, as JSON with ``--json``."""
    tell("reading the sizes of the pictures and timing a few steps of the first")
    seconds = None
    # The workers of a cluster have to be ended in order.
    with (deferred_interrupt if arguments.cluster else interruptible)(tell) as check:
        note = partial(tell_notes, tell=tell, told=set())
        options = Options(arguments.batch_size, keeper=Keeper(check=check), note=note)
        with (
            cluster_of(arguments, tell),
            _folder(arguments),
            workers(arguments, jobs, loaded, None, options, check) as on,
        ):
            found, refused = group_jobs(jobs, on, check)
            groups, room = list(groups_of(found, on)), workers_of(on)
            pace = on.ask("pace", found[0].jobs[0], found[0].sides[0]) if found else None
            available = on.ask("total_bytes")
    parallel = min(sum(room.values()) or 1, len(found) or 1)
    if pace is not None:
        seconds = pace * sum(group.flops for group in groups) / parallel
    if arguments.json:
        failing = [{"output": each.job.output, "reason": each.reason} for each in refused]
        told = {"groups": [asdict(group) for group in groups], "cannot_be_made": failing}
        print(json.dumps(told | {"seconds": seconds, "workers": room}))
        return
    Console(highlight=False, markup=False, soft_wrap=True, width=WIDTH).print(table(groups))
    compilations = sum(group.compilations for group in groups)
    pictures = sum(group.pictures for group in groups)
    counted = f"{count_of(pictures, 'picture')}, {count_of(compilations, 'compilation')}"
    where = f"on {count_of(parallel, 'worker')}" if room else "on this host alone"
    print(f"{counted}, {about(seconds)} {where}")
    for node, count in room.items():
        share = math.ceil(pictures * count / sum(room.values()))
        print(f"{node}: {count_of(count, 'worker')}, about {count_of(share, 'picture')}")
    if groups and available:
        most = max(group.peak_bytes for group in groups)
        print(f"needs about {in_bytes(most)} of memory of {in_bytes(available)}")
    if refused:
        first = refused[0]
        why = printable(f"{first.job.output}: {first.reason}")
        print(f"{len(refused)} cannot be made; the first: {why}")


@contextmanager
def _folder(arguments: argparse.Namespace) -> Iterator[None]:
    """Have an output folder in the block: every node of a cluster checks that it sees it."""
    if not arguments.cluster:
        yield
        return
    path = Path(arguments.output)
    new = [] if is_url(arguments.output) else [p for p in (path, *path.parents) if not p.exists()]
    Folder(arguments.output).create()
    try:
        yield
    finally:
        with suppress(OSError):  # somebody uses it
            for each in new:
                each.rmdir()


def workers_of(on: Local | Pool) -> dict[str, int]:
    """Return for how many workers each node of a cluster has room, by its description."""
    return on.room() if isinstance(on, Pool) else {}


def groups_of(found: Sequence[Batch], on: Local | Pool) -> Iterator[Group]:
    """Yield a group for each series of batches with the same scales and number of slots.

    Args:
      found: the batches, in order.
      on: the workers.
    """

    def alike(batch: Batch) -> tuple:
        return batch.shape, batch.slots

    for (scales, slots), group in groupby(found, alike):
        batches, (height, width, _) = list(group), scales[-1]
        settings = batches[0].jobs[0].settings
        one = sum(steps * step_flops(h, w, settings) for h, w, steps in scales)
        yield Group(
            height,
            width,
            sum(len(batch.jobs) for batch in batches),
            len(batches),
            slots,
            len(scales),
            one * slots * len(batches),
            on.ask("peak_bytes", batches[0]),
        )


def table(groups: Sequence[Group]) -> Table:
    """Return a table with a row for each group."""
    rows = Table(box=None, pad_edge=False, header_style="")
    for name in ("size", "pictures", "batches", "at once", "compilations", "TFLOP", "memory"):
        rows.add_column(name, justify="right", no_wrap=True)
    for group in groups:
        rows.add_row(
            f"{group.width}x{group.height}",
            f"{group.pictures}",
            f"{group.batches}",
            f"{group.slots}",
            f"{group.compilations}",
            f"{group.flops / 1e12:.2f}",
            in_bytes(group.peak_bytes),
        )
    return rows
