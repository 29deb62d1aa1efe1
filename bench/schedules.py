"""Ways to a picture as good as another program's, by that one's measure; how long they take.

The measure is neural-style-pt's objective (content weight 1, style weight 1e5, no total variation),
from the content picture. A way stops at the first picture of the full size whose total is no more
than the target.
"""

import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import work
from bench.worker import Row
from jaxstyle import images
from jaxstyle.execution import compilation, plan
from jaxstyle.images import Picture
from jaxstyle.network import machine
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.result import Progress
from jaxstyle.runs.score import score_pictures
from jaxstyle.runs.stylize import run
from jaxstyle.settings import Settings, resolve

OBJECTIVE = {
    "preset": "neural-style-pt",
    "content_weight": 1.0,
    "style_weight": 1e5,
    "tv_weight": 0.0,
    "init": "content",
}

SCHEDULES: dict[str, Mapping[str, Any]] = {
    "L-BFGS": {"steps": ()},
    "L-BFGS of 20 pairs": {"steps": (), "history": 20},
    "L-BFGS from half the size": {"steps": (40,)},
    "L-BFGS of 20 pairs from half the size": {"steps": (40,), "history": 20},
    "L-BFGS from a quarter of the size": {"steps": (40, 40)},
}
"""Settings beside the objective's. Steps are those at a quarter, a half of the size; the full size
has as many as it needs."""


class Reached(Exception):
    """The target: the run may stop."""


def settings_for(schedule: Mapping[str, Any], size: int, most: int) -> Settings:
    """The objective with the way to it, of ``most`` steps at the full size."""
    steps = schedule["steps"]
    scales = {"steps": (*steps, most), "smallest_size": size // 2 ** len(steps)}
    return resolve(**{**OBJECTIVE, **schedule, **scales, "size": size})


def at_full_size(content: Picture, style: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Both pictures as the objective at the full size has them."""
    settings = settings_for({"steps": ()}, size, most=1)
    scale = plan.plan(content.rgb, [style], settings)[-1]
    fitted = plan.style_size(style, 0, scale, settings)
    painting = images.resize(style, *fitted, settings.resampling)
    return plan.resize(content.rgb, scale, settings), painting


def attempt(
    loaded: Loaded, content: Picture, style: np.ndarray, settings: Settings, target: float
) -> Row:
    """Run until the target is reached.

    A total at or below it counts only once the picture's loss in float32 confirms it; the clock
    stands still meanwhile.

    Returns:
      reached; seconds of the whole run, and in the solver alone, without compiling; steps at each
      scale; total in float32, of the last picture that was checked.
    """
    photo, painting = at_full_size(content, style, settings.size)
    measure = resolve(**{**settings.to_dict(), "precision": "float32"})
    solver: dict[int, float] = {}
    steps: dict[int, int] = {}
    row: Row = {"reached": False, "seconds": None, "total": None}
    paused = 0.0

    def watch(progress: Progress) -> None:
        nonlocal paused
        report, last = progress.solver, len(progress.scales) - 1
        solver[progress.scale], steps[progress.scale] = report.seconds, report.step
        row["seconds"] = progress.seconds - paused
        if progress.scale < last or float(report.state.best_total) > target:
            return
        start = time.perf_counter()
        picture = np.asarray(report.state.best)
        checked = score_pictures(loaded, picture, photo, [painting], measure, resized=False)
        row["total"] = checked.total
        if checked.total <= target:
            raise Reached
        paused += time.perf_counter() - start

    try:
        run(loaded, content, [style], settings, watch)
    except Reached:
        row["reached"] = True
    return row | {"solver_seconds": sum(solver.values()), "steps": list(steps.values())}


def told(
    *,
    content: str,
    style: str,
    size: int,
    target: float,
    most: int,
    schedule: Mapping[str, Any],
    cache: str,
    **weights: Any,
) -> Row:
    """``attempt`` in a process where nothing was compiled before, but for what is in the cache
    folder. most: steps at the full size; weights: as the command's arguments
    say."""
    machine.keep_memory()
    compilation.persist(Path(cache))
    loaded = work.weights_of(Namespace(**weights), quiet)
    settings = settings_for(schedule, size, most)
    return attempt(loaded, images.read(content), images.read(style).rgb, settings, target)


def quiet(line: str) -> None:
    """Says nothing."""
