"""Compare the peak memory that --plan predicts with measurements.

On CPU, that of whole commands: the peak resident memory of ``python -m jaxstyle run``, all scales,
with an empty compilation cache and with what that run has left there. On an accelerator, that of
the solver: XLA's prediction, and the device's peak memory in use.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from bench import work
from bench.child import ROOT, USERS_CACHE, call
from bench.markdown import table as markdown
from jaxstyle.execution.memory import peak_bytes
from jaxstyle.machine.host import give_memory_back

HELP = "Peak memory, predicted and measured: of whole commands on CPU, else of the solver."

PICTURES = "examples/photos/chelsea.jpg", "examples/styles/brushstrokes.jpg"

Row = dict[str, Any]

STEPS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add(
        "--size",
        type=int,
        action="append",
        help="size to measure, may be repeated (default: 96, 256, 512, 1024; on GPU also 2048)",
    )
    add(
        "--optimizer",
        action="append",
        help="optimizer to measure, may be repeated (default: adam and lbfgs)",
    )
    add("--precision", default="auto", help="precision setting (default: auto)")


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """Measure every size and optimizer, and the last size in tiles of half its side on CPU.

    Returns:
      One row for each, with "error" if it failed.
    """
    quick = arguments.quick
    work.weights_of(arguments, show)  # downloads them once, before processes start
    found = call("bench.memory:platform")
    sizes = arguments.size or ([64] if quick else [96, 256, 512, 1024, *[2048] * (found == "gpu")])
    optimizers = arguments.optimizer or ["adam", "lbfgs"]
    rows: list[Row] = [{"size": size, "optimizer": each} for size in sizes for each in optimizers]
    if found == "cpu" and sizes[-1] >= 128:
        rows.append({"size": sizes[-1], "optimizer": optimizers[0], "tile": sizes[-1] // 2})
    for row in rows:
        row["precision"] = arguments.precision
        show(f"{row}")
        try:
            if found == "cpu":
                answer = whole_command(row, arguments.weights)
            else:
                answer = call("bench.memory:case", quick=quick, weights=arguments.weights, **row)
            row |= answer | compared(row["size"], **answer)
        except RuntimeError as error:
            row["error"] = str(error)
    return rows


def whole_command(settings: Mapping[str, Any], weights: str | None) -> Row:
    """Predict and measure the peak resident bytes of a run of a few steps a scale.

    Raises:
      RuntimeError: a command failed; the message is its last line on standard error.
    """
    flags = [f"--{name}={value}" for name, value in settings.items()]
    flags += [f"--weights={weights}"] if weights else []
    with tempfile.TemporaryDirectory() as folder:
        own = {USERS_CACHE: folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        run = [sys.executable, "-m", "jaxstyle", "run", *PICTURES, f"--steps={STEPS}", *flags]
        to_file = [*run, "--quiet", "-o", str(Path(folder, "out.png"))]
        (_, cold), (_, warm) = (finished(to_file, own) for _ in range(2))
        plan, _ = finished([*run, "--plan", "--json"], own)
    predicted = json.loads(plan)["peak_bytes"]
    return {"predicted": predicted, "cold": cold, "warm": warm, "measured": max(cold, warm)}


def finished(command: list[str], environment: Mapping[str, str]) -> tuple[str, int]:
    """Run a command; return its standard output and its peak resident bytes."""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as failed:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=said, stderr=failed
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (said, failed):
            file.seek(0)
        if process.returncode:
            raise RuntimeError([f"exit status {process.returncode}", *failed.readlines()][-1])
        return said.read(), used.ru_maxrss * 1024


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
    """Predict and measure the bytes of the solver on an accelerator; call it in a fresh process."""
    given = Namespace(quick=quick, weights=weights)

    def arrays() -> work.Problem:
        loaded = work.weights_of(given, lambda line: print(line, file=sys.stderr))
        return work.problem(loaded, size, size, size=size, **settings)

    predicted = prepare(arrays)
    compiling = peak_in_use()
    steps = work.stepping(arrays(), 1)
    for _ in range(STEPS):
        steps()
    # The peak cannot be reset: it may be that of autotuning during compilation.
    return {"predicted": predicted, "measured": peak_in_use(), "while_compiling": compiling}


def prepare(arrays: Callable[[], work.Problem]) -> int:
    """Build the problem once and compile its step; return the predicted bytes.

    Layers after the deepest one in use are not arguments of the program, but are in memory too:
    their bytes are added.
    """
    problem = arrays()
    arguments = problem.objective, problem.rates, problem.state
    compiled = problem.program.compile(*arguments)
    memory: Any = compiled.memory_analysis()
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(arguments))
    return peak_bytes(compiled) + max(0, held - memory.argument_size_in_bytes)


def settled_bytes() -> int | None:
    """Release free memory, reset the peak on CPU, and return the bytes in use; None if unknown."""
    gc.collect()
    if jax.default_backend() != "cpu":
        return (jax.local_devices()[0].memory_stats() or {}).get("bytes_in_use")
    if sys.platform == "linux":
        give_memory_back()
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
    "tile": "tile",
    "precision": "precision",
    "predicted": "predicted MB",
    "cold": "cold cache MB",
    "warm": "warm cache MB",
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
