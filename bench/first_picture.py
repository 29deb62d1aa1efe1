"""Measure the first picture of a new process, by phase: the main command of the README."""

import argparse
import json
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from statistics import median
from typing import Any

from bench import child
from bench.markdown import table as markdown

HELP = "Seconds until the first picture of a new process, by phase."

PICTURES = (
    child.ROOT / "examples" / "photos" / "chelsea.jpg",
    child.ROOT / "examples" / "styles" / "brushstrokes.jpg",
)
"""The content and the style picture of the README's main command."""

COMPILING = {
    "trace": "/jax/core/compile/jaxpr_trace_duration",
    "lower": "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "compile": "/jax/core/compile/backend_compile_duration",
}
"""JAX's events of the phases of compilation."""

PHASES = ("import", "weights", "tuning", "targets", *COMPILING, "steps", "save")

FLAGS_OF_A_TRIAL = ("--size", "32", "--steps", "2", "--precision", "bfloat16")
"""A tiny picture in a precision that needs no tuning."""

Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="processes per cache state; the medians are reported (default: 3)",
    )


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """Run the command with cold and with warm caches in turn; return a row of medians for each."""
    given = {"quick": arguments.quick, "weights": _weights(arguments, show)}
    runs: dict[str, list[Row]] = {"cold": [], "warm": []}
    repeats = 1 if arguments.quick else arguments.repeats
    for index in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            for state, rows in runs.items():
                show(f"{state} caches, process {index + 1} of {repeats}")
                environment = {"XDG_CACHE_HOME": folder}
                began = time.time()
                rows.append(
                    child.call("bench.first_picture:once", environment, began=began, **given)
                )
    return [
        {"caches": state} | {name: median(row[name] for row in rows) for name in rows[0]}
        for state, rows in runs.items()
    ]


def _weights(arguments: argparse.Namespace, show: Callable[[str], None]) -> str | None:
    """Return the path of the weights, which are fetched here and not in what is measured."""
    if arguments.quick:
        return None
    from jaxstyle.network import weights

    return str(weights.find(arguments.weights, show).resolve())


def once(*, quick: bool, weights: str | None, began: float) -> Row:
    """Run the command in this process, which must not have imported JAX.

    Args:
      quick: make a tiny picture with a network of few channels.
      weights: path of the weights file.
      began: time (``time.time()``) at which the process was started.

    Returns:
      Seconds by phase ("whole" since ``began``), CPU seconds ("cpu") and the number of programs
      that were compiled, or read from the cache. Phases in several threads overlap. Weights,
      tuning and targets are without what they compile.
    """
    from jaxstyle.__main__ import main, prepare_process

    prepare_process()
    from jaxstyle.cli import run  # noqa: F401

    seconds: dict[str, float] = defaultdict(float, {"import": time.time() - began})
    programs = _listen(seconds)
    _time_phases(seconds, quick)
    with tempfile.TemporaryDirectory() as folder:
        picture, report = Path(folder, "picture.png"), Path(folder, "report.json")
        flags = ["-o", picture, "--report", report, "--quiet"]
        flags += FLAGS_OF_A_TRIAL if quick else ["--weights", weights]
        if main(["run", *map(str, [*PICTURES, *flags])], own_process=True):
            raise RuntimeError("the run failed")
        whole = time.time() - began
        seconds["steps"] = sum(s["run_seconds"] for s in json.loads(report.read_text())["scales"])
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(each.ru_utime + each.ru_stime for each in usage)
    phases = {name: seconds[name] for name in PHASES}
    return {**phases, "whole": whole, "cpu": cpu, "programs": len(programs)}


def _listen(seconds: dict[str, float]) -> list[str]:
    """Add what JAX compiles from now on to the seconds; return the list of programs, to be."""
    from jax import monitoring

    programs: list[str] = []
    phases = {event: name for name, event in COMPILING.items()}

    def listen(event: str, duration_secs: float, **details: str | int) -> None:
        if event in phases:
            seconds[phases[event]] += duration_secs
        if event == COMPILING["compile"]:
            programs.append(str(details.get("fun_name")))

    monitoring.register_event_duration_secs_listener(listen)
    return programs


def _time_phases(seconds: dict[str, float], quick: bool) -> None:
    """Add the time of each phase's functions to the seconds; replace the weights of a trial."""
    from bench.work import few_channels
    from jaxstyle import images
    from jaxstyle.execution.strategy import Strategy
    from jaxstyle.network import tuning, weights

    if quick:
        weights.find, weights.load = lambda *_: Path(), lambda path: few_channels()
    phases = (
        ("weights", weights, "load"),
        ("weights", weights, "network"),
        ("tuning", tuning, "algorithms"),
        ("targets", Strategy, "objective"),
        ("save", images, "write"),
    )
    for phase, owner, name in phases:
        setattr(owner, name, _timed(getattr(owner, name), phase, seconds))


def _timed(function: Callable, phase: str, seconds: dict[str, float]) -> Callable:
    """Return a function that adds its time to a phase, without that of compilations in it."""
    from jaxstyle.execution.compilation import counted

    @wraps(function)
    def timed(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        with counted(here=True) as compiled:
            made = function(*arguments, **options)
        seconds[phase] += time.perf_counter() - start - compiled.seconds
        return made

    return timed


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    names = {name: name for name in ("caches", *PHASES, "whole")}
    title = "Seconds by phase; while steps are taken, the next scale is compiled"
    columns = {**names, "cpu": "CPU seconds", "programs": "programs"}
    return f"{title}\n\n{markdown(rows, columns)}"
