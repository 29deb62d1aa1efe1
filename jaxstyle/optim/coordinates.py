"""Optimizer steps in other coordinates than pixels, while the image stays in pixels.

The image is a linear map of its coordinates, x = A c. An optimizer of the coordinates is given the
gradient A^T g and moves the image by A u, where u is its update of them; the coordinates themselves
are not kept. There are two such maps.

- The levels of a Laplacian pyramid, whose sum, each enlarged, is the image. One coefficient of a
  coarse level moves many pixels together, so that even areas and large shapes change in a few
  steps, and fine ridges are not drawn first. Kolkin, Salavon and Shakhnarovich (STROTSS, CVPR 2019)
  optimize images in these coordinates.
- Opponent colors: brightness and two color differences. Adam moves every coordinate equally far,
  so that steps of red, green and blue draw as much colored noise as light and dark. Olah,
  Mordvintsev and Schubert (Feature Visualization, Distill 2017) decorrelate colors for the same
  reason.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

SMALLEST = 4
"""Least longest side of a level, in pixels."""

MOST_LEVELS = 16
"""More than the largest picture has."""

OPPONENTS = np.array([[1, 1, 1], [0.4, 0, -0.4], [-0.2, 0.4, -0.2]], np.float32)
"""Rows: how red, green and blue change as a coordinate grows by 1: brightness; red less blue; green
less red and blue. Colors move 0.4 times as far as brightness: with 0.25 some come late, with 1 they
are blotched."""

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
    return _in_coordinates(
        optimizer, partial(zeros, levels=levels), partial(taken_apart, levels=levels), assembled
    )


def in_opponent_colors(
    optimizer: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Return an optimizer that takes the steps of another one in opponent colors.

    Args:
      optimizer: any Optax transformation that needs neither the parameters nor a line search.
    """
    return _in_coordinates(
        optimizer,
        jnp.zeros_like,
        partial(_times, matrix=OPPONENTS.T),
        partial(_times, matrix=OPPONENTS),
    )


def _in_coordinates(
    optimizer: optax.GradientTransformation,
    start: Callable[[Array], PyTree],
    apart: Callable[[Array], PyTree],
    together: Callable[[Any], Array],
) -> optax.GradientTransformationExtraArgs:
    """Return an optimizer of images that takes the steps of another one on their coordinates.

    Args:
      optimizer: optimizer of the coordinates.
      start: (image) -> coordinates of zeros.
      apart: A^T, from a gradient to the image to the gradient to its coordinates.
      together: A, from coordinates to the image.
    """
    inner: Any = optimizer  # for Optax, parameters are any tree

    def init(params: Any) -> PyTree:
        return inner.init(start(params))

    def update(
        updates: Any, state: PyTree, params: Any = None, **extra: PyTree
    ) -> tuple[Any, PyTree]:
        del params, extra
        moved, state = inner.update(apart(updates), state)
        return together(moved), state

    return optax.GradientTransformationExtraArgs(init, update)


def _times(image: Array, matrix: np.ndarray) -> Array:
    """Return an image with a matrix applied to its colors.

    Accelerators would round its operands, and small differences of colors would be noise.
    """
    return jnp.matmul(image, matrix.astype(image.dtype), precision="highest")
