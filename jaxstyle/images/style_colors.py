"""Colors of a photo, moved to those of a style, for a result: as Neural Neighbor Style Transfer.

Kolkin et al., arXiv:2203.13215, by the authors' code. The photo's chroma is given the mean and the
covariance of the style's by a linear map, smoothed along the result's edges, and put in place of
the result's own, which keeps its lightness and its finest detail:

    R' = R + U^4 D^4 (merged(L of R, smoothed(A a + b)) - R)

a is chroma, D halves and U doubles a picture by linear interpolation. Lightness and chroma are
those of Oklab (Ottosson 2020), computed, as by the authors, from sRGB without decoding it.
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from jaxtyping import Float, Float32, Float64

from jaxstyle.images.color import Statistics, map_between, statistics
from jaxstyle.images.resample import resample
from jaxstyle.images.transparency import split

_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_RIDGE = 1e-4  # variance added to the chroma of photo and style, as in the authors' code
_LEVELS = 4  # of detail that the result keeps
_TIMES = 5  # that chroma is smoothed
_SHARPNESS = 5.0


def with_style_colors(
    result: Float32[np.ndarray, "h w 3"],
    content: Float32[np.ndarray, "h w 3"],
    styles: Sequence[Float32[np.ndarray, "_ _ _"]],
    shares: Sequence[float],
) -> Float32[np.ndarray, "h w 3"]:
    """Return a result in the colors of its content, moved to the mean and covariance of the styles.

    Args:
      result: the result.
      content: the content, of its size.
      styles: the style pictures, RGB, or RGB and alpha.
      shares: weight of each style picture; they need not add up to one.
    """
    lightness = oklab(result)[..., 0]
    palettes = [_palette(style) for style in styles]
    chroma = oklab(content)[..., 1:]
    target = _blended([statistics(each) for each in palettes], shares)
    matrix, shift = map_between(statistics(chroma), target, "pca", _RIDGE)
    moved = chroma @ matrix.T + shift
    for _ in range(_TIMES):
        moved = _smoothed(moved, lightness)
    everything = np.concatenate(palettes)
    moved = np.clip(moved, everything.min(axis=0), everything.max(axis=0))
    merged = from_oklab(np.concatenate([lightness[..., None], moved], axis=-1)).clip(0, 1)
    change = (merged - result).astype(np.float32)
    return result + np.stack([_coarse(change[..., i]) for i in range(3)], axis=-1)


def oklab(image: Float[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
    """Return lightness and chroma of colors, taken as linear."""
    return np.cbrt(image.astype(np.float64).clip(0, 1) @ _LMS.T) @ _OKLAB.T


def from_oklab(colors: Float64[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
    """Return the colors of lightness and chroma: the inverse of ``oklab``."""
    return (colors @ np.linalg.inv(_OKLAB).T) ** 3 @ np.linalg.inv(_LMS).T


def _palette(style: Float32[np.ndarray, "h w c"]) -> Float64[np.ndarray, "n 2"]:
    """Return the chroma of all pixels of a style that can be seen."""
    colors, alpha = split(style)
    chroma = oklab(colors)[..., 1:].reshape(-1, 2)
    visible = None if alpha is None else alpha.reshape(-1) > 0.5
    return chroma if visible is None or not visible.any() else chroma[visible]


def _blended(each: Sequence[Statistics], shares: Sequence[float]) -> Statistics:
    means, covariances = zip(*each, strict=True)
    mean, covariance = (np.average(x, axis=0, weights=shares) for x in (means, covariances))
    return Statistics(mean, covariance)


def _smoothed(
    chroma: Float64[np.ndarray, "h w 2"], lightness: Float64[np.ndarray, "h w"]
) -> Float64[np.ndarray, "h w 2"]:
    """Average every 3x3 pixels, less those of another lightness: a bilateral filter."""
    height, width = lightness.shape
    around = np.pad(lightness, 1, mode="edge")
    values = np.pad(chroma, ((1, 1), (1, 1), (0, 0)), mode="edge")
    total, weight = np.zeros_like(chroma), np.zeros((height, width, 1))
    for row in range(3):
        for column in range(3):
            at = slice(row, row + height), slice(column, column + width)
            apart = np.abs(around[at] - lightness)
            share = np.exp(-_SHARPNESS * apart)[..., None] ** 2
            total, weight = total + share * values[at], weight + share
    return total / weight


def _coarse(plane: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Return a plane without the finest levels of its Laplacian pyramid."""
    sides = [plane.shape]
    for _ in range(_LEVELS):
        height, width = sides[-1]
        sides.append((max(1, height // 2), max(1, width // 2)))
    path = [*sides[1:], *reversed(sides[:-1])]
    return reduce(lambda x, size: resample(x, size[0], size[1], "linear"), path, plane)
