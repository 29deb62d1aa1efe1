"""The same work in jaxstyle and in PyTorch, taking turns on one machine; and time to a loss."""

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
import jax.numpy as jnp
import numpy as np

from bench import race, timing, work
from bench.markdown import table as markdown
from bench.schedules import OBJECTIVE, SCHEDULES
from bench.speed import reason
from bench.worker import Row
from jaxstyle.errors import UsageError
from jaxstyle.network.weights import Loaded
from jaxstyle.optim import solve

HELP = "jaxstyle against PyTorch: as neural-style-pt runs it, and as an expert would write it."

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
OPTIMIZERS = ("adam", "lbfgs")
PRECISIONS = ("float32", "auto")
EAGER, EXPERT, UNCOMPILED = "eager", "expert", "expert, not compiled"

SAME_LOSS = 1e-3
"""How far the two losses of one picture may be apart, as a share."""

Show = Callable[[str], None]
Calls = dict[str, Callable[[], None]]


@dataclass(frozen=True)
class Case:
    """The work: ``batch`` pictures of one size."""

    size: int
    batch: int
    optimizer: str

    def __str__(self) -> str:
        return f"{self.size}x{self.size}, batch {self.batch}, {self.optimizer}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes beside what all do."""
    add = parser.add_argument
    add("--only", choices=("step", "race"), help="step times alone, or time to a loss alone")
    add("--sizes", type=int, nargs="+", help="default: 256 512, on a GPU 1024 too")
    add("--batches", type=int, nargs="+", help="default: 1, on a GPU 16 too (Adam)")
    add("--rounds", type=int, default=7, help="turns a median is of (default: 7)")
    add("--seconds", type=float, default=math.inf, help="begin no new case after so long")
    add("--steps", type=int, help="in a turn; default: 20, on CPU 3")
    add("--content", type=Path, default=EXAMPLES / "photos" / "chelsea.jpg", help="of the race")
    add("--style", type=Path, default=EXAMPLES / "styles" / "brushstrokes.jpg", help="of the race")
    add("--size", type=int, default=256, help="of the race (default: 256)")
    add("--evaluations", type=int, default=300, help="that set the target (default: 300)")
    add("--rivals", type=int, help="other ways of PyTorch's that race, so many (default: all)")
    add("--schedules", nargs="+", choices=SCHEDULES, help="default: all", metavar="NAME")


def measure(arguments: argparse.Namespace, show: Show) -> list[Row]:
    """Rows of two parts: step, for each case, precision and peer; and race."""
    # Set before JAX starts: by itself it takes most of a GPU's memory, and PyTorch needs some.
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
        except Exception as error:  # whatever it is, other cases may still work
            rows.append({"part": "step", **vars(case), "error": reason(error)})
            show(f"{case}: {reason(error)}")
        solve.forget_programs()
        gc.collect()  # the next case needs the memory
        torch_peers.forget()
    if arguments.only != "step":
        rows += race.rows(loaded, torch_peers, arguments, show)
    return rows


def torch_side() -> ModuleType:
    """``bench.torch_peers``.

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
    """Every case asked for; of L-BFGS, one picture at a time."""
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
    """A row for each precision of ours against each peer.

    Raises:
      ArithmeticError: the two do not compute the same loss.
    """
    show(f"{case}: getting ready")
    steps = arguments.steps or (3 if jax.default_backend() == "cpu" else 20)
    rounds = 2 if arguments.quick else arguments.rounds
    problems = {precision: ours(case, loaded, precision) for precision in PRECISIONS}
    eager, others, failed = theirs(case, loaded, torch_peers, compiled=not arguments.quick)
    total = torch_peers.total(eager.objective, eager.image) / case.batch
    apart = abs(loss(problems["float32"]) / total - 1)
    if apart > SAME_LOSS:
        raise ArithmeticError(f"the losses of the same picture differ by {apart:.2%}")
    our_calls = {name: stepping(p, case, steps) for name, p in problems.items()}
    peers = {EAGER: eager, **others}
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
    """The picture both begin with: not the content, whose content loss is zero."""
    return work.picture(2, size, size)


def ours(case: Case, loaded: Loaded, precision: str) -> work.Problem:
    """One picture's problem in jaxstyle."""
    settings = {**OBJECTIVE, "learning_rate": 1.0, "optimizer": case.optimizer}
    problem = work.problem(loaded, case.size, case.size, **settings, precision=precision)
    begun = solve.init(jnp.asarray(start(case.size)), problem.optimizer)
    return replace(problem, state=begun)


def stepping(problem: work.Problem, case: Case, steps: int) -> Callable[[], None]:
    """A call that takes ``steps`` steps of the whole batch."""
    if case.batch > 1:
        problem = work.batched(problem, case.batch)
    return work.stepping(work.compiled(problem), problem, steps)


def theirs(case: Case, loaded: Loaded, torch_peers: ModuleType, *, compiled: bool) -> tuple:
    """The eager peer, the expert ones by name, and rows of what failed."""
    device = torch_peers.device()
    pictures = [work.picture(seed, case.size, case.size) for seed in (0, 1)]

    def peer(*, expert: bool, mode: str = ""):
        objective = torch_peers.Objective(loaded.weights, *pictures, device, expert)
        begin = start(case.size)
        return torch_peers.Peer(objective, begin, case.optimizer, batch=case.batch, compiled=mode)

    others, failed = {}, []
    if compiled:
        try:
            others[EXPERT] = peer(expert=True, mode=torch_peers.compile_mode(device))
            others[EXPERT].take(2)
        except Exception as error:  # no compiler, most likely
            others.clear()
            failed.append({"part": "step", **vars(case), "peer": EXPERT, "error": reason(error)})
    if not others:
        others[UNCOMPILED] = peer(expert=True)
    return peer(expert=False), others, failed


def loss(problem: work.Problem) -> float:
    """Of the picture both begin with, in full precision."""
    with jax.default_matmul_precision("highest"):
        total, _ = jax.jit(lambda objective, image: objective(image))(
            problem.objective, problem.state.image
        )
    return float(total)


def compared(our_seconds: Sequence[float], peer_seconds: Sequence[float]) -> Row:
    """Milliseconds of a step of each, and how many times longer the peer's takes, turn by turn."""
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
    """Steps, then the race."""
    steps = [
        row | {"spread": f"{row['ratio_low']:.3g}-{row['ratio_high']:.3g}"}
        if "ratio" in row
        else row
        for row in rows
        if row["part"] == "step"
    ]
    columns = {name: name for name in ("size", "batch", "optimizer", "peer", "precision")}
    columns |= {"our_ms": "our ms a step", "peer_ms": "PyTorch's"}
    columns |= {"ratio": "times ours", "spread": "10%-90%"}
    raced = [row for row in rows if row["part"] == "race"]
    sections = []
    for title, found, chosen in (
        ("Steps", steps, columns),
        ("Time to a loss", raced, race.COLUMNS),
    ):
        if any("error" in row for row in found):
            chosen = chosen | {"error": "error"}
        if found:
            sections.append(f"{title}\n\n{markdown(found, chosen)}")
    return "\n\n".join(sections)
