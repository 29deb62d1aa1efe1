"""Total variation: differences between neighboring pixels, the usual smoothness prior.

Mahendran & Vedaldi, "Understanding Deep Image Representations by Inverting Them", CVPR 2015,
equation 4. With x the image and d_v, d_h, d_1, d_2 its differences to the pixel below, to the
right, below right and below left:

    "total-variation"            mean d_v^2 + mean d_h^2                 beta = 2; anishathalye
    "total-variation-absolute"   sum |d_v| + sum |d_h|                   neural-style-pt
    "total-variation-half"       sum (d_v^2 + d_h^2) / 2                 jcjohnson
    "total-variation-power"      sum (d_v^2 + d_h^2)^1.25                beta = 2.5; Keras
    "total-variation-nine"       2 (mean d_v^2 / 3 + mean d_h^2 / 3
                                    + mean d_1^2 / 12 + mean d_2^2 / 12)   crowsonkb

The half and the power add both differences at each pixel that has both neighbors, so the last row
and column count only as neighbors. The nine-point form repeats the border by one pixel all around.
The means say the same at any size; the sums are for the sake of peers.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

KERAS_POWER = 1.25


def mean_square(image: Float[Array, "h w c"], target: None = None) -> Float[Array, ""]:
    """Mean squared vertical difference plus mean squared horizontal difference."""
    del target  # a prior has nothing to be compared with
    return _mean_of_squares(jnp.diff(image, axis=0)) + _mean_of_squares(jnp.diff(image, axis=1))


def absolute(image: Float[Array, "h w c"], target: None = None) -> Float[Array, ""]:
    """Sum of the absolute differences of both kinds."""
    del target
    return _sum_of_sizes(jnp.diff(image, axis=0)) + _sum_of_sizes(jnp.diff(image, axis=1))


def half(image: Float[Array, "h w c"], target: None = None) -> Float[Array, ""]:
    """Half the sum of squared differences, where there is a neighbor both below and right."""
    del target
    return jnp.sum(_squared_slopes(image)) / 2


def power(image: Float[Array, "h w c"], target: None = None) -> Float[Array, ""]:
    """Sum of the slopes to the power 2.5, where there is a neighbor both below and right."""
    del target
    return jnp.sum(_squared_slopes(image) ** KERAS_POWER)


def nine_point(image: Float[Array, "h w c"], target: None = None) -> Float[Array, ""]:
    """Mean squared differences to the eight neighbors, the border repeated."""
    del target
    x = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    vertical = x[2:, 1:-1] - x[1:-1, 1:-1]
    horizontal = x[1:-1, 2:] - x[1:-1, 1:-1]
    falling = x[1:, 1:] - x[:-1, :-1]
    rising = x[1:, :-1] - x[:-1, 1:]
    straight = _mean_of_squares(vertical) + _mean_of_squares(horizontal)
    diagonal = _mean_of_squares(falling) + _mean_of_squares(rising)
    return 2 * (straight / 3 + diagonal / 12)


def _squared_slopes(image: Float[Array, "h w c"]) -> Float[Array, "h-1 w-1 c"]:
    down, right = image[1:, :-1] - image[:-1, :-1], image[:-1, 1:] - image[:-1, :-1]
    return down**2 + right**2


def _mean_of_squares(x: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.sum(x**2) / max(x.size, 1)  # a single row has no vertical difference: zero, not NaN


def _sum_of_sizes(x: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.sum(x * jnp.sign(x))  # unlike that of jnp.abs its gradient is zero at zero
