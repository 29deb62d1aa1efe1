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

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.losses.tile_mask import TileMask, both, filled

KERAS_POWER = 1.25

Values = Float[Array, "_ _ c"]


class Differences(NamedTuple):
    """Those of an image of ``height`` x ``width`` pixels; where there is none it is left out, or
    zero.

    down, right: to the neighbors. corner_down, corner_right: the same of the pixels that have both.
    falling, rising: to those below right and below left, the border repeated.
    """

    down: Values
    right: Values
    corner_down: Values
    corner_right: Values
    falling: Values
    rising: Values
    height: Any
    width: Any


def differences(x: Float[Array, "h w c"]) -> Differences:
    """Those of a whole image."""
    down, right = jnp.diff(x, axis=0), jnp.diff(x, axis=1)
    around = jnp.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    return Differences(
        down,
        right,
        down[:, :-1],
        right[:-1],
        around[1:, 1:] - around[:-1, :-1],
        around[1:, :-1] - around[:-1, 1:],
        *x.shape[:2],
    )


def differences_in(x: Float[Array, "h w c"], cut: TileMask) -> Differences:
    """Those that start at a tile's own pixels, of an image with two pixels around them."""
    around = filled(x, cut, "replicate")
    rows, columns = cut.rows[:-1], cut.columns[:-1]  # of the pixels where differences start
    own = cut.own_rows[:-1], cut.own_columns[:-1]
    inside, beside = (rows >= 0) & own[0], (columns >= 0) & own[1]
    down, right = inside & (rows + 1 < cut.height), beside & (columns + 1 < cut.width)
    slanting = both(own[0] & (rows >= -1) & (rows < cut.height), own[1] & (columns >= -1))
    slanting &= columns < cut.width
    inside, beside = inside & (rows < cut.height), beside & (columns < cut.width)

    def where(there: Array, of: Array) -> Array:
        return jnp.where(there[..., None], of, 0)

    below, aside = x[1:, :-1] - x[:-1, :-1], x[:-1, 1:] - x[:-1, :-1]
    return Differences(
        where(both(down, beside), below),
        where(both(inside, right), aside),
        where(both(down, right), below),
        where(both(down, right), aside),
        where(slanting, around[1:, 1:] - around[:-1, :-1]),
        where(slanting, around[1:, :-1] - around[:-1, 1:]),
        cut.height,
        cut.width,
    )


Formula = Callable[[Differences], Float[Array, ""]]


def of_image(formula: Formula) -> Callable[..., Float[Array, ""]]:
    """The total variation of an image; a prior has nothing to be compared with."""
    return lambda image, target=None: formula(differences(image))


def of_tile(formula: Formula) -> Callable[..., Float[Array, ""]]:
    """A tile's part of it."""
    return lambda image, target, cut: formula(differences_in(image, cut))


def mean_square(of: Differences) -> Float[Array, ""]:
    """Mean squared vertical difference plus mean squared horizontal difference."""
    vertical = _mean_of_squares(of.down, of.height - 1, of.width)
    return vertical + _mean_of_squares(of.right, of.height, of.width - 1)


def absolute(of: Differences) -> Float[Array, ""]:
    """Sum of the absolute differences of both kinds."""
    return _sum_of_sizes(of.down) + _sum_of_sizes(of.right)


def half(of: Differences) -> Float[Array, ""]:
    """Half the sum of squared differences, where there is a neighbor both below and right."""
    return jnp.sum(_squared_slopes(of)) / 2


def power(of: Differences) -> Float[Array, ""]:
    """Sum of the slopes to the power 2.5, where there is a neighbor both below and right."""
    return jnp.sum(_squared_slopes(of) ** KERAS_POWER)


def nine_point(of: Differences) -> Float[Array, ""]:
    """Mean squared differences to the eight neighbors, the border repeated."""
    height, width = of.height, of.width
    straight = _mean_of_squares(of.down, height, width) + _mean_of_squares(of.right, height, width)
    diagonal = sum(_mean_of_squares(d, height + 1, width + 1) for d in (of.falling, of.rising))
    return 2 * (straight / 3 + diagonal / 12)


def _squared_slopes(of: Differences) -> Values:
    return of.corner_down**2 + of.corner_right**2


def _mean_of_squares(x: Values, height: Any, width: Any) -> Float[Array, ""]:
    # In floats: there may be more of them than 32-bit integers count. A single row has no vertical
    # difference: zero, not NaN.
    count = jnp.asarray(height, x.dtype) * width * x.shape[-1]
    return jnp.sum(x**2) / jnp.maximum(count, 1)


def _sum_of_sizes(x: Values) -> Float[Array, ""]:
    return jnp.sum(x * jnp.sign(x))  # unlike that of jnp.abs its gradient is zero at zero
