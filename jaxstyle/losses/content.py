"""Content loss: the features themselves.

Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016,
equation 1, with F and P the features of the image and of the content picture:

    "content-sum"        sum over i, j, c of (F_ijc - P_ijc)^2       twice the paper's; Keras' own
    "content"            the mean, so that a weight means the same at any size
    "content-relative"   the mean divided by the mean of P_ijc^2: the same for any photo as well
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxstyle.losses.distance import TINY
from jaxstyle.losses.tile_mask import TileMask


def statistics(features: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """The features, in float32 or better."""
    return features.astype(jnp.promote_types(features.dtype, jnp.float32))


class TileTarget(NamedTuple):
    """A tile's part of the content picture's features, and the mean square of all of them."""

    features: PyTree
    mean_square: PyTree


def of_tile(kind: str) -> Callable[..., Float[Array, ""]]:
    """A tile's part of one of the losses above."""

    def share(x: Float[Array, "h w c"], target: TileTarget, cut: TileMask) -> Float[Array, ""]:
        squares = (statistics(x) - target.features) ** 2
        total = jnp.sum(jnp.where(cut.inside[..., None], squares, 0))
        if kind == "content-sum":
            return total
        mean = total / (jnp.asarray(cut.height, total.dtype) * cut.width * x.shape[-1])
        return mean / (target.mean_square + TINY) if kind == "content-relative" else mean

    return share
