"""Total variation: a smoothness prior on the differences between neighboring pixels.

Mahendran & Vedaldi, "Understanding Deep Image Representations by Inverting Them", CVPR 2015,
equation 4. With x the image and d_v, d_h, d_1, d_2 its differences to the pixel below, to the
right, below right and below left:

    "total-variation"            mean d_v^2 + mean d_h^2                 beta = 2; anishathalye
    "total-variation-absolute"   sum |d_v| + sum |d_h|                   neural-style-pt
    "total-variation-half"       sum (d_v^2 + d_h^2) / 2                 jcjohnson
    "total-variation-power"      sum (d_v^2 + d_h^2)^1.25                beta = 2.5; Keras
    "total-variation-nine"       2 (mean d_v^2 / 3 + mean d_h^2 / 3
                                    + mean d_1^2 / 12 + mean d_2^2 / 12)   crowsonkb

The "half" and "power" forms add both differences at each pixel that has both neighbors, so the last
row and column count only as neighbors. The "nine" form replicates the border by one pixel on all
sides. With a mean, the effect of a weight does not depend on the size of the image; the sums
reproduce other programs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.losses.tile_mask import TileMask, both, filled

KERAS_POWER = 1.25

Values = Float[Array, "_ _ c"]


class Differences(NamedTuple):
    """Differences between neighboring pixels of an image, or of a tile of it.

    Where a pixel has no neighbor, the difference is left out (image) or zero (tile).

    Attributes:
      down, right: differences to the pixel below and to the right.
      corner_down, corner_right: the same, only at pixels that have both neighbors.
      falling, rising: differences along the diagonals (below right, below left), with the border
        replicated by one pixel.
      height, width: size of the whole image.
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
    """Return the differences of a whole image."""
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
    """Return the differences that start at a tile's own pixels.

    Args:
      x: the tile with a halo of two pixels.
      cut: position of the tile in the whole image.
    """
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
    """Return a function that computes the total variation of an image and ignores the target."""
    return lambda image, target=None: formula(differences(image))


def of_tile(formula: Formula) -> Callable[..., Float[Array, ""]]:
    """Return a function that computes a tile's contribution to the total variation."""
    return lambda image, target, cut: formula(differences_in(image, cut))


def mean_square(of: Differences) -> Float[Array, ""]:
    """Compute the mean squared vertical plus the mean squared horizontal difference."""
    vertical = _mean_of_squares(of.down, of.height - 1, of.width)
    return vertical + _mean_of_squares(of.right, of.height, of.width - 1)


def absolute(of: Differences) -> Float[Array, ""]:
    """Compute the sum of the absolute vertical and horizontal differences."""
    return _sum_of_sizes(of.down) + _sum_of_sizes(of.right)


def half(of: Differences) -> Float[Array, ""]:
    """Compute half the sum of squared differences at pixels with neighbors below and right."""
    return jnp.sum(_squared_slopes(of)) / 2


def power(of: Differences) -> Float[Array, ""]:
    """Compute the sum of (d_v^2 + d_h^2)^1.25 over the pixels with both neighbors."""
    return jnp.sum(_squared_slopes(of) ** KERAS_POWER)


def nine_point(of: Differences) -> Float[Array, ""]:
    """Compute the weighted mean squared differences to the eight neighbors.

    The border is replicated by one pixel.
    """
    height, width = of.height, of.width
    straight = _mean_of_squares(of.down, height, width) + _mean_of_squares(of.right, height, width)
    diagonal = sum(_mean_of_squares(d, height + 1, width + 1) for d in (of.falling, of.rising))
    return 2 * (straight / 3 + diagonal / 12)


def _squared_slopes(of: Differences) -> Values:
    return of.corner_down**2 + of.corner_right**2


def _mean_of_squares(x: Values, height: Any, width: Any) -> Float[Array, ""]:
    # The count is a float because it can exceed 32-bit integers. It is at least 1 so that a single
    # row, which has no vertical differences, gives 0 and not NaN.
    count = jnp.asarray(height, x.dtype) * width * x.shape[-1]
    return jnp.sum(x**2) / jnp.maximum(count, 1)


def _sum_of_sizes(x: Values) -> Float[Array, ""]:
    return jnp.sum(x * jnp.sign(x))  # gradient 0 at 0, unlike jnp.abs
