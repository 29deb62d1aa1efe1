"""Neural style transfer from start to finish: ``stylize`` for sources, ``run`` for decoded images.

The image is optimized coarse to fine. At each scale an Optax transformation takes gradient steps on
a weighted sum of content, style and total variation losses, measured on the features of a fixed
VGG-19 (Gatys, Ecker, Bethge, CVPR 2016). The result of one scale, enlarged, starts the next.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxstyle import images
from jaxstyle.errors import PictureSizeError, SettingError
from jaxstyle.execution import sharding
from jaxstyle.execution.compilation import Compilations, counted, in_turn, one_ahead
from jaxstyle.execution.factories import (
    exactness,
    optimizer_of,
    rates_of,
    report_every,
    tuned_network,
)
from jaxstyle.execution.footprint import way_of
from jaxstyle.execution.formulation import (
    AnyObjective,
    mesh_of_all,
    objective_at,
    program_of,
    state_shape,
)
from jaxstyle.execution.plan import Image, plan, require_side, style_size
from jaxstyle.execution.pyramid import Scale
from jaxstyle.execution.strategy import WHOLE, Strategy, storage_device
from jaxstyle.execution.tiles.program import TiledProgram
from jaxstyle.guidance.masks import Regions
from jaxstyle.images import Picture
from jaxstyle.network import vgg, weights
from jaxstyle.optim import optimizers, solve
from jaxstyle.runs.preprocessing import enlarged, finished, first_image, recolored
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import Progress, Result, ScaleReport, loss_record
from jaxstyle.runs.run_checkpoint import RunCheckpoint
from jaxstyle.settings import ONE_SCALE, Settings, resolve

__all__ = ["PictureSizeError", "run", "stylize"]

Source = Any
"""A path, a PIL image or an array: anything that ``jaxstyle.images.read`` accepts."""


def stylize(
    content: Source,
    style: Source | Sequence[Source],
    *,
    weights_file: str | os.PathLike | weights.Loaded | None = None,
    callback: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> Result:
    """Render a content picture in the style of one or several style pictures.

    Args:
      content: a path, a PIL image or an array (see ``jaxstyle.images.read``).
      style: one such source or a list of them; a folder stands for all pictures in it.
      weights_file: a weights file written by ``convert_weights``, or weights returned by
        ``jaxstyle.network.weights.load``. If None, the default weights, downloaded on first use.
      callback: called with a ``Progress`` each time the solver reports.
      **settings: fields of ``jaxstyle.Settings``. ``optimizer`` may be any Optax transformation,
        such as ``optax.adam(0.02)``; its updates are added to the image unchanged.

    Returns:
      The stylized picture, with the settings, losses and timings of the run.

    Raises:
      JaxstyleError: SettingError, ImageError, WeightsError, PictureSizeError or DivergedError.
    """
    chosen = resolve(**settings)
    pictures = images.read(content), read_styles(style)
    return run(weights.loaded(weights_file), *pictures, chosen, callback or (lambda progress: None))


def read_styles(style: Source | Sequence[Source]) -> list[Image]:
    """Read the style pictures: one source or several, folders standing for their pictures.

    Raises:
      SettingError: there is no style picture.
      ImageError: a picture cannot be read.
    """
    each = images.listed(style if isinstance(style, list | tuple) else [style])
    if not each:
        raise SettingError("style", "give at least one style picture")
    return [images.read(source).rgb for source in each]


class Prepared(NamedTuple):
    """A scale made ready to run, with its targets computed and its step compiled.

    Attributes:
      way: the execution strategy.
      objective: the losses, with their targets.
      program: the compiled optimizer step.
      compiled: count and duration of the compilations.
    """

    way: Strategy
    objective: AnyObjective
    program: solve.Program | TiledProgram
    compiled: Compilations


def run(
    loaded: weights.Loaded,
    content: Picture,
    styles: Sequence[Image],
    settings: Settings,
    callback: Callable[[Progress], None],
    every: int | None = None,
    saved: RunCheckpoint | None = None,
    keep: Callable[[RunCheckpoint], None] = lambda saved: None,
    scales: Sequence[Scale] = (),
    regions: Regions | None = None,
    pause: Callable[[], None] = lambda: None,
) -> Result:
    """Run style transfer on decoded images, from the coarsest scale to the finest.

    Args:
      loaded: weights of the network.
      content: content picture, height x width x 3 and maybe an alpha channel.
      styles: style pictures, height x width x 3.
      settings: settings of the run.
      callback: called with a ``Progress`` at each report.
      every: number of steps between two reports; if None, chosen for the device.
      saved: checkpoint to resume from. The result is identical, byte for byte, to that of a run
        that was never interrupted.
      keep: called with a checkpoint at each report.
      scales: the scales to run; if empty, those of ``plan``.
      regions: guidance regions; if None, those of ``regions_of``.
      pause: called after every tile, at scales computed in tiles; may raise to end the run.

    Returns:
      The picture, with the settings, losses and timings of the run.

    Raises:
      SettingError, MaskError, ImageError, PictureSizeError: the inputs do not fit together.
      DivergedError: the optimization diverged.
    """
    saved = saved or RunCheckpoint()
    start = time.perf_counter() - saved.seconds
    scales = list(scales) or plan(content.rgb, styles, settings)
    network = tuned_network(loaded, settings)
    regions = regions or regions_of(loaded, content.rgb, styles, settings)
    mixtures = []
    if settings.fine_style:
        mixtures = with_fine_texture(loaded, styles, scales[-1], settings, callback, saved, keep)
        styles = mixtures
        saved = RunCheckpoint() if saved.preparing else saved
    photo, styles = recolored(content.rgb, styles, settings)
    optimizer, rates = optimizer_of(settings), rates_of(settings)
    image = first_image(photo, styles, regions, scales[0], network, settings)
    state, reports, losses = None, list(saved.scales), list(saved.losses)

    def prepare(scale: Scale) -> Prepared:
        with counted(here=True) as compiled, exactness(settings):
            way = way_of(scale, network, styles, settings, regions)
            given = scale, network, photo, styles, settings
            scored = objective_at(*given, regions=regions, way=way, pause=pause)
            program = program_of(scored, rates, state_shape(scale, optimizer, way), optimizer)
            return Prepared(way, scored, program, compiled)

    ahead = (in_turn if settings.shard == "space" else one_ahead)(prepare, scales[saved.scale :])
    for index, (scale, prepared) in enumerate(ahead, start=saved.scale):
        way, scored, program, compiled = prepared
        report = restored(saved.report, scale, way) or solve.Report.before(
            rates, state_at(scale, image, photo, state, optimizer, settings, way)
        )
        running = solve.minimize(
            program,
            scored,
            report.rates,
            report.state,
            scale.steps,
            every or (1 if way.tile else report_every(settings)),
            course=report.course,
            tolerance=settings.tolerance,
            best=settings.keep_best,
        )
        # Drop these references: the solver donates the optimizer's buffers to its program.
        saved, state = RunCheckpoint(), None
        for report in running:
            losses.append(loss_record(index, report))
            seconds = time.perf_counter() - start
            # The callback may keep its report: leave out the optimizer state, which is large and
            # will be donated.
            shown = replace(report, state=replace(report.state, optimizer=None))
            callback(Progress(scales, index, shown, seconds))
            keep(RunCheckpoint(index, report, reports, losses, seconds, mixtures))
        image, state = report.image, report.state
        reports.append(ScaleReport.of(scale, way, compiled, report))
    done = finished(image, content, scales[-1], settings)
    seconds = time.perf_counter() - start
    return Result(
        done.image,
        done.alpha,
        settings,
        loaded,
        network.computation(),
        reports,
        losses,
        seconds,
        done.maps,
    )


def state_at(
    scale: Scale,
    image: Image,
    content: Image,
    before: solve.State | None,
    optimizer: optax.GradientTransformation,
    settings: Settings,
    way: Strategy = WHOLE,
) -> solve.State:
    """Return the solver state before the first step of a scale.

    Args:
      scale: the scale to start.
      image: result of the previous scale, or the initial image.
      content: the content picture at full size.
      before: final state of the previous scale, None for the first one. If ``settings.carry``,
        the optimizer's moments are resized from it.
      optimizer: the optimizer whose state is initialized.
      settings: settings of the run.
      way: execution strategy of the scale; it decides where the arrays are stored.
    """
    if way.split:
        return split_state_at(
            enlarged(image, content, scale, settings), before, optimizer, settings
        )
    with jax.default_device(storage_device(way)) if way.on_host else nullcontext():
        state = solve.init(jnp.asarray(enlarged(image, content, scale, settings)), optimizer)
        if before is not None and settings.carry:
            fresh, sides = state.optimizer, (scale.height, scale.width)
            state = replace(state, optimizer=optimizers.carry(before.optimizer, fresh, *sides))
    return jax.device_put(state, storage_device(way)) if way.on_host else state


def restored(report: solve.Report | None, scale: Scale, way: Strategy) -> solve.Report | None:
    """Return a report from a checkpoint, its state moved to where the strategy stores it."""
    if report is None or not (way.split or way.on_host):
        return report
    if way.on_host:
        return replace(report, state=jax.device_put(report.state, storage_device(way)))
    sides = scale.height, scale.width
    return replace(report, state=sharding.placed(report.state, sides, mesh_of_all()))


def split_state_at(
    image: Image,
    before: solve.State | None,
    optimizer: optax.GradientTransformation,
    settings: Settings,
) -> solve.State:
    """Return the solver state before the first step, its rows sharded over all devices."""
    height, width, _ = image.shape
    mesh = mesh_of_all()
    state = sharding.init(image, optimizer, mesh)
    if before is None or not settings.carry:
        return state
    return sharding.carry(before, state, mesh)


def with_fine_texture(
    loaded: weights.Loaded,
    styles: Sequence[Image],
    scale: Scale,
    settings: Settings,
    callback: Callable[[Progress], None],
    saved: RunCheckpoint,
    keep: Callable[[RunCheckpoint], None],
) -> list[Image]:
    """Return the style pictures with their fine texture replaced by that of another picture.

    Gatys et al. 2017, section 6: optimization starts from the (coarse) style picture, and matches
    the Gram matrices of ``settings.fine_style`` in the layers up to relu2_1, with no content loss.

    Args:
      scale: the finest scale of the run, for which the pictures are made.
      saved: checkpoint of the run; pictures that it has already are not made again.
      keep: called with a checkpoint, marked ``preparing``, at each report.

    Raises:
      SettingError: no style layer is at or below relu2_1.
      PictureSizeError: the fine style picture is too small.
    """
    fine = images.read(settings.fine_style).rgb
    shallow = {
        layer: share
        for layer, share in settings.style_layers.items()
        if vgg.LAYERS.index(layer) <= vgg.LAYERS.index("relu2_1")
    }
    if not shallow:
        raise SettingError("fine_style", "needs a style layer up to relu2_1")
    needed = vgg.smallest_side(shallow)
    require_side("the fine style", fine.shape[:2], needed, remedy="use a larger one")

    def preparing(progress: Progress) -> None:
        callback(replace(progress, preparing=True))

    def keep_preparing(reached: RunCheckpoint) -> None:
        keep(replace(reached, mixtures=mixtures, preparing=True))

    mixtures = list(saved.mixtures)
    begun = saved if saved.preparing else None
    for index, style in enumerate(styles[len(mixtures) :], start=len(mixtures)):
        mixing = replace(
            settings,
            fine_style="",
            size=max(style_size(style, index, scale, settings)),
            size_rule="longest",
            smallest_size=ONE_SCALE,
            content_weight=0.0,
            style_layers=shallow,
            style_scale=(1.0,),
            style_blend=(),
            init="content",
            init_noise=0.0,
            padding="reflect" if settings.padding == "circular" else settings.padding,
            color_match="none",
            original_colors=False,
            content_mask=(),
            style_mask=(),
            auto_masks=0,
            photorealism_weight=(0.0,),
            smooth_radius=0,
            refine=False,
        )
        mixed = run(loaded, Picture(style), [fine], mixing, preparing, None, begun, keep_preparing)
        mixtures.append(mixed.image)
        begun = None
    return mixtures
