"""Measure how a process grows that makes pictures of many sizes, as a notebook or a batch does."""

import argparse
from collections.abc import Callable
from typing import Any

from bench import work
from bench.child import call
from bench.markdown import table as markdown
from jaxstyle.machine import resources
from jaxstyle.runs.stylize import stylize

HELP = "Memory and memory maps of a process that makes pictures of many sizes."

MOST_BYTES = 1_500_000_000
"""Resident memory that a process should hold at most after its runs."""

MOST_MAPS = 20_000
"""Memory maps that a process should have at most; Linux allows 65,530."""

ROWS = 10
"""Number of times that the process is measured."""

Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("--runs", type=int, default=300, help="runs in all (default: 300)")
    add("--sizes", type=int, default=100, help="sizes, one after the other (default: 100)")
    add("--smallest", type=int, default=64, help="the smallest size in pixels (default: 64)")
    add("--steps", type=int, default=2, help="steps of each scale (default: 2)")


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """Make the pictures in a new process; return a row for each tenth of the runs."""
    if not arguments.quick:
        work.weights_of(arguments, show)  # fetched here, where the user sees it
    given = {"quick": arguments.quick, "weights": arguments.weights}
    names = ("runs", "sizes", "smallest", "steps")
    return call("bench.lives:live", **given, **{name: getattr(arguments, name) for name in names})


def live(*, runs: int, sizes: int, smallest: int, steps: int, **options: Any) -> list[Row]:
    """Make pictures of changing sizes, with the default settings.

    Args:
      runs: number of runs.
      sizes: number of sizes; sides grow by two pixels.
      smallest: the smallest size in pixels.
      steps: steps of each scale.
      **options: "quick" and "weights".

    Returns:
      Rows with the number of runs so far, resident bytes, memory maps, and whether both are as few
      as they should be.
    """
    from jaxstyle.execution.compilation import persist

    persist()
    loaded = work.weights_of(argparse.Namespace(**options), lambda line: None)
    rows = []
    for index in range(runs):
        size = smallest + 2 * (index % sizes)
        # As tall as wide, and narrower ones: other sides for the same size.
        content = work.picture(index, size, size - size // 4 * (index % 2))
        style = work.picture(index + 1, size, size)
        stylize(content, style, weights_file=loaded, size=size, steps=steps)
        if (index + 1) % max(1, runs // ROWS) == 0 or index + 1 == runs:
            held, maps = resources.resident_memory(), resources.memory_maps()
            enough = held <= MOST_BYTES and maps <= MOST_MAPS
            rows.append({"runs": index + 1, "resident": held, "maps": maps, "bounded": enough})
    return rows


COLUMNS = {"runs": "runs", "resident": "resident MB", "maps": "memory maps", "bounded": "bounded"}


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    return markdown([row | {"resident": row["resident"] / 1e6} for row in rows], COLUMNS)
