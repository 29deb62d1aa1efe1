"""The main job: settings and pictures in, a stylized picture out.

A run in one sentence: the image is carried from coarse to fine, and at each scale an Optax
transformation steps it down the gradient of content, style and total variation losses measured on
the features of a fixed VGG-19 (Gatys, Ecker, Bethge, CVPR 2016).
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
"""A path, a PIL image or an array: whatever ``jaxstyle.images.read`` takes."""


def stylize(
    content: Source,
    style: Source | Sequence[Source],
    *,
    weights_file: str | os.PathLike | weights.Loaded | None = None,
    callback: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> Result:
    """Stylize one content picture after one or several style pictures.

    Args:
      content, style: paths, PIL images or arrays (see ``jaxstyle.images.read``); a folder stands
        for all style pictures in it.
      weights_file: a file of convert_weights, or ``jaxstyle.network.weights.load`` of one; if
        None, the default weights, fetched on first use.
      callback: called after every report of the solver.
      settings: fields of ``jaxstyle.Settings``. ``optimizer`` may be any Optax transformation,
        such as ``optax.adam(0.02)``: its updates are added to the image as they are.

    Raises:
      JaxstyleError: SettingError, ImageError, WeightsError, PictureSizeError or DivergedError.
    """
    chosen = resolve(**settings)
    pictures = images.read(content), read_styles(style)
    return run(weights.loaded(weights_file), *pictures, chosen, callback or (lambda progress: None))


def read_styles(style: Source | Sequence[Source]) -> list[Image]:
    """The style pictures: one source, or several, or folders of pictures.

    Raises:
      SettingError, ImageError: there is none, or one that cannot be read.
    """
    each = images.listed(style if isinstance(style, list | tuple) else [style])
    if not each:
        raise SettingError("style", "give at least one style picture")
    return [images.read(source).rgb for source in each]


class Prepared(NamedTuple):
    """What a scale needs: the way it is worked on, its losses and its step."""

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
    """The same for pictures already read: the whole method, coarse to fine.

    ``every`` is the number of steps between two reports. After each, ``keep`` is given what the run
    has reached; with that as ``saved`` it goes on from there, to the same bytes. ``scales`` are
    those of ``plan``, and ``regions`` those of ``regions_of``, unless others are given. ``pause``
    is called within long steps, and may raise.
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
        saved, state = RunCheckpoint(), None  # the optimizer's buffers are the solver's now
        for report in running:
            losses.append(loss_record(index, report))
            seconds = time.perf_counter() - start
            # A callback may keep it; the optimizer's memory is large, and the solver's own.
            shown = replace(report, state=replace(report.state, optimizer=None))
            callback(Progress(scales, index, shown, seconds))
            keep(RunCheckpoint(index, report, reports, losses, seconds, mixtures))
        image, state = report.image, report.state
        reports.append(ScaleReport.of(scale, way, compiled, report))
    done = finished(image, content, scales[-1], settings)
    seconds = time.perf_counter() - start
    how = settings, loaded, network.computation()
    return Result(done.image, done.alpha, *how, reports, losses, seconds, done.maps)


def state_at(
    scale: Scale,
    image: Image,
    content: Image,
    before: solve.State | None,
    optimizer: optax.GradientTransformation,
    settings: Settings,
    way: Strategy = WHOLE,
) -> solve.State:
    """The solver's state before the first step of a scale, and what is carried to it."""
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
    """A report that was kept, its state where this way wants it."""
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
    """The same where each of several devices has a part of the picture."""
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
    """The style pictures, their fine texture replaced by that of ``settings.fine_style``.

    Gatys et al. 2017, section 6: the image starts from the coarse style and is given the Gram
    matrices of the fine one in the layers up to relu2_1, with no content loss.
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
