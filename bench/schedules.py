"""Measure how long jaxstyle's schedules take to reach a target loss set by another program.

The loss is neural-style-pt's objective (content weight 1, style weight 1e5, no total variation),
and the initial image is the content picture. A run stops at the first picture of the full size
whose total loss is at most the target.
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
from jaxstyle.machine import host
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.result import Progress
from jaxstyle.runs.score import score_pictures
from jaxstyle.runs.stylize import run, telling
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
"""Settings by name, in addition to ``OBJECTIVE``. ``steps`` are the steps of the smaller scales,
coarse to fine, each half the size of the next; at the full size, a run takes as many as needed."""


class Reached(Exception):
    """Raised to stop a run that has reached the target."""


def settings_for(schedule: Mapping[str, Any], size: int, most: int) -> Settings:
    """Return the settings of a schedule with at most ``most`` steps at the full size."""
    steps = schedule["steps"]
    scales = {"steps": (*steps, most), "smallest_size": size // 2 ** len(steps)}
    return resolve(**{**OBJECTIVE, **schedule, **scales, "size": size})


def at_full_size(content: Picture, style: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Resize both pictures as a run does for its scale of the full size."""
    settings = settings_for({"steps": ()}, size, most=1)
    scale = plan.plan(content.rgb, [style], settings)[-1]
    fitted = plan.style_size(style, 0, scale, settings)
    painting = images.resize(style, *fitted, settings.resampling)
    return plan.resize(content.rgb, scale, settings), painting


def attempt(
    loaded: Loaded, content: Picture, style: np.ndarray, settings: Settings, target: float
) -> Row:
    """Run until the target is reached.

    When the solver's total is at or below the target, the picture's total is computed again in
    float32, and the run goes on unless that confirms it. The time of this check is not counted.

    Returns:
      A row: reached; seconds of the whole run; solver_seconds, without compilation; steps at each
      scale; total, in float32, of the last picture checked.
    """
    photo, painting = at_full_size(content, style, settings.size)
    measure = resolve(**{**settings.to_dict(), "precision": "float32"})
    solver: dict[int, float] = {}
    steps: dict[int, int] = {}
    row: Row = {"reached": False, "seconds": None, "total": None}
    paused = 0.0

    def watch(progress: Progress) -> None:
        nonlocal paused
        reached, last = progress.reached, len(progress.scales) - 1
        solver[progress.scale], steps[progress.scale] = reached.seconds, reached.step
        row["seconds"] = progress.seconds - paused
        if progress.scale < last or float(reached.state.best_total) > target:
            return
        start = time.perf_counter()
        picture = np.asarray(reached.state.best)
        checked = score_pictures(loaded, picture, photo, [painting], measure, resized=False)
        row["total"] = checked.total
        if checked.total <= target:
            raise Reached
        paused += time.perf_counter() - start

    try:
        run(loaded, Inputs(content, [style], settings), Hooks(telling(watch)))
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
    """Run ``attempt`` in a fresh process, with a persistent compilation cache.

    Args:
      content: path of the content picture.
      style: path of the style picture.
      size: the full size.
      target: total loss to reach.
      most: maximum number of steps at the full size.
      schedule: an entry of ``SCHEDULES``.
      cache: folder of the compilation cache.
      **weights: the command's arguments that select the weights.
    """
    host.keep_memory()
    compilation.persist(Path(cache))
    loaded = work.weights_of(Namespace(**weights), quiet)
    settings = settings_for(schedule, size, most)
    return attempt(loaded, images.read(content), images.read(style).rgb, settings, target)


def quiet(line: str) -> None:
    """Discard a line of progress."""
