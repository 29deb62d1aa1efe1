"""Content losses: squared differences between features.

Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016,
equation 1, with F and P the features of the image and of the content picture:

    "content-sum"        sum over i, j, c of (F_ijc - P_ijc)^2   (twice the paper's; as in Keras)
    "content"            mean over i, j, c of (F_ijc - P_ijc)^2
    "content-relative"   the mean above, divided by the mean of P_ijc^2

With a mean, the effect of a weight does not depend on the size of the image; relative to the mean
square of the target, not on the photo either.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxstyle.losses.distance import TINY
from jaxstyle.losses.tile_mask import TileMask


def statistics(
    features: Float[Array, "h w c"], guide: Float[Array, "h w"] | None = None
) -> Float[Array, "h w c"]:
    """Return the features in float32, or in their own type if that is more precise.

    A guide is multiplied with them: what is transparent counts for nothing.
    """
    exact = features.astype(jnp.promote_types(features.dtype, jnp.float32))
    return exact if guide is None else exact * guide[..., None].astype(exact.dtype)


class TileTarget(NamedTuple):
    """The content target of one tile.

    Attributes:
      features: features of the content picture at the tile.
      mean_square: mean square of the content picture's features, over the whole picture.
    """

    features: PyTree
    mean_square: PyTree


def of_tile(kind: str) -> Callable[..., Float[Array, ""]]:
    """Return a function that computes a tile's contribution to a content loss.

    Summed over all tiles, the contributions are the loss of the whole image.

    Args:
      kind: "content", "content-relative" or "content-sum".
    """

    def share(x: Float[Array, "h w c"], target: TileTarget, cut: TileMask) -> Float[Array, ""]:
        squares = (statistics(x) - target.features) ** 2
        total = jnp.sum(jnp.where(cut.inside[..., None], squares, 0))
        if kind == "content-sum":
            return total
        mean = total / (jnp.asarray(cut.height, total.dtype) * cut.width * x.shape[-1])
        return mean / (target.mean_square + TINY) if kind == "content-relative" else mean

    return share
