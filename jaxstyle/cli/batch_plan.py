"""``batch --plan``: prints the groups of a batch, and their time and memory."""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table

from jaxstyle.batch.buckets import Batch
from jaxstyle.batch.folder import group_jobs
from jaxstyle.batch.hosts import Host
from jaxstyle.batch.jobs import Job
from jaxstyle.cli.common import Tell, count_of
from jaxstyle.cli.failures import interruptible
from jaxstyle.cli.memory import in_bytes
from jaxstyle.cli.plan import WIDTH, about
from jaxstyle.errors import printable
from jaxstyle.execution import memory
from jaxstyle.execution.arithmetic import step_flops
from jaxstyle.execution.estimate import estimate
from jaxstyle.network.weights import Loaded

ALONE = Host(0, 1, ("this one",))


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
    with interruptible(tell) as check:
        found, refused = group_jobs(jobs, loaded, arguments.batch_size, ALONE, check)
        groups = list(groups_of(found, loaded))
        if found:
            first = found[0].jobs[0]
            sides = [found[0].sides[0]] * len(first.styles)
            one = estimate(loaded, found[0].sides[0], sides, first.settings, check)
            if one.seconds is not None:
                pace = (one.seconds - one.compile_seconds) / one.to_dict()["flops"]
                seconds = pace * sum(group.flops for group in groups)
    if arguments.json:
        failing = [{"output": each.job.output, "reason": each.reason} for each in refused]
        told = {"groups": [asdict(group) for group in groups], "cannot_be_made": failing}
        print(json.dumps(told | {"seconds": seconds}))
        return
    Console(highlight=False, markup=False, soft_wrap=True, width=WIDTH).print(table(groups))
    compilations = sum(group.compilations for group in groups)
    pictures = sum(group.pictures for group in groups)
    counted = f"{count_of(pictures, 'picture')}, {count_of(compilations, 'compilation')}"
    print(f"{counted}, {about(seconds)} on this host alone")
    available = memory.total_bytes()
    if groups and available:
        most = max(group.peak_bytes for group in groups)
        print(f"needs about {in_bytes(most)} of memory of {in_bytes(available)}")
    if refused:
        first = refused[0]
        why = printable(f"{first.job.output}: {first.reason}")
        print(f"{len(refused)} cannot be made; the first: {why}")


def groups_of(found: Sequence[Batch], loaded: Loaded) -> Iterator[Group]:
    """Yield a group for each series of batches with the same scales and number of slots.

    Args:
      found: the batches, in order.
      loaded: weights of the network.
    """

    def alike(batch: Batch) -> tuple:
        return batch.shape, batch.slots

    for (scales, slots), group in groupby(found, alike):
        batches, (height, width, _) = list(group), scales[-1]
        settings = batches[0].jobs[0].settings
        before = memory.bytes_before_network(loaded.weights, settings)
        one = sum(steps * step_flops(h, w, settings) for h, w, steps in scales)
        yield Group(
            height,
            width,
            sum(len(batch.jobs) for batch in batches),
            len(batches),
            slots,
            len(scales),
            one * slots * len(batches),
            before + slots * memory.rough_bytes(height, width, settings),
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
