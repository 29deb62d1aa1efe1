"""Steps as a run takes them, against the arithmetic they need and the fastest this machine does."""

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
from jaxstyle.optim import solve

HELP = "Milliseconds a step, GFLOP/s, share of the matrix-product peak, and where the time goes."

OPTIMIZERS = ("adam", "lbfgs")
PRECISIONS = {
    "cpu": ("float32", "auto", "bfloat16"),
    "gpu": ("bfloat16", "tf32", "float32"),
    "tpu": ("bfloat16", "float32"),
}
"""By platform, what is worth trying, the most important first."""

CPU_BATCH_SIZE = 256
"""On CPU, batches are of this size if not told otherwise: larger ones take a minute a step."""

SECONDS = 0.5
"""Of steps between two looks at the clock, if a single one does not take longer."""

Show = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """One row: precision is "tf32" or one of the settings'."""

    size: int
    batch: int
    precision: str
    optimizer: str

    def __str__(self) -> str:
        return f"{self.size}x{self.size}, batch {self.batch}, {self.precision}, {self.optimizer}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes beside what all do."""
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", help="default: 256 512 1024, on a GPU 2048 too")
    add("--batches", type=int, nargs="+", help="default: 1 16")
    add("--precisions", nargs="+", help="default: what the platform is good for")
    add("--optimizers", nargs="+", help="default: adam lbfgs")
    add("--rounds", type=int, default=7, help="timings a row is the median of (default: 7)")
    add("--seconds", type=float, default=math.inf, help="begin no new case after so long")


def measure(arguments: argparse.Namespace, show: Show) -> list[Row]:
    """A row for the peak of each number format, for each breakdown, and for each case."""
    begin, platform = time.perf_counter(), jax.default_backend()
    loaded, quick = work.weights_of(arguments, show), arguments.quick
    rounds = 2 if quick else arguments.rounds
    chosen = cases(arguments, platform)
    peaks = peaks_of(chosen, (128,) if quick else ())
    rows = [{"part": "peak", "precision": name, "gflops": peak} for name, peak in peaks.items()]
    size = chosen[0].size if quick or arguments.sizes else 256 if platform == "cpu" else 512
    for precision in list(dict.fromkeys(case.precision for case in chosen))[: 1 if quick else 2]:
        show(f"where the time of a step goes, {size}x{size}, {precision}")
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
    """The row with what was measured, or with the reason why it was not."""
    try:
        return about | measured()
    except Exception as error:  # whatever it is: other cases may still work
        return about | {"error": reason(error)}
    finally:
        solve.forget_programs()
        gc.collect()  # the next case needs the memory


def cases(arguments: argparse.Namespace, platform: str) -> list[Case]:
    """Every row asked for, the most important first: there may not be time for all."""
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
    """GFLOP/s of matrix products in each format; "auto" is a choice among algorithms in one."""
    auto = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    formats = {
        case.precision: auto if case.precision == "auto" else case.precision for case in chosen
    }
    peaks = {
        name: timing.matrix_peak(name, sizes=sizes) for name in dict.fromkeys(formats.values())
    }
    return {name: peaks[format] for name, format in formats.items()}


def timed(loaded: Loaded, case: Case, rounds: int, peaks: dict[str, float]) -> Row:
    """Milliseconds a step, and what they are worth."""
    settings = {"precision": case.precision, "optimizer": case.optimizer}
    problem = work.problem(loaded, case.size, case.size, **settings)
    if case.batch > 1:
        problem = work.batched(problem, case.batch)
    take = work.stepping(work.compiled(problem), problem, 1)
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
    """Steps in one dispatch: as many as between two reports of a run, but no more than ``SECONDS``
    of them."""
    take(1)
    start = time.perf_counter()
    take(1)
    return max(1, min(most, round(SECONDS / (time.perf_counter() - start))))


def broken_down(loaded: Loaded, size: int, precision: str, rounds: int) -> Row:
    """Milliseconds of the parts of a step."""
    return breakdown.measure(work.problem(loaded, size, size, precision=precision), rounds)


def reason(error: Exception) -> str:
    """An error in one line."""
    if "RESOURCE_EXHAUSTED" in str(error) or isinstance(error, MemoryError):
        return "out of memory"
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def table(rows: Sequence[Row]) -> str:
    """Steps, then the breakdown."""
    of = {part: [r for r in rows if r["part"] == part] for part in ("peak", "step", "breakdown")}
    steps = [
        row | {"share": f"{row['share']:.0%}", "spread": f"{row['low']:.4g}-{row['high']:.4g}"}
        if "ms" in row
        else row
        for row in of["step"]
    ]
    columns = {"size": "size", "batch": "batch", "precision": "precision"}
    columns |= {"optimizer": "optimizer", "ms": "ms a step", "spread": "10%-90%"}
    columns |= {"gflops": "GFLOP/s", "share": "of the peak", "images_per_second": "images' steps/s"}
    if any("error" in row for row in steps):
        columns["error"] = "error"
    return "\n\n".join(
        (
            f"Peak of square matrix products\n\n{markdown(of['peak'], ('precision', 'gflops'))}",
            "Steps; the arithmetic is that of direct convolutions: Winograd's needs less of it, and"
            f" can pass the peak\n\n{markdown(steps, columns)}",
            f"Milliseconds of a step, Adam\n\n{markdown(of['breakdown'], breakdown.COLUMNS)}",
        )
    )
