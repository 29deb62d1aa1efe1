"""The guided filter: smooths one picture and keeps the edges of another, its guide.

He, Sun, Tang, "Guided Image Filtering", ECCV 2010 and PAMI 2013. In each window w_k of
(2 radius + 1)^2 pixels, less at the border where it is cut off, the values p are fitted by an
affine map of the colors I of the guide, and each pixel gets the mean of the maps around it:

    a_k = (S_k + epsilon I)^-1 cov_k(I, p)        b_k = mean_k(p) - a_k . mean_k(I)
    q_i = mean of a_k over the windows k with i in them . I_i + mean of b_k

with S_k the covariance of the guide's colors in the window. Of a gray guide, S_k is its variance.

Means and covariances are taken along rows and then along columns, by the law of total covariance,
and of deviations from the mean: the difference of two large numbers would cost float32 its digits.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32

Picture = Array | np.ndarray

POSTERIZED_RADIUS, POSTERIZED_EPSILON = 8, 0.1**2


def guided_filter(
    guide: Float[Picture, "h w *g"],
    values: Float[Picture, "h w *c"],
    radius: int,
    epsilon: float,
) -> Float[Array, "h w *c"]:
    """`values`, smoothed within windows but not over edges that the guide has.

    Args:
      guide: a picture in color, or a gray one without a channel axis.
      values: what is filtered, channel by channel.
      radius: of the windows, in pixels; 0 or more.
      epsilon: the variance of the guide under which something counts as flat; more than 0. For a
        guide in [0, 1] usually from 1e-4 (keeps faint edges) to 0.1.

    Raises:
      ValueError: if radius or epsilon are not as they should be.
    """
    _check(radius, epsilon)
    return _filtered(guide, values, radius, epsilon)


def refined(
    result: Float[Picture, "h w 3"],
    photo: Float[Picture, "h w 3"],
    radius: int = POSTERIZED_RADIUS,
    epsilon: float = POSTERIZED_EPSILON,
) -> Float[Array, "h w 3"]:
    """A result with the fine detail of its photo, against posterization; may leave [0, 1].

    Luan et al., "Deep Photo Style Transfer", CVPR 2017, the refinement in the authors' code: result
    J, photo I, and GF each channel of I filtered with I itself, in color, as the guide:

        K = J + I - GF(I)
    """
    return jnp.asarray(result) + photo - guided_filter(photo, photo, radius, epsilon)


def local_affine(
    guide: Float[Picture, "h w *g"],
    values: Float[Picture, "h w *c"],
    radius: int,
    epsilon: float | Float[Picture, "h w"],
) -> Float[Array, "h w channels inputs"]:
    """The affine map from the guide's colors to the values that fits best in each pixel's window.

    The last axis holds a_k and then b_k, for each channel of the values (one if they have no
    channel axis). Where the colors of a window leave a choice, it is the map of smallest slopes.

    Args:
      epsilon: one number, or one for each window.

    Raises:
      ValueError: if the radius is negative or epsilon a number that is not positive.
    """
    _check(radius, epsilon)
    return _fitted(guide, values, radius, epsilon)


@jax.jit
def affine_applied(
    maps: Float[Picture, "h w channels inputs"], guide: Float[Picture, "h w *g"]
) -> Float[Array, "h w channels"]:
    """The values that the map of each pixel gives for its color."""
    colors = jnp.reshape(guide, (*guide.shape[:2], 1, -1))
    return jnp.sum(maps[..., :-1] * colors, axis=-1) + maps[..., -1]


@jax.jit(static_argnames="radius")
def window_mean(values: Float[Picture, "h w c"], radius: int) -> Float[Array, "h w c"]:
    """Mean over the window of each pixel, which is cut off at the borders."""
    return jnp.moveaxis(_mean(_mean(_planes(values), -1, radius), -2, radius), 0, -1)


def window_pixels(height: int, width: int, radius: int) -> Float32[np.ndarray, "{height} {width}"]:
    """How many pixels the window of each pixel has."""
    return np.outer(_pixels(height, radius), _pixels(width, radius))


def _check(radius, epsilon):
    if radius < 0:
        raise ValueError(f"radius must be at least 0: {radius}")
    if isinstance(epsilon, float) and not epsilon > 0:
        raise ValueError(f"epsilon must be more than 0: {epsilon}")


def _planes(values: Float[Picture, "h w *c"]) -> Float[Array, "planes h w"]:
    """In float32, with the channels first: elementwise work on whole rows."""
    array = jnp.asarray(values, jnp.float32)
    return jnp.moveaxis(array.reshape(*array.shape[:2], -1), -1, 0)


@jax.jit(static_argnames="radius")
def _filtered(guide, values, radius, epsilon):
    maps = _fitted(guide, values, radius, epsilon)
    means = window_mean(maps.reshape(*maps.shape[:2], -1), radius).reshape(maps.shape)
    return affine_applied(means, guide).reshape(values.shape)


@jax.jit(static_argnames="radius")
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
    """Mean over the window along one axis."""
    around = _padded(planes, axis, radius)

    def add(offset, total):
        return total + lax.dynamic_slice_in_dim(around, offset, planes.shape[axis], axis)

    total = lax.fori_loop(0, 2 * radius + 1, add, jnp.zeros_like(planes))
    return total / _count(planes.shape, axis, radius)


def _covariance(planes, means, inputs, axis, radius):
    """Covariances of the first planes, as many as inputs, with each: (inputs, planes, h, w)."""
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
    """How many pixels of a window are in the picture, along one axis; to be broadcast."""
    counts = _pixels(shape[axis], radius)
    return counts if axis == -1 else counts[:, None]


def _pixels(length, radius):
    places = np.arange(length)
    counts = np.minimum(places + radius, length - 1) - np.maximum(places - radius, 0) + 1
    return counts.astype(np.float32)


def _solve(matrix, right, epsilon):
    """x of (matrix + epsilon I) x = right in every pixel, by elimination.

    No pivot of a matrix like that is under epsilon, but by rounding. Cramer's rule would lose all
    digits in windows along an edge, where one eigenvalue is thousands of times the others.
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
