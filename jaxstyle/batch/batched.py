"""Batched ``stylize.run``: pictures of one shape, coarse to fine, one compiled program a scale."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from jaxstyle import images
from jaxstyle.batch import program
from jaxstyle.batch.cells import (
    Cell,
    alone,
    batch_that_fits,
    layers_of,
    looking_at,
    static_key,
    too_large,
)
from jaxstyle.batch.record import (
    Reached,
    Record,
    RunCheckpoint,
    note_losses,
    record_of,
    report_of,
    restored,
    saved_of,
    totals_of,
)
from jaxstyle.errors import (
    DivergedError,
    ImageError,
    MaskError,
    PictureSizeError,
    SettingError,
    TooSmallError,
)
from jaxstyle.execution.compilation import Compilations, counted, one_ahead
from jaxstyle.execution.factories import (
    exactness,
    optimizer_of,
    rates_of,
    report_every,
    tuned_network,
)
from jaxstyle.execution.footprint import rough_bytes
from jaxstyle.execution.formulation import Layers, objective_at
from jaxstyle.execution.memory import give_back_if_scarce, out_of_memory
from jaxstyle.execution.plan import Image
from jaxstyle.execution.pyramid import Scale
from jaxstyle.losses import objective
from jaxstyle.network import weights
from jaxstyle.network.vgg import VGG19
from jaxstyle.optim.program import Program
from jaxstyle.optim.solve import Hyperparameters, State
from jaxstyle.runs.preprocessing import enlarged, finished, first_image
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.stylize import run
from jaxstyle.settings import Settings

__all__ = [
    "BatchProgress",
    "Cell",
    "RunCheckpoint",
    "batch_that_fits",
    "run_in_halves",
    "run_together",
    "static_key",
]


@dataclass(frozen=True)
class BatchProgress:
    """A progress report of a batch.

    Attributes:
      scales: all scales of the batch, coarse to fine.
      scale: index of the current scale.
      step: steps taken at this scale.
      steps: steps to take at this scale.
      seconds: time since the batch began.
      totals: total loss of each picture, before its last step.
    """

    scales: list[Scale]
    scale: int
    step: int
    steps: int
    seconds: float
    totals: Float[np.ndarray, " n"]


def run_together(
    loaded: weights.Loaded,
    cells: Sequence[Cell],
    callback: Callable[[BatchProgress], None] = lambda progress: None,
    mesh: Mesh | None = None,
    layers: Layers | None = None,
    network: VGG19 | None = None,
    saved: RunCheckpoint | None = None,
    keep: Callable[[Callable[[], RunCheckpoint]], None] = lambda take: None,
) -> list[Result | Exception]:
    """Run style transfer on all cells together, in one program per scale.

    A picture whose loss is not finite is run again by itself with ``stylize.run``, which handles
    divergence.

    Args:
      loaded: weights of the network.
      cells: pictures whose scales have the same sides and steps, and whose settings have the same
        ``static_key``.
      callback: called with every progress report.
      mesh: devices to shard the pictures over; their number must divide the number of cells.
      layers: layers to measure. To share one program between several batches, pass the layers of
        all of them. By default those of ``cells``.
      network: result of ``network_for`` with these layers, if there is one already.
      saved: checkpoint of the same cells to resume from.
      keep: called with every report, before ``callback``. Its argument is a function that returns a
        checkpoint; call it at once or not at all, since the next step donates the buffers it reads.

    Returns:
      For each cell what ``stylize.run`` would return, or the exception it would raise.
    """
    settings = cells[0].settings
    run_alone = _memoized_by_cell(partial(_run_alone, loaded, callback))
    if alone(settings) or too_large(cells[0]):
        return [run_alone(cell) for cell in cells]
    start = time.perf_counter()
    ways = [cell.scales() for cell in cells]
    scales = ways[0]
    layers = layers or layers_of(cell.settings for cell in cells)
    optimizer = optimizer_of(settings)
    network = network or network_for(loaded, settings, layers)
    recolors = [cell.recolored() for cell in cells]
    regions = [regions_of(loaded, c.content.rgb, c.styles, c.settings) for c in cells]
    rates = program.stacked([rates_of(cell.settings) for cell in cells])
    learning_rates, rates = np.asarray(rates.update_scale), program.spread(rates, mesh)
    pictures = [
        first_image(_content_at(scales[0], c, photo), styles, of, scales[0], network, c.settings)
        for c, (photo, styles), of in zip(cells, recolors, regions, strict=True)
    ]

    def prepare(index: int) -> tuple[objective.Objective, Program, State, Compilations]:
        scale = scales[index]
        with counted(here=True) as compiled, exactness(settings):
            resized = _cached_resize(cells)
            each = [
                objective_at(w[index], network, *both, c.settings, layers, resized, of)
                for c, w, both, of in zip(cells, ways, recolors, regions, strict=True)
            ]
            scored = program.together(each, mesh)
            blank = program.state_shape(len(cells), scale.height, scale.width, optimizer, mesh)
            step = program.compile_batch(scored, rates, blank, optimizer, mesh)
            return scored, step, blank, compiled

    # A batch's step takes longer: report after fewer steps, to notice signals as quickly as a
    # single run does.
    every = max(1, report_every(settings) * (mesh.size if mesh else 1) // len(cells))
    first, record = 0, Record([[] for _ in cells], [])
    state, finite = None, np.ones(len(cells), bool)
    if saved:
        first, record = saved["scale"], record_of(saved)
    for index, prepared in one_ahead(prepare, range(first, len(scales))):
        scale, (scored, step, blank, compiled) = scales[index], prepared
        if saved and index == first:
            begin = restored(saved, blank, mesh)
        else:
            photos, resized = [photo for photo, _ in recolors], _cached_resize(cells)
            each = zip(pictures, photos, strict=True)
            begun = [enlarged(image, p, scale, settings, resized) for image, p in each]
            state = state_at(scale, begun, state, step, settings, mesh)
            begin = Reached(0, 0.0, state, finite)
        state = None  # the first step donates its optimizer buffers
        reached = begin
        for reached in minimize(step, scored, rates, begin, scale.steps, every):
            note_losses(record, cells, index, reached, learning_rates)
            keep(partial(saved_of, index, reached, record))
            totals, seconds = totals_of(reached), time.perf_counter() - start
            callback(BatchProgress(scales, index, reached.step, scale.steps, seconds, totals))
        pictures = pictures_of(reached.state, cells)
        state, finite = reached.state, reached.finite
        record.scales.append(report_of(scale, compiled, reached))
    seconds = time.perf_counter() - start

    def result(cell: Cell, picture: Image, records: list[dict[str, Any]]) -> Result:
        image, alpha, maps = finished(picture, cell.content, scales[-1], cell.settings)
        parts = cell.settings, loaded, network.computation(), record.scales, records, seconds
        return Result(image, alpha, *parts, maps)

    each = zip(cells, pictures, record.losses, finite, strict=True)
    return [result(c, p, losses) if sound else run_alone(c) for c, p, losses, sound in each]


def network_for(loaded: weights.Loaded, settings: Settings, layers: Layers) -> VGG19:
    """Return the network, cut off after the deepest of these layers."""
    return tuned_network(loaded, looking_at(layers, settings))


FAILURES = (ImageError, MaskError, SettingError, PictureSizeError, TooSmallError, DivergedError)
"""Exceptions that one bad picture can cause; they do not end the batch."""


def run_in_halves(
    loaded: weights.Loaded,
    cells: Sequence[Cell],
    callback: Callable[[BatchProgress], None] = lambda progress: None,
    mesh: Mesh | None = None,
    layers: Layers | None = None,
    network: VGG19 | None = None,
    shrunk: Callable[[int], None] = lambda size: None,
    **resuming: Any,
) -> list[Result | Exception]:
    """Call ``run_together``, halving the batch if memory runs out or a picture is bad.

    Halving goes on down to single pictures; the exception of one takes the place of its result.

    Args:
      loaded: weights of the network.
      cells: see ``run_together``.
      callback: called with every progress report.
      mesh: devices to shard the pictures over.
      layers: layers to measure.
      network: result of ``network_for`` with these layers, if there is one already.
      shrunk: called with the next batch size when memory has run out.
      **resuming: ``saved`` and ``keep`` of ``run_together``; used only for the whole batch.

    Returns:
      For each cell a result or an exception.
    """
    devices = 1 if mesh is None else mesh.size
    last = cells[0].scales()[-1]
    give_back_if_scarce(len(cells) * rough_bytes(last.height, last.width, cells[0].settings))
    try:
        return run_together(loaded, cells, callback, mesh, layers, network, **resuming)
    except Exception as error:
        scarce = out_of_memory(error)
        if not (scarce or isinstance(error, FAILURES)):
            raise
        if len(cells) == 1:
            return [MemoryError("out of memory: lower --size") if scarce else error]
    if len(cells) <= devices:
        return [run_in_halves(loaded, [c], callback, None, layers)[0] for c in cells]
    half = -(-len(cells) // (2 * devices)) * devices
    if scarce:
        shrunk(half)
    shared = callback, mesh, layers, network, shrunk
    rest = [*cells[half:], *cells][:half]  # padded with cells: both halves share one program
    first = run_in_halves(loaded, cells[:half], *shared)
    return [*first, *run_in_halves(loaded, rest, *shared)][: len(cells)]


def minimize(
    step: Program,
    scored: objective.Objective,
    rates: Hyperparameters,
    begin: Reached,
    steps: int,
    every: int,
) -> Iterator[Reached]:
    """Yield the state of all pictures after each ``every`` steps and after the last.

    Args:
      step: the compiled step.
      scored: the objective of all pictures.
      rates: hyperparameters of all pictures.
      begin: the state to start from; its optimizer buffers are donated.
      steps: number of steps to reach, including those already taken by ``begin``.
      every: number of steps from one yield to the next.
    """
    done, seconds, state, finite = begin.step, begin.seconds, begin.state, begin.finite
    while done < steps:
        start, count = time.perf_counter(), min(every, steps - done)
        state, losses = step(scored, rates, state, count)
        losses = jax.device_get(losses)  # blocks until the devices are done
        seconds += time.perf_counter() - start
        done, finite = done + count, finite & losses.finite
        yield Reached(done, seconds, state, finite, losses)


def state_at(
    scale: Scale,
    pictures: Sequence[Image],
    before: State | None,
    step: Program,
    settings: Settings,
    mesh: Mesh | None,
) -> State:
    """Return the initial state of all pictures at a scale.

    Args:
      scale: the scale that begins.
      pictures: the images to start from, already of this scale's sides.
      before: the last state of the previous scale, if any: ``settings.carry`` reuses its optimizer
        state.
      step: the compiled step, for its optimizer.
      settings: settings that the pictures share.
      mesh: devices to shard the pictures over.
    """
    state = program.init(np.stack(pictures), step.optimizer, mesh)
    if before is None or not settings.carry:
        return state
    sides = scale.height, scale.width
    return replace(state, optimizer=program.carry(before.optimizer, state.optimizer, *sides, mesh))


def pictures_of(state: State, cells: Sequence[Cell]) -> list[Image]:
    """Return each cell's current image on the host: the best so far if ``keep_best`` is set."""
    average, best = np.clip(state.average, 0, 1), np.clip(state.best, 0, 1)
    return [best[i] if c.settings.keep_best else average[i] for i, c in enumerate(cells)]


def _content_at(scale: Scale, cell: Cell, photo: Image) -> Image:
    """Return the cell's content already resized to a scale if there is one, else the photo."""
    return cell.sized.get((scale.height, scale.width), photo)


def _cached_resize(cells: Sequence[Cell]) -> Callable[..., Image]:
    """Return ``images.resize`` with a cache, filled with the cells' resized contents.

    Many cells share a content picture or a style picture.
    """
    cache: dict[tuple, tuple[Image, Image]] = {
        (id(photo), *sides, cell.settings.resampling): (photo, image)
        for cell in cells
        for photo in [cell.colors[0] if cell.colors else cell.content.rgb]
        for sides, image in cell.sized.items()
    }

    def resized(image: Image, height: int, width: int, resampling: str) -> Image:
        key = id(image), height, width, resampling
        if key not in cache:  # the image is kept too: its id must not be reused
            cache[key] = image, images.resize(image, height, width, resampling)
        return cache[key][1]

    return resized


def _run_alone(
    loaded: weights.Loaded, callback: Callable[[BatchProgress], None], cell: Cell
) -> Result | Exception:
    """Run one cell with ``stylize.run``; return the exception if its picture is bad."""

    def watch(progress: Progress) -> None:
        at, total = progress.solver, np.asarray([progress.solver.total])
        where = progress.scales, progress.scale, at.step, at.steps, progress.seconds
        callback(BatchProgress(*where, total))

    try:
        return run(loaded, cell.content, cell.styles, cell.settings, watch, scales=cell.scales())
    except FAILURES as error:
        return error


def _memoized_by_cell(function: Callable[[Cell], Any]) -> Callable[[Cell], Any]:
    """Return the function memoized by cell, since a batch is padded by repeating its cells."""
    cache: dict[int, Any] = {}

    def called(cell: Cell) -> Any:
        if id(cell) not in cache:
            cache[id(cell)] = function(cell)
        return cache[id(cell)]

    return called
