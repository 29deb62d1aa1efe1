"""Compare jaxstyle with PyTorch: time per step, timed in alternation, and time to a loss.

A *peer* is a PyTorch program for the same loss, of one of two kinds: *eager*, as neural-style-pt
runs, operation by operation in float32; *expert*, as an expert in PyTorch would tune it, compiled
by torch.compile, in bfloat16 with channels last. Where torch.compile fails, the expert peer is not
compiled. The first part times the steps of each; the second is ``bench.race``.
"""

import argparse
import gc
import importlib
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import jax
import numpy as np

from bench import race, timing, work
from bench.markdown import table as markdown
from bench.schedules import OBJECTIVE, SCHEDULES
from bench.speed import reason
from bench.worker import Row
from jaxstyle.errors import UsageError
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.network.weights import Loaded

HELP = (
    "jaxstyle against PyTorch, both as neural-style-pt uses it (eager) and tuned by an expert"
    " (compiled, bfloat16)."
)

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
OPTIMIZERS = ("adam", "lbfgs")
PRECISIONS = ("float32", "auto")
EAGER, EXPERT, UNCOMPILED = "eager", "expert", "expert, not compiled"

SAME_LOSS = 1e-3
"""Largest relative difference between the two losses of one picture."""

Show = Callable[[str], None]
Calls = dict[str, Callable[[], None]]


@dataclass(frozen=True)
class Case:
    """One measurement: steps of an optimizer on ``batch`` pictures of one size."""

    size: int
    batch: int
    optimizer: str

    def __str__(self) -> str:
        return f"{self.size}x{self.size}, batch {self.batch}, {self.optimizer}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add(
        "--only",
        choices=("step", "race"),
        help="measure only the time per step, or only the time to a loss (default: both)",
    )
    add("--sizes", type=int, nargs="+", help="picture sizes (default: 256 512; on GPU also 1024)")
    add("--batches", type=int, nargs="+", help="batch sizes (default: 1; on GPU also 16 for Adam)")
    add("--rounds", type=int, default=7, help="timings per case (default: 7)")
    add(
        "--seconds",
        type=float,
        default=math.inf,
        help="start no new case after this many seconds (default: no limit)",
    )
    add("--steps", type=int, help="steps per timing (default: 20; on CPU 3)")
    add(
        "--content",
        type=Path,
        default=EXAMPLES / "photos" / "chelsea.jpg",
        help="race: content picture",
    )
    add(
        "--style",
        type=Path,
        default=EXAMPLES / "styles" / "brushstrokes.jpg",
        help="race: style picture",
    )
    add("--size", type=int, default=256, help="race: picture size (default: 256)")
    add(
        "--evaluations",
        type=int,
        default=300,
        help="race: evaluations of the baseline, which set the target loss (default: 300)",
    )
    add("--peers", type=int, help="race: number of peers besides the baseline (default: all)")
    add(
        "--schedules",
        nargs="+",
        choices=SCHEDULES,
        help="race: jaxstyle's schedules (default: all)",
        metavar="NAME",
    )


def measure(arguments: argparse.Namespace, show: Show) -> list[Row]:
    """Measure both parts; the key "part" of a row is "step" or "race".

    A row of "step" is for one case, precision of jaxstyle and peer.
    """
    # Set before JAX starts: by default it reserves most of a GPU's memory, and PyTorch needs some.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    torch_peers, loaded = torch_side(), work.weights_of(arguments, show)
    rows: list[Row] = []
    began = time.monotonic()
    for case in cases(arguments) if arguments.only != "race" else ():
        if time.monotonic() - began > arguments.seconds:
            rows.append({"part": "step", **vars(case), "error": "no time left"})
            continue
        try:
            rows += step_rows(case, loaded, torch_peers, arguments, show)
        except Exception as error:  # any error: other cases may still work
            rows.append({"part": "step", **vars(case), "error": reason(error)})
            show(f"{case}: {reason(error)}")
        jax.clear_caches()
        gc.collect()  # the next case needs the memory
        torch_peers.forget()
    if arguments.only != "step":
        rows += race.rows(loaded, torch_peers, arguments, show)
    return rows


def torch_side() -> ModuleType:
    """Import ``bench.torch_peers`` and return the module.

    Raises:
      UsageError: PyTorch is not installed.
    """
    try:
        return importlib.import_module("bench.torch_peers")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UsageError("peers needs PyTorch: pip install 'jaxstyle[bench]'") from error


def cases(arguments: argparse.Namespace) -> list[Case]:
    """Return all requested cases, with L-BFGS only for a batch of one picture."""
    cpu = jax.default_backend() == "cpu"
    sizes = arguments.sizes or ([256, 512] if cpu else [256, 512, 1024])
    batches = arguments.batches or ([1] if cpu else [1, 16])
    if arguments.quick:
        sizes, batches = arguments.sizes or [24], arguments.batches or [1]
    found = [Case(size, batch, name) for size in sizes for batch in batches for name in OPTIMIZERS]
    return [case for case in found if case.batch == 1 or case.optimizer == "adam"]


def step_rows(
    case: Case,
    loaded: Loaded,
    torch_peers: ModuleType,
    arguments: argparse.Namespace,
    show: Show,
) -> list[Row]:
    """Time a case; return one row for each precision of jaxstyle and each peer.

    Raises:
      ArithmeticError: jaxstyle and PyTorch do not compute the same loss.
    """
    show(f"{case}: preparing")
    steps = arguments.steps or (3 if jax.default_backend() == "cpu" else 20)
    rounds = 2 if arguments.quick else arguments.rounds
    problems = {precision: ours(case, loaded, precision) for precision in PRECISIONS}
    eager, experts, failed = peers_of(case, loaded, torch_peers, compiled=not arguments.quick)
    total = torch_peers.total(eager.objective, eager.image) / case.batch
    apart = abs(loss(problems["float32"]) / total - 1)
    if apart > SAME_LOSS:
        raise ArithmeticError(f"the losses of the same picture differ by {apart:.2%}")
    our_calls = {name: stepping(p, case, steps) for name, p in problems.items()}
    peers = {EAGER: eager, **experts}
    calls = our_calls | {name: lambda peer=peer: peer.take(steps) for name, peer in peers.items()}
    seconds = timing.interleaved(calls, rounds, show=show)
    per_step = {name: [s / steps for s in each] for name, each in seconds.items()}
    return failed + [
        {"part": "step", **vars(case), "precision": precision, "peer": peer, "difference": apart}
        | compared(per_step[precision], per_step[peer])
        for peer in peers
        for precision in problems
    ]


def start(size: int) -> np.ndarray:
    """Return the initial image, which is not the content picture: its content loss is zero."""
    return work.picture(2, size, size)


def ours(case: Case, loaded: Loaded, precision: str) -> work.Problem:
    """Return jaxstyle's problem for one picture of a case."""
    settings = {**OBJECTIVE, "learning_rate": 1.0, "optimizer": case.optimizer}
    problem = work.problem(loaded, case.size, case.size, **settings, precision=precision)
    return replace(problem, state=WHOLE.begin([start(case.size)], problem.program.optimizer))


def stepping(problem: work.Problem, case: Case, steps: int) -> Callable[[], None]:
    """Return a function that takes ``steps`` steps of the whole batch."""
    if case.batch > 1:
        problem = work.batched(problem, case.batch)
    return work.stepping(problem, steps)


def peers_of(case: Case, loaded: Loaded, torch_peers: ModuleType, *, compiled: bool) -> tuple:
    """Return the peers of a case.

    Args:
      case: the case.
      loaded: weights of the network.
      torch_peers: the module ``bench.torch_peers``.
      compiled: compile the expert peer, if that works.

    Returns:
      The eager peer, the expert peer by its name, and rows of peers that failed.
    """
    device = torch_peers.device()
    pictures = [work.picture(seed, case.size, case.size) for seed in (0, 1)]

    def peer(*, expert: bool, mode: str = ""):
        objective = torch_peers.Objective(loaded.weights, *pictures, device, expert)
        begin = start(case.size)
        return torch_peers.Peer(objective, begin, case.optimizer, batch=case.batch, compiled=mode)

    experts, failed = {}, []
    if compiled:
        try:
            experts[EXPERT] = peer(expert=True, mode=torch_peers.compile_mode(device))
            experts[EXPERT].take(2)
        except Exception as error:  # most likely there is no C++ compiler
            experts.clear()
            failed.append({"part": "step", **vars(case), "peer": EXPERT, "error": reason(error)})
    if not experts:
        experts[UNCOMPILED] = peer(expert=True)
    return peer(expert=False), experts, failed


def loss(problem: work.Problem) -> float:
    """Return the loss of the initial image, in full precision."""
    with jax.default_matmul_precision("highest"):
        total, _ = WHOLE.losses(problem.objective, np.asarray(problem.state.image))
    return float(total)


def compared(our_seconds: Sequence[float], peer_seconds: Sequence[float]) -> Row:
    """Return milliseconds per step of both, and the ratio of the peer's time to ours.

    Args:
      our_seconds: seconds per step, one for each round.
      peer_seconds: the peer's, in the same rounds.
    """
    row: Row = {}
    for name, seconds in (("our", our_seconds), ("peer", peer_seconds)):
        spread = timing.spread([1000 * s for s in seconds])
        row |= {f"{name}_ms": spread["median"]}
        row |= {f"{name}_{end}": spread[end] for end in ("low", "high")}
    ratios = timing.spread([p / o for o, p in zip(our_seconds, peer_seconds, strict=True)])
    ratio = row["peer_ms"] / row["our_ms"]
    row |= {"ratio": ratio, "ratio_low": ratios["low"], "ratio_high": ratios["high"]}
    return row | {"rounds": len(our_seconds)}


def table(rows: Sequence[Row]) -> str:
    """Return Markdown tables of the steps and the race."""
    steps = [
        row | {"spread": f"{row['ratio_low']:.3g}-{row['ratio_high']:.3g}"}
        if "ratio" in row
        else row
        for row in rows
        if row["part"] == "step"
    ]
    columns = {name: name for name in ("size", "batch", "optimizer", "peer", "precision")}
    columns |= {"our_ms": "jaxstyle ms/step", "peer_ms": "PyTorch ms/step"}
    columns |= {"ratio": "ratio", "spread": "10%-90%"}
    raced = [row for row in rows if row["part"] == "race"]
    sections = []
    for title, found, chosen in (
        ("Time per step; ratio: PyTorch's time over jaxstyle's", steps, columns),
        ("Time to a loss", raced, race.COLUMNS),
    ):
        if any("error" in row for row in found):
            chosen = chosen | {"error": "error"}
        if found:
            sections.append(f"{title}\n\n{markdown(found, chosen)}")
    return "\n\n".join(sections)
