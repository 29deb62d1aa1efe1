"""Measure compile time against run time, and count the compilations of a run."""

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench import child
from bench.markdown import table as markdown
from bench.worker import SPANS, Row
from jaxstyle.images.sizes import ladder_of
from jaxstyle.settings import Settings

HELP = "Compile time against run time, number of compilations, and time to a process's first step."

WARM = "_warm"
"""Suffix of keys measured with a compilation cache that an earlier process has filled."""

Show = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """The measurements to make.

    Attributes:
      sizes: sizes of the scales, coarse to fine.
      repeats: processes per measurement, of which the median is taken.
      rounds: timings of a step per process.
      deadline: value of ``time.perf_counter`` after which nothing new is begun.
      common: options passed to every process.
    """

    sizes: list[int]
    repeats: int
    rounds: int
    deadline: float
    common: dict[str, Any]

    def late(self) -> bool:
        """Return whether the deadline has passed."""
        return time.perf_counter() > self.deadline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("--size", type=int, default=512, help="size of the finest scale (default: 512)")
    add(
        "--repeats",
        type=int,
        default=3,
        help="processes per measurement; the median is reported (default: 3)",
    )
    add(
        "--seconds",
        type=float,
        default=math.inf,
        help="start no new measurement after this many seconds (default: no limit)",
    )
    add("--optimizer", default="adam", help="optimizer to measure (default: adam)")
    add("--precision", default="auto", help="precision setting (default: auto)")


def measure(arguments: argparse.Namespace, show: Show) -> list[Row]:
    """Measure the five parts in the order of ``PARTS``; a part that fails has a row that says why.

    Returns:
      The rows; the key "part" tells them apart.
    """
    plan = plan_of(arguments)
    rows: list[Row] = []
    for part, measured in PARTS.items():
        try:
            if plan.late():
                raise RuntimeError("no time left")
            rows += [{"part": part, **row} for row in measured(plan, rows, show)]
        except RuntimeError as error:
            rows.append({"part": part, "error": str(error)})
            show(f"{part}: {error}")
    return rows


def plan_of(arguments: argparse.Namespace) -> Plan:
    """Return the plan: the scales of a run with default settings, or two tiny ones for a trial."""
    quick = arguments.quick
    chosen = {"optimizer": arguments.optimizer, "precision": arguments.precision}
    sizes = ladder_of(arguments.size, Settings.smallest_size, Settings.scale_factor)
    return Plan(
        [16, 32] if quick else sizes,
        repeats=1 if quick else arguments.repeats,
        rounds=2 if quick else 10,
        deadline=time.perf_counter() + arguments.seconds,
        common={"quick": quick, "weights": arguments.weights, "settings": chosen},
    )


def ask(task: str, **options: Any) -> Any:
    """Call a function of ``bench.worker`` in a new process and return its result."""
    return child.call(f"bench.worker:{task}", **options)


def scale_rows(plan: Plan, before: Sequence[Row], show: Show) -> list[Row]:
    """Measure the seconds of every stage at every scale; the last row is their sum over scales."""
    cold, warm = [], []
    for index in range(plan.repeats):
        if index and plan.late():
            break
        with tempfile.TemporaryDirectory() as cache:
            for runs, state in ((cold, "cold"), (warm, "warm")):
                show(f"scales {plan.sizes}, {state} cache, process {index + 1} of {plan.repeats}")
                options = {"sizes": plan.sizes, "cache": cache, "steps": plan.rounds}
                runs.append(ask("stages", **options, **plan.common))
    rows = []
    for index in range(len(plan.sizes)):
        steps = Settings.steps[min(index, len(Settings.steps) - 1)]
        rows.append(scale_row([run[index] for run in cold], [run[index] for run in warm], steps))
    return [*rows, sum_row(rows)]


def scale_row(cold: Sequence[Row], warm: Sequence[Row], steps: int) -> Row:
    """Return the row of one scale: medians over the processes."""
    row: Row = {"scale": str(cold[0]["size"]), "steps": steps}
    for runs, ending in ((cold, ""), (warm, WARM)):
        row |= {name + ending: median(run[name] for run in runs) for name in SPANS}
        row["first" + ending] = sum(row[name + ending] for name in SPANS)
    row["step"] = median(run["step"] for run in (*cold, *warm))
    return row | {"run": (steps - 1) * row["step"]}


def sum_row(rows: Sequence[Row]) -> Row:
    """Return the row of a whole run: the sum over its scales."""
    spans = [name + ending for ending in ("", WARM) for name in (*SPANS, "first")]
    return {"scale": "sum"} | {
        name: sum(row[name] for row in rows) for name in (*spans, "steps", "run")
    }


def eager_rows(plan: Plan, before: Sequence[Row], show: Show) -> list[Row]:
    """Measure steps that are not compiled as a whole, and when compiling pays off."""
    rows = []
    for scale in before:
        if scale["part"] != "scale" or scale.get("scale", "sum") == "sum":
            continue
        show(f"steps that are not compiled, at {scale['scale']}")
        if plan.late():
            rows.append({"scale": scale["scale"], "error": "no time left"})
            continue
        rounds = min(3, plan.rounds)
        eager = ask("eager", size=int(scale["scale"]), rounds=rounds, **plan.common)
        ready = {**eager, "first_step": eager["step"]}  # as if every operation were compiled
        row = {"scale": scale["scale"], "first_step": eager["first_step"], "step": eager["step"]}
        row |= {"compiled_step": scale["step"], "break_even": break_even(scale, eager)}
        rows.append(row | {"break_even_ready": break_even(scale, ready)})
    return rows


def break_even(compiled: Row, eager: Row) -> int | None:
    """Return the number of steps from which on compiling takes less time in total; None if never.

    The first step that is not compiled as a whole is slow too: it compiles every operation.
    """
    first = sum(compiled[stage] for stage in ("trace", "lower", "compile", "first_step"))
    late, gain = first - eager["first_step"], eager["step"] - compiled["step"]
    if late <= 0:
        return 1
    return 1 + math.ceil(late / gain) if gain > 0 else None


def count_rows(plan: Plan, before: Sequence[Row], show: Show) -> list[Row]:
    """Count compilations of the solver: one per scale, and none if only values change."""
    show("counting compilations")
    options = {"size": plan.sizes[-1], "smallest_size": plan.sizes[0]}
    rows = ask("counts", **options, **plan.common)
    return [
        row if row["solver"] == row["expected"] else row | {"error": "unexpected count"}
        for row in rows
    ]


def start_rows(plan: Plan, before: Sequence[Row], show: Show) -> list[Row]:
    """Measure a process's time to its first step at the finest size, with cold and warm cache."""
    cold, warm = [], []
    size = plan.sizes[-1]
    for index in range(plan.repeats):
        if index and plan.late():
            break
        show(f"first step at {size}, process {index + 1} of {plan.repeats}")
        with tempfile.TemporaryDirectory() as cache:
            for runs in (cold, warm):
                runs.append(ask("start", size=size, cache=cache, began=time.time(), **plan.common))
    return [
        {"size": size, "cache": state} | {name: median(r[name] for r in runs) for name in runs[0]}
        for state, runs in (("cold", cold), ("warm", warm))
    ]


def import_rows(plan: Plan, before: Sequence[Row], show: Show) -> list[Row]:
    """Measure the seconds to import jax, and then jaxstyle."""
    show("imports")
    runs = [ask("imports") for _ in range(2 * plan.repeats)]
    return [{name: median(run[name] for run in runs) for name in runs[0]}]


PARTS: dict[str, Callable[[Plan, Sequence[Row], Show], list[Row]]] = {
    "scale": scale_rows,
    "start": start_rows,
    "count": count_rows,
    "import": import_rows,
    "eager": eager_rows,
}
"""Every part is passed the rows before it. The most expensive is last, in case time runs out."""

TABLES: dict[str, tuple[str, dict[str, str]]] = {
    "scale": (
        "Seconds per scale; warm: with a compilation cache that an earlier process has filled",
        {"scale": "scale"}
        | {name: name.replace("_", " ") for name in SPANS}
        | {"first": "total", "compile_warm": "compile, warm", "first_warm": "total, warm"}
        | {"steps": "steps", "step": "per step", "run": "later steps"},
    ),
    "eager": (
        "Seconds per step without compiling it as a whole, and when compiling pays off",
        {
            "scale": "scale",
            "first_step": "first step, op by op",
            "step": "later step, op by op",
            "compiled_step": "step, compiled",
            "break_even": "steps to break even",
            "break_even_ready": "steps to break even, ops already compiled",
        },
    ),
    "count": (
        "Compilations in one process",
        {"run": "run", "solver": "solver", "expected": "expected", "other": "other programs"},
    ),
    "start": (
        "Seconds until the first step of a process",
        {
            "size": "size",
            "cache": "cache",
            "weights": "weights read",
            "first_step": "first step, since import",
            "from_process_start": "first step, since process start",
        },
    ),
    "import": ("Seconds to import", {"jax": "jax", "jaxstyle": "then jaxstyle"}),
}


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table for each part, with errors."""
    sections = []
    for part, (title, columns) in TABLES.items():
        of_part = [row for row in rows if row["part"] == part]
        if any("error" in row for row in of_part):
            columns = columns | {"error": "error"}
        if of_part:
            sections.append(f"{title}\n\n{markdown(of_part, columns)}")
    return "\n\n".join(sections)
