"""Measure the time to a target loss, which the baseline sets: the eager peer with L-BFGS.

The other peers, eager or expert (``bench.peers`` says what these are), and jaxstyle's schedules run
until they reach it.
"""

import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bench import child
from bench.schedules import SCHEDULES, at_full_size
from bench.speed import reason
from bench.worker import Row
from jaxstyle import images
from jaxstyle.network.weights import Loaded

PEERS = (("eager", "adam"), ("expert", "lbfgs"), ("expert", "adam"))

COLUMNS = {
    "who": "who",
    "steps": "steps",
    "seconds": "seconds",
    "warm_seconds": "seconds, warm cache",
    "solver_seconds": "seconds, without compiling",
    "total": "total loss",
    "ratio": "speedup",
}


def rows(
    loaded: Loaded, torch_peers: ModuleType, arguments: Namespace, show: Callable[[str], None]
) -> list[Row]:
    """Run the baseline, which sets the target, and then all others until they reach it.

    Returns:
      One row for each, with seconds from the decoded pictures to the target, including compilation;
      warm_seconds, with all programs in the persistent compilation cache; ratio, the baseline's
      seconds over this row's.
    """
    size, evaluations = (32, 4) if arguments.quick else (arguments.size, arguments.evaluations)
    paths = {name: str(Path(getattr(arguments, name)).resolve()) for name in ("content", "style")}
    content, style = images.read(paths["content"]), images.read(paths["style"]).rgb
    peers = Peers(torch_peers, loaded, *at_full_size(content, style, size))
    lead = {"who": "PyTorch, eager, lbfgs", **peers.baseline(evaluations)}
    show(line(lead))
    goal = {"target": lead["total"], "most": evaluations}
    options = {"quick": arguments.quick, "weights": arguments.weights, "size": size, **paths}
    racers = {
        f"PyTorch, {kind}, {optimizer}": partial(peers.chase, kind, optimizer, **goal)
        for kind, optimizer in (PEERS[: arguments.peers] if not arguments.quick else ())
    } | {
        f"jaxstyle, {name}": partial(cold_and_warm, schedule=SCHEDULES[name], **goal, **options)
        for name in arguments.schedules or SCHEDULES
    }
    found = [lead, *(raced(who, racer, lead, show) for who, racer in racers.items())]
    return [{"part": "race", "target": lead["total"], **row} for row in found]


def raced(who: str, racer: Callable[[], Row], lead: Row, show: Callable[[str], None]) -> Row:
    """Run a racer; return its row, with the speedup over ``lead``, or with an error."""
    try:
        row = {"who": who, **racer()}
    except Exception as error:  # any error: other racers may still work
        row = {"who": who, "error": reason(error)}
    if row.get("reached"):
        row["ratio"] = lead["seconds"] / row["seconds"]
    show(line(row))
    return row


def line(row: Row) -> str:
    """Return a row as a line of progress."""
    if not row.get("reached"):
        return f"{row['who']}: {row.get('error', 'did not reach the target')}"
    return f"{row['who']}: {row['total']:.4g} after {row['seconds']:.3g} s, steps {row['steps']}"


@dataclass(frozen=True)
class Peers:
    """The peers; ``photo``, at the full size, is also the initial image."""

    torch_peers: ModuleType
    loaded: Loaded
    photo: np.ndarray
    painting: np.ndarray

    def objective(self, kind: str) -> Any:
        """Return the objective of an "eager" or an "expert" peer."""
        pictures, device = (self.photo, self.painting), self.torch_peers.device()
        return self.torch_peers.Objective(
            self.loaded.weights, *pictures, device, expert=kind == "expert"
        )

    def baseline(self, evaluations: int) -> Row:
        """Run neural-style-pt's L-BFGS; the lowest total of its evaluations is the target."""
        start = time.perf_counter()
        peer = self.torch_peers.Peer(self.objective("eager"), self.photo, "lbfgs")
        marks = [(peer.step(), time.perf_counter() - start) for _ in range(evaluations)]
        total, seconds = min(marks)
        steps = [1 + marks.index((total, seconds))]
        return {"reached": True, "seconds": seconds, "steps": steps, "total": total}

    def chase(self, kind: str, optimizer: str, *, target: float, most: int) -> Row:
        """Run another peer until the total of its picture, checked in float32, is the target.

        The time of the check is not counted. In solver_seconds, the first step, which compiles,
        counts as an average step.
        """
        judge, torch_peers = self.objective("eager"), self.torch_peers
        begin = time.perf_counter()
        mode = torch_peers.compile_mode(torch_peers.device()) if kind == "expert" else ""
        peer = torch_peers.Peer(self.objective(kind), self.photo, optimizer, compiled=mode)
        row: Row = {"reached": False, "total": None}
        marks: list[float] = []
        while not row["reached"] and len(marks) < most:
            near = peer.step() <= target
            marks.append(time.perf_counter() - begin)
            if near:
                row["total"] = torch_peers.total(judge, peer.image)
                row["reached"] = row["total"] <= target
                begin = time.perf_counter() - marks[-1]
        later = marks[-1] - marks[0]
        solver = later * len(marks) / max(1, len(marks) - 1)
        return row | {"seconds": marks[-1], "solver_seconds": solver, "steps": [len(marks)]}


def cold_and_warm(*, target: float, most: int, **options: Any) -> Row:
    """Run a schedule in two new processes; the first fills the compilation cache of the second."""
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (
            child.call("bench.schedules:told", cache=cache, target=target, most=most, **options)
            for _ in range(2)
        )
    return cold | {"warm_seconds": warm["seconds"] if warm["reached"] else None}
