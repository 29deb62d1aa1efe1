"""2x2 pooling with stride 2, in the variants of other programs that use VGG-19."""

from typing import Literal, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float

Pooling = Literal["max", "average", "l2"]
Rounding = Literal["floor", "ceil", "ceil-max"]
POOLINGS: tuple[str, ...] = get_args(Pooling)
ROUNDINGS: tuple[str, ...] = get_args(Rounding)

POOLING_SCALES: dict[Pooling, float] = {"max": 1.0, "average": 2.0, "l2": 0.78}
"""Factors of pooled maps that keep the magnitude of the features in later layers about equal to
that with max pooling, by Katherine Crowson (style-transfer-pytorch)."""


def pool(
    x: Float[Array, "1 h w c"], pooling: Pooling, rounding: Rounding = "floor"
) -> Float[Array, "1 h2 w2 c"]:
    """Pool windows of 2x2 pixels with stride 2.

    It uses four strided slices because the gradient of ``reduce_window`` is a slow scatter in XLA.

    Args:
      x: a feature map.
      pooling: "max", "average", or "l2" (the root of the sum of squares).
      rounding: "floor" drops a last odd row or column, "ceil" pools it, "ceil-max" pools it with
        max pooling and drops it otherwise.
    """
    a, b, c, d = _corners(x, pooling, rounding)
    if pooling == "max":
        return jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))
    a, b, c, d = (v.astype(jnp.promote_types(v.dtype, jnp.float32)) for v in (a, b, c, d))
    if pooling == "average":
        return ((a + b + c + d) / 4).astype(x.dtype)
    squares = a * a + b * b + c * c + d * d
    # The gradient of the root is infinite at zero, and after a ReLU whole windows are zero: the
    # gradient of such windows is set to zero.
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0).astype(x.dtype)


def rounds_up(pooling: str, rounding: str) -> bool:
    """Return whether a last odd row or column is pooled and not dropped."""
    return rounding == "ceil" or (rounding, pooling) == ("ceil-max", "max")


def _corners(
    x: Float[Array, "1 h w c"], pooling: str, rounding: str
) -> list[Float[Array, "1 h2 w2 c"]]:
    """Return the upper left, upper right, lower left and lower right pixels of all windows."""
    _, height, width, _ = x.shape
    if rounds_up(pooling, rounding):
        # Incomplete windows repeat their pixels, which keeps the maximum and the average of those
        # inside the map, or are completed with zeros, which keep the sum of squares.
        missing = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
        even = jnp.pad(x, missing, mode="constant" if pooling == "l2" else "edge")
    else:
        even = x[:, : height // 2 * 2, : width // 2 * 2]
    return [even[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
