"""The main job: settings and pictures in, a stylized picture out.

A run in one sentence: the image is carried from coarse to fine, and at each scale an Optax
transformation steps it down the gradient of content, style and total variation losses measured on
the features of a fixed VGG-19 (Gatys, Ecker, Bethge, CVPR 2016).
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle import image as images
from jaxstyle import objective, pyramid, result, solve, vgg, weights
from jaxstyle.compilation import counted
from jaxstyle.image import Picture
from jaxstyle.optimizers import OPTIMIZERS
from jaxstyle.pyramid import Scale
from jaxstyle.result import Progress, Result, ScaleReport
from jaxstyle.settings import SettingError, Settings, resolve

Source = Any
"""A path, a PIL image or an array: whatever ``jaxstyle.image.read`` takes."""

Image = Float[np.ndarray, "_ _ 3"]

STEPS_PER_REPORT = {"cpu": 1}
STEPS_PER_REPORT_ELSEWHERE = 20

COARSEST_SIDE = 32
"""Scales with a shorter side than this show the network too little to be worth a compilation."""


class PictureSizeError(ValueError):
    """A picture, or the result asked for, has too few pixels for the layers in use."""


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
      content, style: paths, PIL images or arrays (see ``jaxstyle.image.read``).
      weights_file: a file of convert_weights, or ``jaxstyle.weights.load`` of one; if None, the
        default weights, fetched on first use.
      callback: called after every report of the solver.
      settings: fields of ``jaxstyle.Settings``.

    Raises:
      SettingError, ImageError, WeightsError, PictureSizeError, DivergedError: one line each.
    """
    chosen = resolve(**settings)
    each_style = list(style) if isinstance(style, (list, tuple)) else [style]
    pictures = images.read(content), [images.read(each).rgb for each in each_style]
    if not isinstance(weights_file, weights.Loaded):
        weights_file = weights.load(weights.find(weights_file))
    return run(weights_file, *pictures, chosen, callback or (lambda progress: None))


def run(
    loaded: weights.Loaded,
    content: Picture,
    styles: Sequence[Image],
    settings: Settings,
    callback: Callable[[Progress], None],
) -> Result:
    """The same for pictures already read: the whole method, coarse to fine."""
    start = time.perf_counter()
    scales = plan(content, styles, settings)
    network = weights.network(
        loaded.weights,
        pooling=settings.pooling,
        padding=settings.padding,
        dtype=compute_dtype(settings.precision),
    )
    image = first_image(content.rgb, scales[0], settings)
    reports, losses = [], []
    for index, scale in enumerate(scales):
        image = images.resize(image, scale.height, scale.width)
        report = ScaleReport(scale.height, scale.width, scale.steps)
        for solved in solve_scale(network, image, content.rgb, styles, scale, settings, report):
            losses.append(result.loss_record(index, solved))
            callback(Progress(scales, index, solved, time.perf_counter() - start))
            image = solved.image
        reports.append(report)
    alpha = None if content.alpha is None else images.resize(content.alpha, *image.shape[:2])
    seconds = time.perf_counter() - start
    return Result(image, alpha, settings, loaded, reports, losses, seconds)


def solve_scale(
    network: vgg.VGG19,
    image: Image,
    content: Image,
    styles: Sequence[Image],
    scale: Scale,
    settings: Settings,
    report: ScaleReport,
) -> Iterator[solve.Report]:
    """Targets once, one compilation, then the steps of one scale; fills in ``report``."""
    optimizer = OPTIMIZERS[settings.optimizer]()
    rates = solve.Rates(jnp.float32(settings.rate), jnp.float32(settings.average))
    state = solve.init(jnp.asarray(image), optimizer)
    every = STEPS_PER_REPORT.get(jax.default_backend(), STEPS_PER_REPORT_ELSEWHERE)
    with counted() as compiled:
        scored = objective_at(network, content, styles, scale, settings)
        program = solve.compile_program(scored, rates, state, optimizer)
    report.compile_seconds = compiled.seconds
    report.compilations = sum(compiled.programs[name] for name in solve.PROGRAMS)
    for solved in solve.minimize(program, scored, rates, state, scale.steps, every):
        report.run_seconds = solved.seconds
        yield solved


def objective_at(
    network: vgg.VGG19,
    content: Image,
    styles: Sequence[Image],
    scale: Scale,
    settings: Settings,
) -> objective.Objective:
    """The objective at one scale, content and styles resized to it."""
    resized = [images.resize(style, *style_size(style, scale, settings)) for style in styles]
    return objective.build(
        network,
        jnp.asarray(images.resize(content, scale.height, scale.width)),
        [jnp.asarray(style) for style in resized],
        content_weights=settings.content_weights(),
        style_weights=settings.style_weights(),
        tv_weight=settings.tv_weight,
        style_blend=settings.style_blend,
    )


def first_image(content: Image, scale: Scale, settings: Settings) -> Image:
    """Where the optimization starts: the content, uniform noise, or a picture of the user's."""
    if settings.init == "content":
        return images.resize(content, scale.height, scale.width)
    if settings.init == "noise":
        key = jax.random.key(settings.seed)
        return np.asarray(jax.random.uniform(key, (scale.height, scale.width, 3)))
    return images.resize(images.read(settings.init).rgb, scale.height, scale.width)


def plan(content: Picture, styles: Sequence[Image], settings: Settings) -> list[Scale]:
    """The scales of a run, once it is certain that every picture is large enough for it.

    Raises:
      PictureSizeError, SettingError: found before any work is done.
    """
    if settings.style_blend and len(settings.style_blend) != len(styles):
        raise SettingError(
            "style_blend", f"has {len(settings.style_blend)} shares for {len(styles)} style pictures"
        )
    needed = vgg.smallest_side(settings.layers())
    named = {"the content picture": content.rgb} | {
        f"style picture {number}": style for number, style in enumerate(styles, start=1)
    }
    for name, picture in named.items():
        if min(picture.shape[:2]) < needed:
            raise PictureSizeError(
                f"{name} is {picture.shape[1]}x{picture.shape[0]} pixels: "
                f"too small, both sides need at least {needed}"
            )
    height, width = content.rgb.shape[:2]
    scales = pyramid.schedule(
        height,
        width,
        size=settings.size,
        smallest=settings.smallest_size,
        factor=settings.scale_factor,
        steps=settings.steps,
        smallest_side=COARSEST_SIDE,
    )
    _require_room(scales, styles, settings, needed)
    return scales


def _require_room(
    scales: Sequence[Scale], styles: Sequence[Image], settings: Settings, needed: int
) -> None:
    for scale in scales:
        if min(scale.height, scale.width) < needed:
            raise PictureSizeError(
                f"the result would be {scale.width}x{scale.height} pixels at size "
                f"{scale.longest}: both sides need at least {needed}, so raise the size"
            )
        for number, style in enumerate(styles, start=1):
            height, width = style_size(style, scale, settings)
            if min(height, width) < needed:
                raise PictureSizeError(
                    f"style picture {number} would be {width}x{height} pixels at size "
                    f"{scale.longest}: both sides need at least {needed}, so raise the size or "
                    "the style scale"
                )


def style_size(style: Image, scale: Scale, settings: Settings) -> tuple[int, int]:
    """Height and width of a style picture at one scale."""
    longest = max(1, round(scale.longest * settings.style_scale))
    return pyramid.fit(*style.shape[:2], longest)


def compute_dtype(precision: str) -> jnp.dtype:
    """The number format of the network: bfloat16 where the hardware is made for it."""
    if precision == "auto":
        precision = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jnp.dtype(precision)
