"""Peak memory of the solver: what XLA predicts beside what is measured, so that --plan can be
trusted.

Every case is a process of its own. On an accelerator it is asked for the most it has had in use.
On CPU the resident memory of the process is read: its peak while steps are taken, over what it was
before the solver's arrays were there but with their programs already compiled.
"""

import argparse
import ctypes
import gc
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from bench import work
from bench.child import call
from bench.markdown import table as markdown
from jaxstyle.execution.memory import peak_bytes
from jaxstyle.optim import solve

HELP = "Peak memory of the solver, predicted and measured."

Row = dict[str, Any]

STEPS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes beside what all do."""
    add = parser.add_argument
    add("--size", type=int, action="append", help="default: 256, 512, 1024; on GPU, 2048 too")
    add("--optimizer", action="append", help="default: adam and lbfgs")
    add("--precision", default="auto", help="default: auto")


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """A row for each size and optimizer; one that fails, or is not within 10%, says so."""
    quick = arguments.quick
    work.weights_of(arguments, show)  # fetched once, if they must be
    large = call("bench.memory:platform") == "gpu"
    sizes = arguments.size or ([64] if quick else [256, 512, 1024, *[2048] * large])
    rows = []
    for size in sizes:
        for optimizer in arguments.optimizer or ["adam", "lbfgs"]:
            row = {"size": size, "optimizer": optimizer, "precision": arguments.precision}
            show(f"{size}x{size}, {optimizer}")
            try:
                answer = call("bench.memory:case", quick=quick, weights=arguments.weights, **row)
                row |= answer | compared(size, **answer)
            except RuntimeError as error:
                row["error"] = str(error)
            rows.append(row)
    return rows


def compared(size: int, predicted: int, measured: int | None, **_: Any) -> Row:
    """Prediction and measurement per megapixel, and their ratio."""
    pixels = size * size / 1e6
    if measured is None:
        return {"predicted_per_megapixel": predicted / pixels}
    ratio = measured / predicted
    return {
        "predicted_per_megapixel": predicted / pixels,
        "measured_per_megapixel": measured / pixels,
        "measured_to_predicted": ratio,
        "within_10_percent": abs(ratio - 1) <= 0.1,
    }


def platform() -> str:
    """Of JAX, asked in a process that does not go on to hold the device."""
    return jax.default_backend()


def case(*, size: int, quick: bool, weights: str | None, **settings: Any) -> Row:
    """Bytes of one case, in a process that has done nothing else."""
    given = Namespace(quick=quick, weights=weights)

    def arrays() -> work.Problem:
        loaded = work.weights_of(given, lambda line: print(line, file=sys.stderr))
        return work.problem(loaded, size, size, size=size, **settings)

    predicted = prepare(arrays)
    begin, compiling = settled_bytes(), peak_in_use()
    problem = arrays()
    settled_bytes()  # what reading the weights took is not the solver's
    program = solve.compile_program(
        problem.objective, problem.rates, problem.state, problem.optimizer
    )
    steps = work.stepping(program, problem, 1)
    peak = None
    for _ in range(STEPS):
        steps()
        peak = peak_in_use()
    if peak is None or begin is None:
        return {"predicted": predicted, "measured": None}
    on_device = jax.default_backend() != "cpu"
    row = {"predicted": predicted, "measured": peak if on_device else peak - begin}
    # An accelerator's peak cannot be reset: it may be that of compiling, which tries kernels out.
    return row | ({"while_compiling": compiling} if on_device else {})


def prepare(arrays: Callable[[], work.Problem]) -> int:
    """Compile all that making and stepping ``arrays`` takes, and run it once; the bytes predicted.

    The program takes none of the network's layers beyond the deepest in use: they are held beside.
    """
    problem = arrays()
    arguments = problem.objective, problem.rates, problem.state
    program = solve.compile_program(*arguments, problem.optimizer)
    if jax.default_backend() == "cpu":
        work.stepping(program, problem, 1)()
    memory: Any = program.compiled.memory_analysis()
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(arguments))
    return peak_bytes(program.compiled) + max(0, held - memory.argument_size_in_bytes)


def settled_bytes() -> int | None:
    """Bytes in use once all that is free has been given back, the peak being counted from here on;
    None if the system does not say."""
    gc.collect()
    if jax.default_backend() != "cpu":
        return (jax.local_devices()[0].memory_stats() or {}).get("bytes_in_use")
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps what is freed
        if trim:
            trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def peak_in_use() -> int | None:
    """The most bytes in use so far; on CPU, since ``settled_bytes``."""
    if jax.default_backend() != "cpu":
        return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return resident("VmHWM")


def resident(field: str) -> int | None:
    """Bytes of this process in memory now (VmRSS) or at most (VmHWM), where there is /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


COLUMNS = {
    "size": "size",
    "optimizer": "optimizer",
    "precision": "precision",
    "predicted": "predicted MB",
    "measured": "measured MB",
    "predicted_per_megapixel": "predicted MB/megapixel",
    "measured_per_megapixel": "measured MB/megapixel",
    "measured_to_predicted": "measured / predicted",
    "within_10_percent": "within 10%",
    "error": "error",
}


def table(rows: list[Row]) -> str:
    """Markdown of the rows, in megabytes."""
    return markdown([row | megabytes(row) for row in rows], COLUMNS)


def megabytes(row: Row) -> Row:
    """What is counted in bytes."""
    keys = [key for key, heading in COLUMNS.items() if "MB" in heading]
    return {key: row[key] / 1e6 for key in keys if row.get(key) is not None}
