"""Resampling rules: how one plane of pixels becomes another of a different size.

Peers resize by different rules, and a preset that repeats one of them must see the same pixels.
Two rules that Pillow does not have, one axis at a time, n pixels becoming m, in float64 and with
positions as exact fractions, so that no edge falls on the wrong side of a pixel:

    area, m < n     pixel i is the mean of the input over [i n / m, (i + 1) n / m), pixels that
                    lie partly in it counting for that part
    area, m > n     linear, at i (n - 1) / (m - 1): the outermost pixels stay where they are
    linear          linear, at (i + 1/2) n / m - 1/2 held to [0, n - 1]: no antialiasing

"area" is Torch7's image.scale (generic/image.c, scaleLinear_rowcol), of jcjohnson/neural-style and
Deep Photo; "linear" is TensorFlow's tf.image.resize with its default settings.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32, Float64, Int
from PIL import Image

from jaxstyle.images._strips import cut, strips

_PILLOW = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
}

RESAMPLINGS = ("lanczos", *_PILLOW, "area", "linear")
"""The rules by name. The first four are Pillow's; of these only "nearest" is not antialiased."""


def resample(
    plane: Float32[np.ndarray, "h w"], height: int, width: int, resampling: str
) -> Float32[np.ndarray, "{height} {width}"]:
    """A plane of another size by one of `RESAMPLINGS`.

    "lanczos" is Lanczos when the picture shrinks, which keeps it crisp, and bicubic when it grows,
    which rings less at hard edges. These two can leave the range of the input.
    """
    if resampling == "area":
        return _separable(plane, height, width, _area)
    if resampling == "linear":
        return _separable(plane, height, width, _linear)
    if resampling == "lanczos":
        shrinks = height * width < plane.shape[0] * plane.shape[1]
        kernel = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    else:
        kernel = _PILLOW[resampling]
    image = Image.fromarray(np.ascontiguousarray(plane))  # float32 becomes mode F
    image = image.resize((width, height), kernel)
    resized = np.empty((height, width), np.float32)
    for rows in strips(height, width):  # Pillow makes copies of what it gives away
        resized[rows] = np.asarray(cut(image, rows))
    return resized


def _separable(
    plane: Float32[np.ndarray, "h w"],
    height: int,
    width: int,
    rule: Callable[[np.ndarray, int], np.ndarray],
) -> Float32[np.ndarray, "{height} {width}"]:
    """Both axes by the same rule, the one that shrinks the most first: less is left to hold."""
    sizes = (height, width)
    for axis in sorted((0, 1), key=lambda axis: sizes[axis] / plane.shape[axis]):
        if sizes[axis] != plane.shape[axis]:
            rows = rule(plane.swapaxes(0, axis), sizes[axis])
            plane = rows.swapaxes(0, axis)
    return plane.astype(np.float32)


def _area(plane: Float[np.ndarray, "n k"], size: int) -> Float64[np.ndarray, "{size} k"]:
    """Torch7's rule for the rows."""
    before = len(plane)
    if size > before:
        return _interpolate(plane, np.arange(size) * (before - 1), size - 1)
    # The sum over [a, b) is that of the whole rows from floor(a) to floor(b), less the part of the
    # first of them that lies before a, plus the part of row floor(b) that lies before b.
    edges, parts = np.divmod(np.arange(size + 1) * before, size)
    sums = np.add.reduceat(plane, edges[:-1], axis=0, dtype=np.float64)
    cut = plane[edges[1:-1]] * (parts[1:-1, None] / size)
    sums[1:] -= cut
    sums[:-1] += cut
    return sums * (size / before)


def _linear(plane: Float[np.ndarray, "n k"], size: int) -> Float64[np.ndarray, "{size} k"]:
    """TensorFlow's rule for the rows."""
    before = len(plane)
    halves = (2 * np.arange(size) + 1) * before - size
    return _interpolate(plane, halves.clip(0, 2 * size * (before - 1)), 2 * size)


def _interpolate(
    plane: Float[np.ndarray, "n k"], numerators: Int[np.ndarray, " m"], denominator: int
) -> Float64[np.ndarray, "m k"]:
    """Linear interpolation between rows, at numerators / denominator."""
    lower, parts = np.divmod(numerators, denominator)
    upper = np.minimum(lower + 1, len(plane) - 1)
    between = np.empty((len(lower), plane.shape[1]))
    for rows in strips(*between.shape):
        low = plane[lower[rows]].astype(np.float64)
        between[rows] = low + (plane[upper[rows]] - low) * (parts[rows, None] / denominator)
    return between


def resize(
    values: Float32[np.ndarray, "height width *channels"],
    height: int,
    width: int,
    resampling: str = "lanczos",
) -> Float32[np.ndarray, "{height} {width} *channels"]:
    """Resample an image (or alpha, without a channel axis) in float32; clipped to [0, 1].

    The same size gives the same values, by any rule.

    Args:
      resampling: one of `RESAMPLINGS`, which `resample` explains.

    Raises:
      ValueError: if a size is less than 1, or if there is no such rule.
    """
    if min(height, width) < 1:
        raise ValueError(f"sizes must be at least 1: {height} x {width}")
    if resampling not in RESAMPLINGS:
        raise ValueError(f"no resampling {resampling!r}: choose from {', '.join(RESAMPLINGS)}")
    if values.shape[:2] == (height, width):
        return values.copy()
    channels = values.reshape(*values.shape[:2], -1)
    resized = np.empty((height, width, channels.shape[2]), np.float32)
    for channel in range(channels.shape[2]):  # one at a time: a large picture is large enough
        plane = channels[..., channel]
        np.clip(resample(plane, height, width, resampling), 0, 1, out=resized[..., channel])
    return resized.reshape(height, width, *values.shape[2:])
