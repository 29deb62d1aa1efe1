"""Measure the time per step and compare its arithmetic throughput with the machine's peak."""

import argparse
import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax

from bench import breakdown, timing, work
from bench.markdown import table as markdown
from bench.worker import Row
from jaxstyle.execution.factories import report_every
from jaxstyle.network.weights import Loaded

HELP = "Milliseconds per step, GFLOP/s, share of the peak of matrix products, and time by part."

OPTIMIZERS = ("adam", "lbfgs")
PRECISIONS = {
    "cpu": ("float32", "auto", "bfloat16"),
    "gpu": ("bfloat16", "tf32", "float32"),
    "tpu": ("bfloat16", "float32"),
}
"""Precisions worth measuring, by platform, the most important first."""

CPU_BATCH_SIZE = 256
"""Default picture size of batches on CPU, where a step of larger ones takes a minute."""

SECONDS = 0.5
"""Duration of a timing: it has as many steps as fit, but at least one."""

Show = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """One measurement; ``precision`` is "tf32" or a value of the setting."""

    size: int
    batch: int
    precision: str
    optimizer: str

    def __str__(self) -> str:
        return f"{self.size}x{self.size}, batch {self.batch}, {self.precision}, {self.optimizer}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add(
        "--sizes",
        type=int,
        nargs="+",
        help="picture sizes (default: 256 512 1024; on GPU and TPU also 2048)",
    )
    add("--batches", type=int, nargs="+", help="batch sizes (default: 1 16)")
    add("--precisions", nargs="+", help="precisions (default: those suited to the platform)")
    add("--optimizers", nargs="+", help="optimizers (default: adam lbfgs)")
    add(
        "--rounds",
        type=int,
        default=7,
        help="timings per case (default: 7)",
    )
    add(
        "--seconds",
        type=float,
        default=math.inf,
        help="start no new case after this many seconds (default: no limit)",
    )


def measure(arguments: argparse.Namespace, show: Show) -> list[Row]:
    """Measure peaks, breakdowns and steps; the key "part" of a row tells them apart."""
    begin, platform = time.perf_counter(), jax.default_backend()
    loaded, quick = work.weights_of(arguments, show), arguments.quick
    rounds = 2 if quick else arguments.rounds
    chosen = cases(arguments, platform)
    peaks = peaks_of(chosen, (128,) if quick else ())
    rows = [{"part": "peak", "precision": name, "gflops": peak} for name, peak in peaks.items()]
    size = chosen[0].size if quick or arguments.sizes else 256 if platform == "cpu" else 512
    for precision in list(dict.fromkeys(case.precision for case in chosen))[: 1 if quick else 2]:
        show(f"time of a step by part, {size}x{size}, {precision}")
        about = {"part": "breakdown", "size": size, "precision": precision}
        rows.append(attempted(about, partial(broken_down, loaded, size, precision, rounds)))
    for case in chosen:
        row = {"part": "step", **vars(case)}
        if time.perf_counter() - begin > arguments.seconds:
            row["error"] = "no time left"
        else:
            row = attempted(row, partial(timed, loaded, case, rounds, peaks))
        done = row.get("error") or f"{row['ms']:.4g} ms, {row['share']:.0%} of the peak"
        show(f"{case}: {done}")
        rows.append(row)
    return rows


def attempted(about: Row, measured: Callable[[], Row]) -> Row:
    """Return the row completed by a measurement, or with "error" if it failed."""
    try:
        return about | measured()
    except Exception as error:  # any error: other cases may still work
        return about | {"error": reason(error)}
    finally:
        jax.clear_caches()
        gc.collect()  # the next case needs the memory


def cases(arguments: argparse.Namespace, platform: str) -> list[Case]:
    """Return the requested cases, the most important first, since time may run out."""
    if arguments.quick:
        return [Case(16, 1, "float32", "adam"), Case(16, 2, "bfloat16", "adam")]
    cpu = platform == "cpu"
    found = [
        Case(size, batch, precision, optimizer)
        for optimizer in arguments.optimizers or OPTIMIZERS
        for precision in arguments.precisions or PRECISIONS.get(platform, PRECISIONS["tpu"])
        for batch in arguments.batches or (1, 16)
        for size in arguments.sizes or ((256, 512, 1024) if cpu else (256, 512, 1024, 2048))
    ]
    if arguments.sizes or not cpu:
        return found
    return [case for case in found if case.batch == 1 or case.size == CPU_BATCH_SIZE]


def peaks_of(chosen: Sequence[Case], sizes: Sequence[int]) -> dict[str, float]:
    """Measure the peak GFLOP/s of matrix products in the number format of each precision.

    "auto" selects algorithms, not a format: it is float32 on CPU and bfloat16 elsewhere.
    """
    auto = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    formats = {
        case.precision: auto if case.precision == "auto" else case.precision for case in chosen
    }
    peaks = {
        name: timing.matrix_peak(name, sizes=sizes) for name in dict.fromkeys(formats.values())
    }
    return {name: peaks[format] for name, format in formats.items()}


def timed(loaded: Loaded, case: Case, rounds: int, peaks: dict[str, float]) -> Row:
    """Time the steps of a case; return milliseconds per step and the throughput."""
    problem = work.problem(
        loaded, case.size, case.size, precision=case.precision, optimizer=case.optimizer
    )
    if case.batch > 1:
        problem = work.batched(problem, case.batch)
    take = work.stepping(problem, 1)
    count = chunk(take, report_every(problem.settings))
    seconds = timing.interleaved({"": partial(take, count)}, rounds)[""]
    spread = timing.spread([1000 * s / count for s in seconds])
    gflops = problem.flops / spread["median"] / 1e6
    return {
        "ms": spread["median"],
        "low": spread["low"],
        "high": spread["high"],
        "gflops": gflops,
        "share": gflops / peaks[case.precision],
        "images_per_second": 1000 * case.batch / spread["median"],
    }


def chunk(take: Callable[[int], None], most: int) -> int:
    """Return the number of steps per timing: at most ``most``, and as many as fit in ``SECONDS``.

    Args:
      take: takes a given number of steps.
      most: steps between two reports of a run.
    """
    take(1)
    start = time.perf_counter()
    take(1)
    return max(1, min(most, round(SECONDS / (time.perf_counter() - start))))


def broken_down(loaded: Loaded, size: int, precision: str, rounds: int) -> Row:
    """Measure the milliseconds of the parts of a step; see ``bench.breakdown``."""
    return breakdown.measure(work.problem(loaded, size, size, precision=precision), rounds)


def reason(error: Exception) -> str:
    """Describe an error in one line."""
    if "RESOURCE_EXHAUSTED" in str(error) or isinstance(error, MemoryError):
        return "out of memory"
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def table(rows: Sequence[Row]) -> str:
    """Return Markdown tables of the peaks, the steps and the breakdown."""
    of = {part: [r for r in rows if r["part"] == part] for part in ("peak", "step", "breakdown")}
    steps = [
        row | {"share": f"{row['share']:.0%}", "spread": f"{row['low']:.4g}-{row['high']:.4g}"}
        if "ms" in row
        else row
        for row in of["step"]
    ]
    columns = {"size": "size", "batch": "batch", "precision": "precision"}
    columns |= {"optimizer": "optimizer", "ms": "ms/step", "spread": "10%-90%"}
    columns |= {"gflops": "GFLOP/s", "share": "of peak", "images_per_second": "image steps/s"}
    if any("error" in row for row in steps):
        columns["error"] = "error"
    return "\n\n".join(
        (
            f"Peak of square matrix products\n\n{markdown(of['peak'], ('precision', 'gflops'))}",
            "Steps. GFLOP/s count the arithmetic of direct convolutions; Winograd's algorithm needs"
            f" less and can exceed the peak\n\n{markdown(steps, columns)}",
            "Milliseconds of a step by part, Adam\n\n"
            f"{markdown(of['breakdown'], breakdown.COLUMNS)}",
        )
    )
