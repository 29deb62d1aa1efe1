"""Image resizing by several resampling rules.

Other implementations of style transfer resize by different rules, and a preset that reproduces one
of them needs the same pixels. Most rules are Pillow's; two are implemented here, separably in
float64. To resize n pixels to m along an axis, they use positions that are exact fractions, so that
no rounding moves an edge to another pixel:

    area, m < n     pixel i is the mean of the input over [i n / m, (i + 1) n / m), with pixels
                    weighted by the part of them that lies inside
    area, m > n     linear interpolation at i (n - 1) / (m - 1): the outermost pixels are kept
    linear          linear interpolation at (i + 1/2) n / m - 1/2, clamped to [0, n - 1], without
                    antialiasing

"area" is Torch7's image.scale (generic/image.c, scaleLinear_rowcol), used by
jcjohnson/neural-style and Deep Photo; "linear" is TensorFlow's tf.image.resize with its defaults.
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
"""Names of the rules. The first four are Pillow's, all antialiased except "nearest"."""


def resample(
    plane: Float32[np.ndarray, "h w"], height: int, width: int, resampling: str
) -> Float32[np.ndarray, "{height} {width}"]:
    """Resize a plane by one of `RESAMPLINGS`.

    "lanczos" uses Lanczos to reduce the size, which keeps images crisp, and bicubic to enlarge it,
    which rings less at hard edges. Both, like "bicubic", can leave the range of the input.
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
    for rows in strips(height, width):  # np.asarray makes Pillow copy what it converts
        resized[rows] = np.asarray(cut(image, rows))
    return resized


def _separable(
    plane: Float32[np.ndarray, "h w"],
    height: int,
    width: int,
    rule: Callable[[np.ndarray, int], np.ndarray],
) -> Float32[np.ndarray, "{height} {width}"]:
    """Resize both axes by a rule, first the one that shrinks the most, to save memory."""
    sizes = (height, width)
    for axis in sorted((0, 1), key=lambda axis: sizes[axis] / plane.shape[axis]):
        if sizes[axis] != plane.shape[axis]:
            rows = rule(plane.swapaxes(0, axis), sizes[axis])
            plane = rows.swapaxes(0, axis)
    return plane.astype(np.float32)


def _area(plane: Float[np.ndarray, "n k"], size: int) -> Float64[np.ndarray, "{size} k"]:
    """Resize the first axis by Torch7's rule."""
    before = len(plane)
    if size > before:
        return _interpolate(plane, np.arange(size) * (before - 1), size - 1)
    # The sum over [a, b) is the sum of rows floor(a) to floor(b) - 1, minus the part of row
    # floor(a) before a, plus the part of row floor(b) before b.
    edges, parts = np.divmod(np.arange(size + 1) * before, size)
    sums = np.add.reduceat(plane, edges[:-1], axis=0, dtype=np.float64)
    cut = plane[edges[1:-1]] * (parts[1:-1, None] / size)
    sums[1:] -= cut
    sums[:-1] += cut
    return sums * (size / before)


def _linear(plane: Float[np.ndarray, "n k"], size: int) -> Float64[np.ndarray, "{size} k"]:
    """Resize the first axis by TensorFlow's rule."""
    before = len(plane)
    halves = (2 * np.arange(size) + 1) * before - size
    return _interpolate(plane, halves.clip(0, 2 * size * (before - 1)), 2 * size)


def _interpolate(
    plane: Float[np.ndarray, "n k"], numerators: Int[np.ndarray, " m"], denominator: int
) -> Float64[np.ndarray, "m k"]:
    """Interpolate linearly between rows, at numerators / denominator."""
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
    """Resize an image, or a plane without a channel axis, and clip it to [0, 1].

    An unchanged size returns a copy of the values, by any rule. Of four channels the last is alpha:
    the colors are weighted by it, so that those of transparent pixels do not enter visible ones.

    Args:
      values: The image or plane.
      height: The new height in pixels.
      width: The new width in pixels.
      resampling: One of `RESAMPLINGS`; see `resample` and the module docstring.

    Raises:
      ValueError: A size is less than 1, or the rule is unknown.
    """
    if min(height, width) < 1:
        raise ValueError(f"sizes must be at least 1: {height} x {width}")
    if resampling not in RESAMPLINGS:
        raise ValueError(f"unknown resampling {resampling!r}: choose from {', '.join(RESAMPLINGS)}")
    if values.shape[:2] == (height, width):
        return values.copy()
    channels = values.reshape(*values.shape[:2], -1)
    resized = np.empty((height, width, channels.shape[2]), np.float32)
    for channel in range(channels.shape[2]):  # one at a time, to save memory
        plane = channels[..., channel]
        np.clip(resample(plane, height, width, resampling), 0, 1, out=resized[..., channel])
    if channels.shape[2] == 4:
        _weigh_by_alpha(channels, resized, resampling)
    return resized.reshape(height, width, *values.shape[2:])


_LEAST = np.float32(1 / 255)  # weight of the plain colors, which count alone where alpha is 0


def _weigh_by_alpha(
    values: Float32[np.ndarray, "h w 4"], resized: Float32[np.ndarray, "h2 w2 4"], resampling: str
) -> None:
    """Replace plainly resized colors by the premultiplied ones, divided by alpha again."""
    height, width, _ = resized.shape
    weights = np.maximum(resample(values[..., 3], height, width, resampling), 0)
    for channel in range(3):
        seen = resample(values[..., channel] * values[..., 3], height, width, resampling)
        plain = resized[..., channel]
        np.clip(seen, 0, weights, out=seen)  # kernels with negative weights overshoot
        plain[...] = (seen + _LEAST * plain) / (weights + _LEAST)
