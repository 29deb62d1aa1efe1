"""Compare steps in tiles with steps on the whole picture: memory, time, and time per megapixel.

Memory is measured in a new process for every case. Times are measured in one process: a step of a
large picture alternates with a step of one megapixel, so that both run under the same load. Both
wall time and processor time are reported; the latter depends less on other processes.
"""

import argparse
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from bench import memory, work
from bench.child import call
from bench.markdown import table as markdown
from jaxstyle.execution.factories import tuned_network
from jaxstyle.execution.memory import nbytes, run_peaks
from jaxstyle.execution.plan import Scale, blank
from jaxstyle.execution.strategy import WHOLE, Checkpointed, Strategy
from jaxstyle.execution.tiles.tiled import Tiled
from jaxstyle.network.weights import Loaded
from jaxstyle.settings import resolve

HELP = "Steps in tiles against steps on the whole picture: memory and time."

Row = dict[str, Any]

UNIT = 1024, 1024
TIMED = ((1024, 1024), (2048, 2048), (3000, 4000), (6000, 6000))
MEASURED = ((2048, 2048), (4096, 4096), (8192, 8192))
"""Height and width: of the megapixel, of the pictures that are timed, and of those whose memory is
measured."""

WHOLE_UNTIL = 2048
"""Longest side up to which the other ways than tiles are measured too."""

STYLE = 512
"""Size of the style picture, which is kept small: its targets are not part of a step."""

TILE = 512

WAYS = ("whole", "checkpointed", "tiles")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("--tile", type=int, default=TILE, help=f"side of the tiles in pixels (default: {TILE})")
    add(
        "--way",
        action="append",
        choices=WAYS,
        help="way whose memory is measured, may be repeated (default: all)",
    )
    add(
        "--memory-until",
        type=int,
        metavar="N",
        help="measure memory only of pictures whose longest side is at most N pixels",
    )
    add(
        "--time-until",
        type=int,
        metavar="N",
        help="time only pictures whose longest side is at most N pixels",
    )
    add(
        "--rounds",
        type=int,
        default=1,
        help="timings of pictures larger than 2048 x 2048 (default: 1; smaller ones: 3)",
    )
    add("--precision", default="auto", help="precision setting (default: auto)")


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """Measure memory and time; return the rows of memory, then those of time."""
    quick = arguments.quick
    work.weights_of(arguments, show)  # downloads them once, before processes start
    common = {
        "tile": 64 if quick else arguments.tile,
        "quick": quick,
        "weights": arguments.weights,
        "precision": arguments.precision,
    }

    def wanted(each: tuple, limit: int | None) -> list[tuple[int, int]]:
        chosen = [sides for sides in each if limit is None or max(sides) <= limit]
        return [(96, 128)] if quick else chosen

    sized = wanted(MEASURED, arguments.memory_until)
    ways = arguments.way or WAYS
    rows = [row for sides in sized for row in memory_rows(sides, ways, common, show)]
    unit = (96, 96) if quick else UNIT
    for sides in wanted(TIMED, arguments.time_until):
        show(f"{sides[1]}x{sides[0]}: time")
        rounds = 3 if sides[0] * sides[1] <= 2048**2 else arguments.rounds
        rows.append(time_row(sides, unit, rounds=rounds, show=show, **common))
    return rows


def memory_rows(
    sides: tuple[int, int], ways: Sequence[str], common: dict[str, Any], show: Callable[[str], None]
) -> list[Row]:
    """Measure the memory of one picture by every way that is measured at its size."""
    rows = []
    for way in ways:
        if way != "tiles" and max(sides) > WHOLE_UNTIL:
            continue
        row = {"height": sides[0], "width": sides[1], "way": way}
        show(f"{sides[1]}x{sides[0]}, {way}: memory")
        try:
            rows.append(row | call("bench.tiles:memory_case", **row, **common))
        except RuntimeError as error:
            rows.append(row | {"error": str(error)})
    return rows


def strategy_named(way: str, tile: int) -> Strategy:
    """Return the strategy of the way named in a row."""
    return {"whole": WHOLE, "checkpointed": Checkpointed()}.get(way, Tiled(tile))


def step_of(
    loaded: Loaded, sides: tuple[int, int], strategy: Strategy, precision: str
) -> Callable[[], None]:
    """Create a seeded picture, compute its objective's targets and compile its step.

    Returns:
      A function that takes one step, always from the initial image, and blocks until it is done.
    """
    given = {"style": min(STYLE, *sides), "size": max(sides)}
    made = work.problem(loaded, *sides, precision=precision, strategy=strategy, **given)
    made.program.compile(made.objective, made.rates, made.state)
    # Copied so that no arrays share a buffer, as is the case from the second step on.
    state = jax.tree.map(jnp.copy, made.state)

    def step() -> None:
        fresh = made.program.restarted(state)
        jax.block_until_ready(made.program(made.objective, made.rates, fresh, 1))

    return step


def memory_case(
    *,
    height: int,
    width: int,
    way: str,
    tile: int,
    quick: bool,
    weights: str | None,
    precision: str,
) -> Row:
    """Measure the peak bytes of computing the targets and taking a step; use a fresh process.

    The memory in use before, with all programs compiled, is subtracted.
    """
    loaded = work.weights_of(Namespace(quick=quick, weights=weights), lambda line: None)
    strategy = strategy_named(way, tile)
    settings = resolve(size=max(height, width), precision=precision)
    network = tuned_network(loaded, settings)
    scale = Scale(height, width, settings.size, 1)
    footprint = strategy.footprint(scale, network, [blank(STYLE, STYLE)], settings)
    (predicted,) = run_peaks([footprint], nbytes(network))
    small = (min(height, 2 * tile), min(width, 2 * tile))  # a warm-up: first calls allocate
    step_of(loaded, small, strategy, precision)()
    begin = memory.settled_bytes()
    step = step_of(loaded, (height, width), strategy, precision)
    start = time.perf_counter()
    step()
    seconds = time.perf_counter() - start
    peak = memory.peak_in_use()
    measured = None if peak is None or begin is None else peak - begin
    return {"predicted": predicted, "measured": measured, "seconds": seconds}


def time_row(
    sides: tuple[int, int],
    unit: tuple[int, int],
    *,
    tile: int,
    quick: bool,
    weights: str | None,
    precision: str,
    rounds: int,
    show: Callable[[str], None],
) -> Row:
    """Time a step in tiles, alternating with one megapixel and, if small enough, the whole picture.

    Args:
      sides: height and width of the picture.
      unit: height and width of the megapixel.
      tile: side of the tiles.
      rounds: timings of each, after one that is not counted.
    """
    loaded = work.weights_of(Namespace(quick=quick, weights=weights), show)
    ways = {"tiles": (sides, Tiled(tile)), "unit": (unit, Tiled(tile))}
    if max(sides) <= WHOLE_UNTIL:
        ways |= {"whole": (sides, WHOLE)}
    steps = {name: step_of(loaded, *each, precision) for name, each in ways.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    processor: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            if turn == 0 and name == "tiles" and "whole" not in steps:
                continue  # the unit's step has warmed up its programs
            start, busy = time.perf_counter(), time.process_time()
            step()
            taken = time.perf_counter() - start
            if turn > 0:
                seconds[name].append(taken)
                processor[name].append(time.process_time() - busy)
            show(f"  {name}: {taken:.1f} s")
    found = {name: statistics.median(each) for name, each in seconds.items()}
    worked = {name: statistics.median(each) for name, each in processor.items()}
    pixels, of_unit = sides[0] * sides[1] / 1e6, unit[0] * unit[1] / 1e6
    row = {
        "height": sides[0],
        "width": sides[1],
        "way": "tiles",
        "seconds": found["tiles"],
        "per_megapixel": found["tiles"] / pixels,
        "growth": found["tiles"] / pixels / (found["unit"] / of_unit),
        "processor_growth": worked["tiles"] / pixels / (worked["unit"] / of_unit),
    }
    if "whole" in found:
        row |= {
            "whole_seconds": found["whole"],
            "cost": found["tiles"] / found["whole"],
            "processor_cost": worked["tiles"] / worked["whole"],
        }
    return row


MEMORY = {
    "width": "width",
    "height": "height",
    "way": "way",
    "predicted": "predicted MB",
    "measured": "measured MB",
    "per_pixel": "measured bytes/pixel",
    "error": "error",
}
TIME = {
    "width": "width",
    "height": "height",
    "seconds": "s/step",
    "per_megapixel": "s/megapixel",
    "growth": "s/megapixel relative to 1024 x 1024",
    "processor_growth": "same, processor time",
    "whole_seconds": "s/step, whole",
    "cost": "tiles / whole",
    "processor_cost": "tiles / whole, processor time",
}


def table(rows: list[Row]) -> str:
    """Return Markdown tables of memory and time."""
    timed = [row for row in rows if "per_megapixel" in row]
    sized = [_in_megabytes(row) for row in rows if "per_megapixel" not in row]
    return (
        f"Peak memory of a step and its targets, minus the process's memory before\n\n"
        f"{markdown(sized, MEMORY)}\n\nTime in tiles\n\n{markdown(timed, TIME)}"
    )


def _in_megabytes(row: Row) -> Row:
    found = {k: row[k] / 1e6 for k in ("predicted", "measured") if row.get(k) is not None}
    if "measured" in found:
        found["per_pixel"] = row["measured"] / (row["height"] * row["width"])
    return row | found
