"""The plan of a run: how large every picture is at every scale, settled before any work is done."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxstyle import images
from jaxstyle.errors import PictureSizeError, SettingError
from jaxstyle.execution import pyramid, strategy
from jaxstyle.execution.pyramid import Scale
from jaxstyle.images import sizes
from jaxstyle.network import vgg
from jaxstyle.settings import Settings
from jaxstyle.settings.checks import MAX_SIZE

Image = Float[np.ndarray, "_ _ 3"]

PERIOD = 16
"""Sides of a picture without borders are multiples of this: the network halves them four times."""


def plan(content: Image, styles: Sequence[Image], settings: Settings) -> list[Scale]:
    """The scales of a run, once it is certain that every picture is large enough for it.

    Raises:
      PictureSizeError, SettingError: found before any work is done.
    """
    check_counts(styles, settings)
    strategy.check(settings)
    if settings.photorealistic and settings.padding == "circular":
        raise SettingError("photorealism_weight", "is for pictures with borders: not circular ones")
    needed = vgg.smallest_side(settings.layers())
    larger = "use a larger one"
    shown = "the content picture" if settings.content_weights() else "the picture"
    require_side(shown, content.shape[:2], needed, remedy=larger)
    for number, style in enumerate(styles, start=1):
        require_side(f"style picture {number}", style.shape[:2], needed, remedy=larger)

    height, width = content.shape[:2]
    size = max(height, width) if settings.size_rule == "own" else settings.size

    def fitted(size: int) -> tuple[int, int]:
        sides = sizes.fit(height, width, size, rule_of(settings))
        return whole_periods(sides) if settings.padding == "circular" else sides

    def usable(size: int) -> bool:
        scale = Scale(*fitted(size), size, 0)
        sizes = [style_size(style, i, scale, settings) for i, style in enumerate(styles)]
        return min(min(size) for size in [(scale.height, scale.width), *sizes]) >= needed

    scales = pyramid.schedule(
        fitted,
        size=size,
        smallest=settings.smallest_size,
        factor=settings.scale_factor,
        steps=settings.steps,
        usable=usable,
        photorealism=settings.photorealism_weight,
    )
    last = scales[-1]
    if max(last.height, last.width) > MAX_SIZE:
        raise SettingError("size", f"would make {last.width}x{last.height} pixels: lower it")
    sides = last.height, last.width
    require_side("the result", sides, needed, "would be", "raise the size")
    for index, style in enumerate(styles):
        sides = style_size(style, index, last, settings)
        name = f"style picture {index + 1}"
        require_side(name, sides, needed, "would be", "raise the style scale")
    return scales


def check_counts(styles: Sequence[Image], settings: Settings) -> None:
    """Raises SettingError where there is not one share, or one scale, for each style picture."""
    if settings.style_blend and len(settings.style_blend) != len(styles):
        raise SettingError(
            "style_blend",
            f"has {len(settings.style_blend)} shares for {len(styles)} style pictures",
        )
    if len(settings.style_scale) not in (1, len(styles)):
        raise SettingError(
            "style_scale",
            f"has {len(settings.style_scale)} scales for {len(styles)} style pictures",
        )


def style_size(style: Image, index: int, scale: Scale, settings: Settings) -> tuple[int, int]:
    """Height and width of a style picture, the ``index``-th one, where the result has ``scale``."""
    height, width = style.shape[:2]
    if settings.style_fit == "stretch":
        return scale.height, scale.width
    factor = settings.style_scale[index % len(settings.style_scale)]
    if settings.style_fit == "width":
        fitted_width = max(1, math.floor(scale.width * factor))
        return max(1, math.floor(height * fitted_width / width)), fitted_width
    size = max(1, round(scale.size * factor))
    if settings.style_fit == "no-enlarging" and max(height, width) <= size:
        return height, width
    return sizes.fit(height, width, size, rule_of(settings))


def resize(image: np.ndarray, scale: Scale, settings: Settings) -> np.ndarray:
    """An image or its alpha, at the size of a scale."""
    return images.resize(image, scale.height, scale.width, settings.resampling)


def whole_periods(sides: tuple[int, int]) -> tuple[int, int]:
    """The nearest sides that a picture without borders can have."""
    height, width = (max(PERIOD, round(side / PERIOD) * PERIOD) for side in sides)
    return height, width


def seamless(image: Image, scale: Scale, settings: Settings) -> Image:
    """A picture without borders at the size of a scale: what is beyond its edge is itself again."""
    tiled = np.tile(image, (3, 3, 1))
    larger = images.resize(tiled, 3 * scale.height, 3 * scale.width, settings.resampling)
    return larger[scale.height : -scale.height, scale.width : -scale.width]


def rule_of(settings: Settings) -> sizes.SizeRule:
    """How sizes are measured; a picture's own size is its longest side."""
    return "longest" if settings.size_rule == "own" else settings.size_rule


def require_side(
    name: str, size: tuple[int, int], needed: int, verb: str = "is", remedy: str = ""
) -> None:
    """Raises PictureSizeError where a picture of this height and width is too small."""
    if min(size) < needed:
        raise PictureSizeError(
            f"{name} {verb} {size[1]}x{size[0]} pixels, too small for the layers in use: "
            f"both sides need at least {needed}{remedy and ', so ' + remedy}"
        )


def blank(height: int, width: int) -> Image:
    """A picture that has a shape and takes no memory."""
    return np.broadcast_to(np.float32(0), (height, width, 3))
