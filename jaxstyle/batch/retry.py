"""Batches that are made in spite of too little memory, bad pictures and pictures that run alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from jax.sharding import Mesh

from jaxstyle.batch.cells import alone, too_large
from jaxstyle.errors import (
    DivergedError,
    ImageError,
    MaskError,
    PictureSizeError,
    SettingError,
    TooSmallError,
)
from jaxstyle.execution.inputs import Layers
from jaxstyle.execution.memory import out_of_memory
from jaxstyle.network import weights
from jaxstyle.network.vgg import VGG19
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import NO_HOOKS, Hooks, optimize
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.run_checkpoint import RunCheckpoint
from jaxstyle.runs.stylize import run

FAILURES = (ImageError, MaskError, SettingError, PictureSizeError, TooSmallError, DivergedError)
"""Exceptions that one bad picture can cause; they do not end the batch."""


def run_together(
    loaded: weights.Loaded,
    cells: Sequence[Inputs],
    hooks: Hooks = NO_HOOKS,
    keep: Callable[[RunCheckpoint], None] | None = None,
    saved: RunCheckpoint | None = None,
    **shared: Any,
) -> Sequence[Result | Exception]:
    """Make all pictures in one program, or one after another if they must run alone.

    Args:
      loaded: weights of the network.
      cells: pictures whose scales have the same sides and steps, and whose settings have the same
        ``static_key``.
      hooks: functions to call on the way.
      keep: called with a checkpoint at each report, before the hooks; not for several cells that
        run alone.
      saved: checkpoint of the same cells to resume from.
      **shared: further arguments of ``jaxstyle.runs.optimize.optimize``.

    Returns:
      For each cell its result, or the exception of a bad picture.
    """
    distinct = {id(cell): cell for cell in cells}  # a batch is padded by repeating its cells
    separate = alone(cells[0].settings) or too_large(cells[0])
    if separate and len(distinct) > 1:
        keep = saved = None
    if keep:
        hooks = replace(hooks, report=_keeping(keep, hooks))
    if separate:
        made = {key: _run_alone(loaded, cell, hooks, saved) for key, cell in distinct.items()}
        return [made[id(cell)] for cell in cells]
    try:
        return optimize(loaded, cells, hooks, saved, **shared)
    except DivergedError as error:  # every picture did
        return [error] * len(cells)


def _keeping(
    keep: Callable[[RunCheckpoint], None], hooks: Hooks
) -> Callable[[Progress, RunCheckpoint], None]:
    def report(progress: Progress, reached: RunCheckpoint) -> None:
        keep(reached)
        hooks.report(progress, reached)

    return report


def _run_alone(
    loaded: weights.Loaded, cell: Inputs, hooks: Hooks, saved: RunCheckpoint | None
) -> Result | Exception:
    try:
        return run(loaded, cell, hooks, saved)
    except FAILURES as error:
        return error


def run_in_halves(
    loaded: weights.Loaded,
    cells: Sequence[Inputs],
    hooks: Hooks = NO_HOOKS,
    mesh: Mesh | None = None,
    layers: Layers | None = None,
    network: VGG19 | None = None,
    shrunk: Callable[[int], None] = lambda size: None,
    **resuming: Any,
) -> Sequence[Result | Exception]:
    """Call ``run_together``, halving the batch if memory runs out or a picture is bad.

    Halving goes on down to single pictures; the exception of one takes the place of its result.

    Args:
      loaded: weights of the network.
      cells: see ``run_together``.
      hooks: functions to call on the way.
      mesh: devices to shard the pictures over.
      layers: layers to measure.
      network: network for these layers, if there is one already.
      shrunk: called with the next batch size when memory has run out.
      **resuming: ``keep`` and ``saved`` of ``run_together``; used only for the whole batch.

    Returns:
      For each cell a result or an exception.
    """
    devices = 1 if mesh is None else mesh.size
    shared: dict[str, Any] = {"mesh": mesh, "layers": layers, "network": network}
    try:
        return run_together(loaded, cells, hooks, **shared, **resuming)
    except Exception as error:
        scarce = out_of_memory(error)
        if not (scarce or isinstance(error, FAILURES)):
            raise
        if len(cells) == 1:
            return [MemoryError("out of memory: lower --size") if scarce else error]
    if len(cells) <= devices:
        return [run_in_halves(loaded, [c], hooks, None, layers)[0] for c in cells]
    half = -(-len(cells) // (2 * devices)) * devices
    if scarce:
        shrunk(half)
    rest = [*cells[half:], *cells][:half]  # padded with cells: both halves share one program
    first = run_in_halves(loaded, cells[:half], hooks, **shared, shrunk=shrunk)
    second = run_in_halves(loaded, rest, hooks, **shared, shrunk=shrunk)
    return [*first, *second][: len(cells)]
