"""Optimizer steps on the levels of a Laplacian pyramid, while the image stays in pixels.

The image is the sum of its levels enlarged, x = A c, a linear map. An optimizer of the levels c is
given the gradient A^T g and moves the image by A u, where u is its update of the levels; the levels
themselves are not kept. One coefficient of a coarse level moves many pixels together, so that even
areas and large shapes change in a few steps, and fine ridges are not drawn first.

Kolkin, Salavon and Shakhnarovich (STROTSS, CVPR 2019) optimize images in these coordinates.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

SMALLEST = 4
"""Least longest side of a level, in pixels."""

MOST_LEVELS = 16
"""More than the largest picture has."""

Levels = list[Float[Array, "_ _ 3"]]


def sides_of(height: int, width: int, levels: int) -> list[tuple[int, int]]:
    """Return the height and width of each level, finest first.

    A level has half as many rows and columns as the next finer one, and one more, so that it covers
    it whole and pixels keep their place if rows are added at the bottom (``Sharded``).

    Args:
      height, width: sides of the image.
      levels: number of levels; fewer where the next one would be smaller than ``SMALLEST``.
    """
    sides = [(height, width)]
    while len(sides) < levels and max(sides[-1]) // 2 >= SMALLEST:
        sides.append((sides[-1][0] // 2 + 1, sides[-1][1] // 2 + 1))
    return sides


def assembled(levels: Levels) -> Float[Array, "h w 3"]:
    """Return the image whose pyramid has these levels, finest first.

    Each is added to the sum of the coarser ones, enlarged to twice the size by bilinear
    interpolation.
    """
    *finer, image = levels
    for level in reversed(finer):
        image = level + _doubled(image, level.shape)
    return image


def _doubled(image: Array, shape: tuple[int, ...]) -> Array:
    """Return an image at twice its size, cut to a shape."""
    height, width, channels = image.shape
    double = jax.image.resize(image, (2 * height, 2 * width, channels), "linear")
    return double[: shape[0], : shape[1]]


def taken_apart(image: Float[Array, "h w 3"], levels: int) -> Levels:
    """Return A^T x: the gradient to each level, where ``image`` is the gradient to the image."""
    (found,) = jax.linear_transpose(assembled, jax.eval_shape(lambda: zeros(image, levels)))(image)
    return found


def zeros(image: Float[Array, "h w 3"], levels: int) -> Levels:
    """Return the levels of a black image of the same shape."""
    height, width, channels = image.shape
    return [jnp.zeros((*sides, channels), image.dtype) for sides in sides_of(height, width, levels)]


def on_levels(
    optimizer: optax.GradientTransformation, levels: int
) -> optax.GradientTransformationExtraArgs:
    """Return an optimizer that takes the steps of another one on the levels of a pyramid.

    Args:
      optimizer: any Optax transformation that needs neither the parameters nor a line search.
      levels: number of levels: see ``sides_of``.
    """
    inner: Any = optimizer  # for Optax, parameters are any tree

    def init(params: Any) -> PyTree:
        return inner.init(zeros(params, levels))

    def update(
        updates: Any, state: PyTree, params: Any = None, **extra: PyTree
    ) -> tuple[Any, PyTree]:
        del params, extra
        moved, state = inner.update(taken_apart(updates, levels), state)
        return assembled(moved), state

    return optax.GradientTransformationExtraArgs(init, update)
