"""Features of many layers at one place of a picture, and the places where they are measured.

A *hypercolumn* is the features of several layers at one position, one after the other. Losses of
hypercolumns compare all layers at once; some are measured at a sample of positions, which is drawn
anew at every step.

Sampled positions are the points of a low-discrepancy sequence, shifted by a random amount modulo 1:
point i is (i a, i a^2) with 1 / a = 1.3247, the root of x^3 = x + 1 (Roberts, "The Unreasonable
Effectiveness of Quasirandom Sequences", 2018). Any number of them cover a picture evenly.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

HYPERCOLUMNS = "hypercolumns"
"""The name, in place of a layer's, of a loss on all layers at once."""

PIXELS = "pixels"
"""The name of the picture itself among its features."""

Maps = Mapping[str, Float[Array, "_ _ _"]]
"""Features by layer, in the order of the network, after the picture itself under ``PIXELS``."""

RATIO = 1 / 1.32471795724474602596


class Given(NamedTuple):
    """What a loss of hypercolumns is given besides features and target; all are traced.

    Attributes:
      factors: factor of each layer, by name.
      content: weight of the content loss relative to the style loss.
      seed: seed of the random numbers.
      step: number of the step they are drawn for; None to draw none, and take the middle of all.
    """

    factors: dict[str, Any]
    content: Any
    seed: Any
    step: Any = None


def drawn(given: Given, count: int = 2) -> Float[Array, " n"] | Float[np.ndarray, " n"]:
    """Return random numbers from 0 to 1 for a step; one half each without a step."""
    if given.step is None:
        return np.full(count, 0.5)
    key = jax.random.fold_in(jax.random.key(given.seed), given.step)
    return jax.random.uniform(key, (count,))


def places(
    sides: tuple[int, ...],
    count: int,
    shift: Float[Array, "2"] | Float[np.ndarray, "2"],
    guide: Float[Array, "h w"] | None = None,
) -> tuple[Int[Array, " n"], Int[Array, " n"]] | tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of sampled positions.

    Args:
      sides: number of rows and columns to choose from: those of the guide, if there is one.
      count: number of positions.
      shift: shift of the sequence, each number from 0 to 1.
      guide: guide of a region: a position is sampled in proportion to its square.
    """
    sequence = np.arange(1, count + 1)[:, None] * np.array([RATIO, RATIO**2])
    points: Any = (sequence % 1 + shift) % 1
    (height, width), down, across = sides, points[:, 0], points[:, 1]
    if guide is None:
        whole = int if isinstance(points, np.ndarray) else jnp.int32
        rows, columns = (down * height).astype(whole), (across * width).astype(whole)
        return rows.clip(0, height - 1), columns.clip(0, width - 1)
    in_rows = jnp.cumsum(guide**2, axis=1)
    rows = _at_share(jnp.cumsum(in_rows[:, -1])[None], down).clip(0, height - 1)
    return rows, _at_share(in_rows[rows], across).clip(0, width - 1)


def _at_share(sums: Float[Array, "m k"], share: Any) -> Int[Array, " n"]:
    """Return where cumulated weights exceed a share of their total, for each share."""
    return jnp.sum(sums <= share[:, None] * sums[:, -1:], axis=1, dtype=jnp.int32)


def between(
    x: Float[Array, "h w c"], rows: Float[Array, " n"], columns: Float[Array, " n"]
) -> Float[Array, "n c"]:
    """Return features at fractional rows and columns, by bilinear interpolation."""
    height, width, _ = x.shape
    top, left = (jnp.floor(at).astype(jnp.int32) for at in (rows, columns))
    below, beside = (rows - top)[:, None], (columns - left)[:, None]
    top, left = top.clip(0, height - 1), left.clip(0, width - 1)
    bottom, right = (top + 1).clip(0, height - 1), (left + 1).clip(0, width - 1)
    upper = (1 - beside) * x[top, left] + beside * x[top, right]
    lower = (1 - beside) * x[bottom, left] + beside * x[bottom, right]
    return (1 - below) * upper + below * lower


def resized(x: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "h2 w2 c"]:
    """Resize a map by bilinear interpolation between its corners, which stay where they are."""
    return _along(_along(x, 0, height), 1, width)


def _along(x: Float[Array, "h w c"], axis: int, after: int) -> Float[Array, "h2 w2 c"]:
    """Interpolate along one axis."""
    before = x.shape[axis]
    if before == after:
        return x
    at = np.linspace(0, before - 1, after) if after > 1 else np.zeros(1)
    low = np.minimum(at.astype(int), max(before - 2, 0))
    share = jnp.expand_dims(jnp.asarray(at - low, x.dtype), [1, 2] if axis == 0 else [0, 2])
    first, second = (jnp.take(x, each, axis) for each in (low, np.minimum(low + 1, before - 1)))
    return (1 - share) * first + share * second


def inside(guide: Float[Array, "h w"], height: int, width: int) -> Float[Array, "h2 w2"]:
    """Return the squares of a guide, resized: the weights of positions."""
    return resized(guide[..., None] ** 2, height, width)[..., 0]


def average(x: Float[Array, "n ..."], weights: Float[Array, " n"] | None) -> Float[Array, "..."]:
    """Return the mean over places of numbers or features, weighted if there are weights."""
    if weights is None:
        return jnp.mean(x, axis=0)
    each = weights.reshape(-1, *[1] * (x.ndim - 1))
    return jnp.sum(each * x, axis=0) / jnp.maximum(jnp.sum(weights), 1e-12)


def unit(x: Float[Array, "n c"], least: float) -> Float[Array, "n c"]:
    """Divide each row by its length, which counts as ``least`` at least."""
    squares = jnp.sum(x**2, axis=1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(squares, least**2))
