"""2x2 pooling, stride 2, as the systems that read VGG-19 do it."""

from typing import Literal, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float

Pooling = Literal["max", "average", "l2"]
Rounding = Literal["floor", "ceil", "ceil-max"]
POOLINGS: tuple[str, ...] = get_args(Pooling)
ROUNDINGS: tuple[str, ...] = get_args(Rounding)

POOLING_SCALES: dict[Pooling, float] = {"max": 1.0, "average": 2.0, "l2": 0.78}
"""Factors that keep the later layers' sizes, by Katherine Crowson (style-transfer-pytorch)."""


def pool(
    x: Float[Array, "1 h w c"], pooling: Pooling, rounding: Rounding = "floor"
) -> Float[Array, "1 h2 w2 c"]:
    """2x2 pooling, stride 2: the maximum, the average, or the root of the sum of squares.

    Four strided slices rather than ``reduce_window``: its gradient is a scatter that XLA runs
    slowly, theirs is a handful of selects.
    """
    a, b, c, d = _corners(x, pooling, rounding)
    if pooling == "max":
        return jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))
    a, b, c, d = (v.astype(jnp.promote_types(v.dtype, jnp.float32)) for v in (a, b, c, d))
    if pooling == "average":
        return ((a + b + c + d) / 4).astype(x.dtype)
    squares = a * a + b * b + c * c + d * d
    # The root has no slope at zero, and after a ReLU whole windows are zero: theirs is zero.
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0).astype(x.dtype)


def rounds_up(pooling: str, rounding: str) -> bool:
    """Whether a last odd row or column is pooled too."""
    return rounding == "ceil" or (rounding, pooling) == ("ceil-max", "max")


def _corners(
    x: Float[Array, "1 h w c"], pooling: str, rounding: str
) -> list[Float[Array, "1 h2 w2 c"]]:
    """The upper left, upper right, lower left and lower right pixels of all windows."""
    _, height, width, _ = x.shape
    if rounds_up(pooling, rounding):
        # A window with some pixels twice has the maximum and the average of those it has; one with
        # zeros has their sum of squares.
        missing = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
        even = jnp.pad(x, missing, mode="constant" if pooling == "l2" else "edge")
    else:
        even = x[:, : height // 2 * 2, : width // 2 * 2]
    return [even[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
