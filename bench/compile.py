"""Compile time against run time: what a run pays before its steps, for how many, and how often."""

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
from jaxstyle.execution.pyramid import sizes
from jaxstyle.settings import Settings

HELP = "Seconds to compile against seconds to run, compilations counted, a process's first step."

WARM = "_warm"
"""What the names of seconds end with where the cache was filled by a process before."""

Show = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is measured: sizes coarse to fine, how often, and what every process is told."""

    sizes: list[int]
    repeats: int
    rounds: int
    deadline: float
    common: dict[str, Any]

    def late(self) -> bool:
        """Whether the time given is over."""
        return time.perf_counter() > self.deadline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes beside what all do."""
    add = parser.add_argument
    add("--size", type=int, default=512, help="of the finest scale (default: 512)")
    add("--repeats", type=int, default=3, help="processes a number is the median of (default: 3)")
    add("--seconds", type=float, default=math.inf, help="begin nothing new after so long")
    add("--optimizer", default="adam", help="default: adam")
    add("--precision", default="auto", help="default: auto")


def measure(arguments: argparse.Namespace, show: Show) -> list[Row]:
    """Rows of five parts, in the order of ``PARTS``; one that fails says why."""
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
    """The scales of a run with the default settings; of a trial, two tiny ones."""
    quick = arguments.quick
    chosen = {"optimizer": arguments.optimizer, "precision": arguments.precision}
    return Plan(
        [16, 32] if quick else sizes(arguments.size, Settings.smallest_size, Settings.scale_factor),
        repeats=1 if quick else arguments.repeats,
        rounds=2 if quick else 10,
        deadline=time.perf_counter() + arguments.seconds,
        common={"quick": quick, "weights": arguments.weights, "settings": chosen},
    )


def ask(task: str, **options: Any) -> Any:
    """What a function of ``bench.worker`` answers in a process of its own."""
    return child.call(f"bench.worker:{task}", **options)


def scale_rows(plan: Plan, before: Sequence[Row], show: Show) -> list[Row]:
    """Seconds of every stage of every scale, and their sum over the scales of a run."""
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
    """One scale, the median of its processes."""
    row: Row = {"scale": str(cold[0]["size"]), "steps": steps}
    for runs, ending in ((cold, ""), (warm, WARM)):
        row |= {name + ending: median(run[name] for run in runs) for name in SPANS}
        row["first" + ending] = sum(row[name + ending] for name in SPANS)
    row["step"] = median(run["step"] for run in (*cold, *warm))
    return row | {"run": (steps - 1) * row["step"]}


def sum_row(rows: Sequence[Row]) -> Row:
    """A whole run: its scales together."""
    spans = [name + ending for ending in ("", WARM) for name in (*SPANS, "first")]
    return {"scale": "sum"} | {
        name: sum(row[name] for row in rows) for name in (*spans, "steps", "run")
    }


def eager_rows(plan: Plan, before: Sequence[Row], show: Show) -> list[Row]:
    """The same steps operation by operation, and when compiling has paid."""
    rows = []
    for scale in before:
        if scale["part"] != "scale" or scale.get("scale", "sum") == "sum":
            continue
        show(f"operation by operation at {scale['scale']}")
        if plan.late():
            rows.append({"scale": scale["scale"], "error": "no time left"})
            continue
        rounds = min(3, plan.rounds)
        eager = ask("eager", size=int(scale["scale"]), rounds=rounds, **plan.common)
        ready = {**eager, "first_step": eager["step"]}
        row = {"scale": scale["scale"], "first_step": eager["first_step"], "step": eager["step"]}
        row |= {"compiled_step": scale["step"], "break_even": break_even(scale, eager)}
        rows.append(row | {"break_even_ready": break_even(scale, ready)})
    return rows


def break_even(compiled: Row, eager: Row) -> int | None:
    """Steps after which compiling has taken no more time than not compiling; None: it never does.

    Without, the first step is dear too: it compiles every operation by itself.
    """
    first = sum(compiled[stage] for stage in ("trace", "lower", "compile", "first_step"))
    late, gain = first - eager["first_step"], eager["step"] - compiled["step"]
    if late <= 0:
        return 1
    return 1 + math.ceil(late / gain) if gain > 0 else None


def count_rows(plan: Plan, before: Sequence[Row], show: Show) -> list[Row]:
    """Compilations of a run's solver: one a scale, and none where only values are new."""
    show("counting compilations")
    options = {"size": plan.sizes[-1], "smallest_size": plan.sizes[0]}
    rows = ask("counts", **options, **plan.common)
    return [
        row if row["solver"] == row["expected"] else row | {"error": "not as many as expected"}
        for row in rows
    ]


def start_rows(plan: Plan, before: Sequence[Row], show: Show) -> list[Row]:
    """A process reaching its first step at the finest size, the cache being empty and then not."""
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
    """Seconds to import jax, and jaxstyle after it."""
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
"""Each is given the rows before its own; the dearest is the last, in case time is short."""

TABLES: dict[str, tuple[str, dict[str, str]]] = {
    "scale": (
        "Seconds, scale by scale; warm: with what a process before left in the compilation cache",
        {"scale": "scale"}
        | {name: name.replace("_", " ") for name in SPANS}
        | {"first": "together", "compile_warm": "compile, warm", "first_warm": "together, warm"}
        | {"steps": "steps", "step": "a step", "run": "later steps"},
    ),
    "eager": (
        "Seconds of a step not compiled, and the number of steps after which compiling has paid",
        {
            "scale": "scale",
            "first_step": "first step, op by op",
            "step": "a step, op by op",
            "compiled_step": "a step, compiled",
            "break_even": "pays after",
            "break_even_ready": "pays after, if each op is compiled already",
        },
    ),
    "count": (
        "Compilations in one process",
        {"run": "run", "solver": "of the solver", "expected": "expected", "other": "of the rest"},
    ),
    "start": (
        "Seconds until the first step of a process",
        {
            "size": "size",
            "cache": "cache",
            "weights": "weights read",
            "first_step": "first step, after import",
            "from_process_start": "first step, after process start",
        },
    ),
    "import": ("Seconds to import", {"jax": "jax", "jaxstyle": "jaxstyle after it"}),
}


def table(rows: Sequence[Row]) -> str:
    """A table for each part, and what failed."""
    sections = []
    for part, (title, columns) in TABLES.items():
        of_part = [row for row in rows if row["part"] == part]
        if any("error" in row for row in of_part):
            columns = columns | {"error": "error"}
        if of_part:
            sections.append(f"{title}\n\n{markdown(of_part, columns)}")
    return "\n\n".join(sections)
