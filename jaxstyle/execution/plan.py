"""The plan of a run: sizes and steps from coarse to fine, checked before any work is done.

The receptive field of VGG-19 is fixed in pixels. So large shapes are formed while the picture is
small, and only texture is left for large sizes, where steps are expensive (Gatys et al. 2017,
section 6).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import jax
import numpy as np
from jaxtyping import Float

from jaxstyle import images
from jaxstyle.errors import PictureSizeError, SettingError
from jaxstyle.execution.tiles.grid import alignment, untileable
from jaxstyle.images import sizes
from jaxstyle.network import vgg
from jaxstyle.settings import Settings
from jaxstyle.settings.checks import MAX_SIZE

Image = Float[np.ndarray, "_ _ _"]

Number = TypeVar("Number", int, float)

PERIOD = 16
"""Sides of a picture that wraps around must be multiples of this: four poolings halve them."""


class Scale(NamedTuple):
    """A scale of a run.

    Attributes:
      height: height of the image in pixels.
      width: width of the image in pixels.
      size: the nominal size from which both sides were computed.
      steps: optimizer steps.
      photorealism: weight of the matting-Laplacian energy.
      content: factor of the content weight.
      style_loss: name of the style loss; empty for that of the settings.
    """

    height: int
    width: int
    size: int
    steps: int
    photorealism: float = 0.0
    content: float = 1.0
    style_loss: str = ""


def plan(content: Image, styles: Sequence[Image], settings: Settings) -> list[Scale]:
    """Return the scales of a run, after checking the settings and the sizes of all pictures.

    Args:
      content: content picture at full size; only its shape matters.
      styles: style pictures at full size; only their shapes matter.
      settings: settings of the run.

    Returns:
      The scales, coarsest first. Scales too coarse for the layers in use are left out.

    Raises:
      PictureSizeError: a picture is too small for the layers in use.
      SettingError: settings contradict each other, or do not fit the number of style pictures.
    """
    check_counts(styles, settings)
    check_execution(settings)
    if settings.photorealistic and settings.padding == "circular":
        raise SettingError(
            "photorealism_weight", "does not work with circular padding: use another padding"
        )
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

    scales = schedule(
        fitted,
        size=size,
        smallest=settings.smallest_size,
        factor=settings.scale_factor,
        steps=settings.steps,
        usable=usable,
        photorealism=settings.photorealism_weight,
        content=settings.content_factors,
        last_style_loss=settings.last_style_loss,
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


def check_execution(settings: Settings) -> None:
    """Check that the tiles or the sharding that the settings ask for are possible.

    Raises:
      SettingError: they are not.
    """
    for name, loss in settings.joint_losses().items():
        if settings.normalize_gradients:
            raise SettingError("normalize_gradients", f"does not go with --{_flag(name)} {loss}")
        if settings.shard == "space":
            raise SettingError("shard", f"space does not go with --{_flag(name)} {loss}")
    if settings.shard == "space":
        if settings.tile_side:
            raise SettingError("shard", "space does not go with tiles: leave --tile out")
        if jax.device_count() == 1:
            raise SettingError("shard", "space needs several devices, and JAX finds one")
    if not settings.tile_side:
        return
    if reason := untileable(settings):
        raise SettingError("tile", reason)
    multiple = alignment(settings.layers())
    if settings.tile_side % multiple:
        raise SettingError(
            "tile", f"must be a multiple of {multiple} for these layers, not {settings.tile}"
        )


def _flag(name: str) -> str:
    return name.replace("_", "-")


def schedule(
    fitted: Callable[[int], tuple[int, int]],
    *,
    size: int,
    smallest: int,
    factor: float,
    steps: Sequence[int],
    usable: Callable[[int], bool] = lambda size: True,
    photorealism: Sequence[float] = (0.0,),
    content: Sequence[float] = (1.0,),
    last_style_loss: str = "none",
) -> list[Scale]:
    """Return the scales of a run, coarsest first.

    Args:
      fitted: function from a size to the picture's height and width.
      size: size of the result.
      smallest: smallest size, see ``sizes.ladder_of``.
      factor: ratio of successive sizes, see ``sizes.ladder_of``.
      steps: steps per scale, coarsest first; the last number is repeated for further scales.
      usable: function that returns whether a size can be run; the last size is kept in any case.
      photorealism: photorealism weights. The finest scale is run once with each, in this order; the
        coarser scales use the first.
      content: factors of the content weight per scale, in the manner of ``steps``.
      last_style_loss: style loss of one more pass at the finest scale; "none" for no such pass.
    """
    ladder = sizes.ladder_of(size, smallest, factor)
    more = last_style_loss != "none"
    finest = [*photorealism, photorealism[-1]] if more else [*photorealism]
    chosen = [*filter(usable, ladder[:-1]), *[ladder[-1]] * len(finest)]
    weights = [photorealism[0]] * (len(chosen) - len(finest)) + finest
    # Numbers belong to places in the full ladder: a scale left out does not shift the others.
    first = len(ladder) - 1 + len(finest) - len(chosen)
    scales = [
        Scale(*fitted(size), size, number_of(steps, place), weight, number_of(content, place))
        for place, (size, weight) in enumerate(zip(chosen, weights, strict=True), first)
    ]
    return [*scales[:-1], scales[-1]._replace(style_loss=last_style_loss)] if more else scales


def number_of(numbers: Sequence[Number], place: int) -> Number:
    """Return the number of the scale at a place in the ladder: the last one repeats."""
    return numbers[min(place, len(numbers) - 1)]


def check_counts(styles: Sequence[Image], settings: Settings) -> None:
    """Check that there is one blend share and one scale for each style picture.

    A single scale stands for all style pictures; no shares mean equal ones.

    Raises:
      SettingError: the numbers do not match.
    """
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
    """Return the height and width of a style picture at a scale.

    Args:
      style: the style picture at full size.
      index: its place among the style pictures, from zero.
      scale: scale of the result.
      settings: settings of the run.
    """
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


def largest_sides(scale: Scale, styles: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the sides of the picture with most pixels: the image at a scale, or a style."""
    return max([(scale.height, scale.width), *styles], key=math.prod)


def resize(image: np.ndarray, scale: Scale, settings: Settings) -> np.ndarray:
    """Return an image, or an alpha channel, resized to a scale."""
    return images.resize(image, scale.height, scale.width, settings.resampling)


def whole_periods(sides: tuple[int, int]) -> tuple[int, int]:
    """Return the sides rounded to the nearest multiples of ``PERIOD``, at least one period."""
    height, width = (max(PERIOD, round(side / PERIOD) * PERIOD) for side in sides)
    return height, width


def seamless(image: Image, scale: Scale, settings: Settings) -> Image:
    """Return a picture that wraps around resized to a scale, without a seam at its edges."""
    tiled = np.tile(image, (3, 3, 1))
    larger = images.resize(tiled, 3 * scale.height, 3 * scale.width, settings.resampling)
    return larger[scale.height : -scale.height, scale.width : -scale.width]


def rule_of(settings: Settings) -> sizes.SizeRule:
    """Return the rule by which sizes are measured; "own" sizes are longest sides."""
    return "longest" if settings.size_rule == "own" else settings.size_rule


def require_side(
    name: str, size: tuple[int, int], needed: int, verb: str = "is", remedy: str = ""
) -> None:
    """Check that a picture is large enough for the layers in use.

    Args:
      name: the picture's name in the message.
      size: its height and width.
      needed: smallest side allowed.
      verb: "is" or "would be".
      remedy: advice that ends the message.

    Raises:
      PictureSizeError: a side is too small.
    """
    if min(size) < needed:
        raise PictureSizeError(
            f"{name} {verb} {size[1]}x{size[0]} pixels, too small for the layers in use: "
            f"both sides need at least {needed}{remedy and ', so ' + remedy}"
        )


def blank(height: int, width: int) -> Image:
    """Return a black picture that takes no memory, to stand for a shape."""
    return np.broadcast_to(np.float32(0), (height, width, 3))
