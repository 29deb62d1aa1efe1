"""Compare XLA's prediction of the solver's peak memory, shown by --plan, with measurements.

Every case runs in its own process. On an accelerator, the measurement is the device's peak memory
in use. On CPU it is the process's peak resident memory while it takes steps, minus its resident
memory before the solver's arrays are allocated and after the programs are compiled.
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

HELP = "Peak memory of the solver, predicted and measured."

Row = dict[str, Any]

STEPS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add(
        "--size",
        type=int,
        action="append",
        help="size to measure, may be repeated (default: 256, 512, 1024; on GPU also 2048)",
    )
    add(
        "--optimizer",
        action="append",
        help="optimizer to measure, may be repeated (default: adam and lbfgs)",
    )
    add("--precision", default="auto", help="precision setting (default: auto)")


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """Measure every size and optimizer; return one row for each, with "error" if it failed."""
    quick = arguments.quick
    work.weights_of(arguments, show)  # downloads them once, before processes start
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
    """Return prediction and measurement per megapixel, and their ratio."""
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
    """Return JAX's platform; called in a short-lived process, which frees the device again."""
    return jax.default_backend()


def case(*, size: int, quick: bool, weights: str | None, **settings: Any) -> Row:
    """Predict and measure the bytes of one case; call it in a fresh process."""
    given = Namespace(quick=quick, weights=weights)

    def arrays() -> work.Problem:
        loaded = work.weights_of(given, lambda line: print(line, file=sys.stderr))
        return work.problem(loaded, size, size, size=size, **settings)

    predicted = prepare(arrays)
    begin, compiling = settled_bytes(), peak_in_use()
    problem = arrays()
    settled_bytes()  # resets the peak: reading the weights is not counted
    steps = work.stepping(problem, 1)
    peak = None
    for _ in range(STEPS):
        steps()
        peak = peak_in_use()
    if peak is None or begin is None:
        return {"predicted": predicted, "measured": None}
    on_device = jax.default_backend() != "cpu"
    row = {"predicted": predicted, "measured": peak if on_device else peak - begin}
    # An accelerator's peak cannot be reset: it may be that of autotuning during compilation.
    return row | ({"while_compiling": compiling} if on_device else {})


def prepare(arrays: Callable[[], work.Problem]) -> int:
    """Build the problem once, compile its step, and on CPU run it; return the predicted bytes.

    Layers after the deepest one in use are not arguments of the program, but are in memory too:
    their bytes are added.
    """
    problem = arrays()
    arguments = problem.objective, problem.rates, problem.state
    compiled = problem.program.compile(*arguments)
    if jax.default_backend() == "cpu":
        work.stepping(problem, 1)()
    memory: Any = compiled.memory_analysis()
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(arguments))
    return peak_bytes(compiled) + max(0, held - memory.argument_size_in_bytes)


def settled_bytes() -> int | None:
    """Release free memory, reset the peak on CPU, and return the bytes in use; None if unknown."""
    gc.collect()
    if jax.default_backend() != "cpu":
        return (jax.local_devices()[0].memory_stats() or {}).get("bytes_in_use")
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps freed memory
        if trim:
            trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def peak_in_use() -> int | None:
    """Return the peak bytes in use, on CPU since ``settled_bytes``; None if unknown."""
    if jax.default_backend() != "cpu":
        return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return resident("VmHWM")


def resident(field: str) -> int | None:
    """Return this process's resident bytes: current (VmRSS) or peak (VmHWM); None without /proc."""
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
    """Return the rows as a Markdown table, in megabytes."""
    return markdown([row | megabytes(row) for row in rows], COLUMNS)


def megabytes(row: Row) -> Row:
    """Return the entries of a row that are in bytes, converted to megabytes."""
    keys = [key for key, heading in COLUMNS.items() if "MB" in heading]
    return {key: row[key] / 1e6 for key in keys if row.get(key) is not None}
