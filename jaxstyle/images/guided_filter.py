"""The guided filter, which smooths an image but keeps the edges of a guide image.

He, Sun, Tang, "Guided Image Filtering", ECCV 2010 and PAMI 2013. In each window w_k of
(2 radius + 1)^2 pixels, cropped at the image border, the values p are fitted by an affine map of
the guide's colors I. The result at a pixel is the mean of the maps of all windows that contain it:

    a_k = (S_k + epsilon I)^-1 cov_k(I, p)        b_k = mean_k(p) - a_k . mean_k(I)
    q_i = mean of a_k over the windows k with i in them . I_i + mean of b_k

where S_k is the covariance of the guide's colors in the window (the variance of a gray guide).

Means and covariances are computed along rows, then along columns, by the law of total covariance.
Covariances are computed from deviations: E[xy] - E[x] E[y] would lose precision in float32.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Float32

from jaxstyle.machine.programs import jit

Picture = Array | np.ndarray

POSTERIZED_RADIUS, POSTERIZED_EPSILON = 8, 0.1**2


def guided_filter(
    guide: Float[Picture, "h w *g"],
    values: Float[Picture, "h w *c"],
    radius: int,
    epsilon: float,
) -> Float[Array, "h w *c"]:
    """Smooth values, except across edges of the guide.

    Args:
      guide: A color image, or a gray one without a channel axis.
      values: The values to filter, channel by channel.
      radius: Radius of the windows in pixels, at least 0.
      epsilon: The variance of the guide below which a window counts as flat, more than 0. For a
        guide in [0, 1], usually from 1e-4 (keeps faint edges) to 0.1.

    Raises:
      ValueError: The radius is negative, or epsilon is not positive.
    """
    _check(radius, epsilon)
    return _filtered(guide, values, radius, epsilon)


def refined(
    result: Float[Picture, "h w 3"],
    photo: Float[Picture, "h w 3"],
    radius: int = POSTERIZED_RADIUS,
    epsilon: float = POSTERIZED_EPSILON,
) -> Float[Array, "h w 3"]:
    """Add the fine detail of the photo to a result, to counter posterization.

    The refinement in the authors' code of Luan et al., "Deep Photo Style Transfer", CVPR 2017. With
    the result J, the photo I, and GF(I) each channel of I filtered with the color image I as guide:

        K = J + I - GF(I)

    Returns:
      K, which may leave [0, 1].
    """
    return jnp.asarray(result) + photo - guided_filter(photo, photo, radius, epsilon)


def local_affine(
    guide: Float[Picture, "h w *g"],
    values: Float[Picture, "h w *c"],
    radius: int,
    epsilon: float | Float[Picture, "h w"],
) -> Float[Array, "h w channels inputs"]:
    """Fit an affine map from the guide's colors to the values in the window of each pixel.

    Args:
      guide: A color image, or a gray one without a channel axis.
      values: The values to fit, channel by channel.
      radius: Radius of the windows in pixels, at least 0.
      epsilon: The ridge penalty on slopes: one number, or one per window. Where the colors of a
        window do not determine the map, it selects the smallest slopes.

    Returns:
      For each pixel and each channel of the values (one, without a channel axis), the slopes a_k
      followed by the offset b_k.

    Raises:
      ValueError: The radius is negative, or epsilon is not positive.
    """
    _check(radius, epsilon)
    return _fitted(guide, values, radius, epsilon)


@jit()
def affine_applied(
    maps: Float[Picture, "h w channels inputs"], guide: Float[Picture, "h w *g"]
) -> Float[Array, "h w channels"]:
    """Apply the affine map of each pixel to its color in the guide."""
    colors = jnp.reshape(guide, (*guide.shape[:2], 1, -1))
    return jnp.sum(maps[..., :-1] * colors, axis=-1) + maps[..., -1]


@jit(static_argnames="radius")
def window_mean(values: Float[Picture, "h w c"], radius: int) -> Float[Array, "h w c"]:
    """Compute the mean over the window of each pixel, cropped at the image border."""
    return jnp.moveaxis(_mean(_mean(_planes(values), -1, radius), -2, radius), 0, -1)


def window_pixels(height: int, width: int, radius: int) -> Float32[np.ndarray, "{height} {width}"]:
    """Return the number of pixels in the window of each pixel."""
    return np.outer(_pixels(height, radius), _pixels(width, radius))


def _check(radius, epsilon):
    if radius < 0:
        raise ValueError(f"radius must be at least 0: {radius}")
    if not isinstance(epsilon, Tracer) and not np.all(np.asarray(epsilon) > 0):
        raise ValueError(f"epsilon must be more than 0: {np.min(epsilon)}")


def _planes(values: Float[Picture, "h w *c"]) -> Float[Array, "planes h w"]:
    """Convert to float32 with the channels first, so that inner loops run along rows."""
    array = jnp.asarray(values, jnp.float32)
    return jnp.moveaxis(array.reshape(*array.shape[:2], -1), -1, 0)


@jit(static_argnames="radius")
def _filtered(guide, values, radius, epsilon):
    maps = _fitted(guide, values, radius, epsilon)
    means = window_mean(maps.reshape(*maps.shape[:2], -1), radius).reshape(maps.shape)
    return affine_applied(means, guide).reshape(values.shape)


@jit(static_argnames="radius")
def _fitted(guide, values, radius, epsilon):
    guide, values = _planes(guide), _planes(values)
    inputs = len(guide)
    both = jnp.concatenate([guide, values])
    row_means = _mean(both, -1, radius)
    within = _covariance(both, row_means, inputs, -1, radius)
    means = _mean(row_means, -2, radius)
    between = _covariance(row_means, means, inputs, -2, radius)
    covariances = _mean(within, -2, radius) + between
    slopes = _solve(covariances[:, :inputs], covariances[:, inputs:], epsilon)
    shifts = means[inputs:] - jnp.sum(slopes * means[:inputs, None], axis=0)
    return jnp.moveaxis(jnp.concatenate([slopes, shifts[None]]), (0, 1), (3, 2))


def _mean(planes, axis, radius):
    """Compute the mean over the window along one axis."""
    around = _padded(planes, axis, radius)

    def add(offset, total):
        return total + lax.dynamic_slice_in_dim(around, offset, planes.shape[axis], axis)

    total = lax.fori_loop(0, 2 * radius + 1, add, jnp.zeros_like(planes))
    return total / _count(planes.shape, axis, radius)


def _covariance(planes, means, inputs, axis, radius):
    """Return the covariances of the first ``inputs`` planes with all: (inputs, planes, h, w)."""
    around = _padded(planes, axis, radius)
    inside = _padded(jnp.ones_like(planes[:1]), axis, radius)

    def add(offset, total):
        there = lax.dynamic_slice_in_dim(around, offset, planes.shape[axis], axis)
        counts = lax.dynamic_slice_in_dim(inside, offset, planes.shape[axis], axis)
        deviations = (there - means) * counts
        return total + deviations[:inputs, None] * deviations[None]

    zeros = jnp.zeros((inputs, *planes.shape), planes.dtype)
    total = lax.fori_loop(0, 2 * radius + 1, add, zeros)
    return total / _count(planes.shape, axis, radius)


def _padded(planes, axis, radius):
    widths = [(0, 0)] * planes.ndim
    widths[axis] = (radius, radius)
    return jnp.pad(planes, widths)


def _count(shape, axis, radius):
    """Return the pixels of each window inside the image along one axis, for broadcasting."""
    counts = _pixels(shape[axis], radius)
    return counts if axis == -1 else counts[:, None]


def _pixels(length, radius):
    places = np.arange(length)
    counts = np.minimum(places + radius, length - 1) - np.maximum(places - radius, 0) + 1
    return counts.astype(np.float32)


def _solve(matrix, right, epsilon):
    """Solve (matrix + epsilon I) x = right in every pixel, by Gaussian elimination.

    In exact arithmetic no pivot is less than epsilon, so pivots are clamped to it. Cramer's rule
    would lose all precision in windows along an edge, where one eigenvalue is thousands of times
    the others.
    """
    size = len(matrix)
    rows = [[matrix[i, j] + epsilon * (i == j) for j in range(size)] for i in range(size)]
    right = list(right)
    for k in range(size):
        rows[k][k] = jnp.maximum(rows[k][k], epsilon)
        for i in range(k + 1, size):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [rows[i][j] - factor * rows[k][j] for j in range(size)]
            right[i] = right[i] - factor * right[k]
    for k in reversed(range(size)):
        for j in range(k + 1, size):
            right[k] = right[k] - rows[k][j] * right[j]
        right[k] = right[k] / rows[k][k]
    return jnp.stack(right)
