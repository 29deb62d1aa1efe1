"""The main job: settings and pictures in, a stylized picture out.

A run in one sentence: the image is carried from coarse to fine, and at each scale an Optax
transformation steps it down the gradient of content, style and total variation losses measured on
the features of a fixed VGG-19 (Gatys, Ecker, Bethge, CVPR 2016).
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle import image as images
from jaxstyle import objective, pyramid, solve, vgg, weights
from jaxstyle.compilation import counted
from jaxstyle.image import Picture
from jaxstyle.optimizers import OPTIMIZERS
from jaxstyle.pyramid import Scale
from jaxstyle.result import Progress, Result, ScaleReport, loss_record
from jaxstyle.settings import SettingError, Settings, resolve

Source = Any
"""A path, a PIL image or an array: whatever ``jaxstyle.image.read`` takes."""

Image = Float[np.ndarray, "_ _ 3"]


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
    if not each_style:
        raise SettingError("style", "give at least one style picture")
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
    every: int | None = None,
) -> Result:
    """The same for pictures already read: the whole method, coarse to fine.

    ``every`` is the number of steps between two reports.
    """
    start = time.perf_counter()
    scales = plan(content, styles, settings)
    network = network_of(loaded, settings)
    optimizer = OPTIMIZERS[settings.optimizer]()
    rates = solve.Rates(jnp.float32(settings.rate), jnp.float32(settings.average))
    image = first_image(content.rgb, scales[0], settings)
    reports, losses = [], []
    for index, scale in enumerate(scales):
        state = solve.init(jnp.asarray(resize(image, scale)), optimizer)
        with counted() as compiled:
            scored = objective_at(scale, network, content.rgb, styles, settings)
            program = solve.compile_program(scored, rates, state, optimizer)
        report = solve.Report.before(rates, state)
        every = every or report_every()
        for report in solve.minimize(program, scored, rates, state, scale.steps, every):
            losses.append(loss_record(index, report))
            callback(Progress(scales, index, report, time.perf_counter() - start))
        image = report.image
        reports.append(ScaleReport.of(scale, compiled, report))
    alpha = None if content.alpha is None else resize(content.alpha, scales[-1])
    seconds = time.perf_counter() - start
    return Result(image, alpha, settings, loaded, reports, losses, seconds)


def objective_at(
    scale: Scale, network: vgg.VGG19, content: Image, styles: Sequence[Image], settings: Settings
) -> objective.Objective:
    """The objective at one scale, content and styles resized to it."""
    sizes = [style_size(style, scale.longest, settings) for style in styles]
    return objective.build(
        network,
        jnp.asarray(resize(content, scale)),
        [jnp.asarray(images.resize(s, *size)) for s, size in zip(styles, sizes, strict=True)],
        content_weights=settings.content_weights(),
        style_weights=settings.style_weights(),
        tv_weight=settings.tv_weight,
        style_blend=settings.style_blend,
        content_loss=settings.content_loss,
        style_loss=settings.style_loss,
    )


def first_image(content: Image, scale: Scale, settings: Settings) -> Image:
    """Where the optimization starts: the content, uniform noise, or a picture of the user's."""
    if settings.init == "content":
        return resize(content, scale)
    if settings.init == "noise":
        key = jax.random.key(settings.seed)
        return np.asarray(jax.random.uniform(key, (scale.height, scale.width, 3)))
    return resize(images.read(settings.init).rgb, scale)


def resize(image: np.ndarray, scale: Scale) -> np.ndarray:
    """An image or its alpha, at the size of a scale."""
    return images.resize(image, scale.height, scale.width)


def plan(content: Picture, styles: Sequence[Image], settings: Settings) -> list[Scale]:
    """The scales of a run, once it is certain that every picture is large enough for it.

    Raises:
      PictureSizeError, SettingError: found before any work is done.
    """
    if settings.style_blend and len(settings.style_blend) != len(styles):
        raise SettingError(
            "style_blend",
            f"has {len(settings.style_blend)} shares for {len(styles)} style pictures",
        )
    needed = vgg.smallest_side(settings.layers())
    named = {"the content picture": content.rgb} | {
        f"style picture {number}": style for number, style in enumerate(styles, start=1)
    }
    for name, picture in named.items():
        _require_side(name, "is", picture.shape[:2], needed, "use a larger one")

    height, width = content.rgb.shape[:2]

    def usable(longest: int) -> bool:
        sizes = [pyramid.fit(height, width, longest)]
        sizes += [style_size(style, longest, settings) for style in styles]
        return min(min(size) for size in sizes) >= needed

    scales = pyramid.schedule(
        height,
        width,
        size=settings.size,
        smallest=settings.smallest_size,
        factor=settings.scale_factor,
        steps=settings.steps,
        usable=usable,
    )
    last = scales[-1]
    _require_side("the result", "would be", (last.height, last.width), needed, "raise the size")
    for number, style in enumerate(styles, start=1):
        size = style_size(style, last.longest, settings)
        _require_side(f"style picture {number}", "would be", size, needed, "raise the style scale")
    return scales


def _require_side(name: str, verb: str, size: tuple[int, int], needed: int, remedy: str) -> None:
    if min(size) < needed:
        raise PictureSizeError(
            f"{name} {verb} {size[1]}x{size[0]} pixels, too small for the layers in use: "
            f"both sides need at least {needed}, so {remedy}"
        )


def style_size(style: Image, longest: int, settings: Settings) -> tuple[int, int]:
    """Height and width of a style picture where the result's longest side is ``longest``."""
    height, width = style.shape[:2]
    return pyramid.fit(height, width, max(1, round(longest * settings.style_scale)))


def network_of(loaded: weights.Loaded, settings: Settings) -> vgg.VGG19:
    """The network as the settings want it; bfloat16 where the hardware is made for it."""
    precision = settings.precision
    if precision == "auto":
        precision = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return weights.network(
        loaded.weights,
        pooling=settings.pooling,
        padding=settings.padding,
        dtype=jnp.dtype(precision),
    )


def report_every() -> int:
    """Steps between two reports: on accelerators each report is a wait for the device."""
    return 1 if jax.default_backend() == "cpu" else 20
