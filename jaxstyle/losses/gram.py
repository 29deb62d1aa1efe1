"""Style losses on Gram matrices: correlations of feature channels, summed over positions.

Gatys, Ecker, Bethge, CVPR 2016, equations 3 to 5. F is the (H W) x C matrix of the features of one
layer, G the Gram matrix of the image and A that of the style picture, normalized like G:

    "gram"            G = F^T F / (H W)      mean over c, d of (G_cd - A_cd)^2
    "gram-relative"   G = F^T F / (H W)      the mean above / mean over c, d of A_cd^2
    "gram-size"       G = F^T F / (H W C)    mean over c, d of (G_cd - A_cd)^2
    "gram-sum"        G = F^T F              sum over c, d of (G_cd - A_cd)^2 / (4 C^2 (H W)^2)
    "gram-keras"      G = F^T F              sum over c, d of (G_cd - A_cd)^2 / (4 3^2 (h w)^2)

Dividing by the number of positions makes images of different sizes comparable; the authors do so
in their later code (Gatys et al. 2017). Gram matrices of different paintings still differ by a
factor of a hundred. In the relative form, the effect of a weight depends neither on the painting
nor on the layer nor on the scaling of the network.

The other forms reproduce other programs. "gram-size" is the loss of jcjohnson, neural-style-pt and
anishathalye. "gram-sum" is the paper's equation 4 to the letter: H W is the number of positions of
the image's feature map, also for the style picture. "gram-keras" is the loss of the Keras example,
which uses 3 as the number of channels and the h w pixels of the image as the number of positions.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxstyle.losses import distance

KERAS_CHANNELS = 3


class Sums(NamedTuple):
    """A Gram matrix as a sum over positions.

    Attributes:
      gram: sum over positions of the products of two channels.
      positions: number of positions summed.
    """

    gram: Float[Array, "c c"]
    positions: Float[Array, ""]


def sums(
    features: Float[Array, "h w c"],
    guide: Float[Array, "h w"] | None = None,
    inside: Bool[Array, "h w"] | None = None,
    origin: None = None,
) -> Sums:
    """Compute the Gram matrix as a plain sum over positions, in float32 or better.

    Args:
      features: features of one layer.
      guide: guide of a region, multiplied with the features (see
        ``jaxstyle.guidance.propagate``); None for the whole picture.
      inside: positions that count, for a tile; None for all.
      origin: not used; other statistics take one.
    """
    del origin
    height, width, channels = features.shape
    accumulate = jnp.promote_types(features.dtype, jnp.float32)
    count = jnp.asarray(height * width, accumulate)
    if inside is not None:
        count = jnp.sum(inside, dtype=accumulate)
        guide = inside if guide is None else guide * inside
    flat = guided(features, guide).reshape(-1, channels)
    return Sums(jnp.einsum("nc,nd->cd", flat, flat, preferred_element_type=accumulate), count)


def guided(
    features: Float[Array, "h w c"], guide: Num[Array, "h w"] | Bool[Array, "h w"] | None
) -> Float[Array, "h w c"]:
    """Return the features multiplied by a guide, or unchanged without one."""
    return features if guide is None else features * guide[..., None].astype(features.dtype)


def merged(one: Sums, other: Sums) -> Sums:
    """Return the sums over two tiles together."""
    return Sums(one.gram + other.gram, one.positions + other.positions)


def per_position(of: Sums) -> Float[Array, "c c"]:
    """Return the Gram matrix divided by the number of positions."""
    return of.gram / of.positions


def per_entry(of: Sums) -> Float[Array, "c c"]:
    """Return the Gram matrix divided by the number of positions times channels."""
    return per_position(of) / of.gram.shape[-1]


def summed(of: Sums) -> Float[Array, "c c"]:
    """Return the Gram matrix as a plain sum over positions."""
    return of.gram


def sums_target(style: Sums) -> Float[Array, "c c"]:
    """Return the target of "gram-sum": the Gram matrix of the style picture as a plain sum.

    ``sums_distance`` divides it by the number of positions of the image, not of the style picture.
    """
    return style.gram


def sums_distance(image: Sums, target: Float[Array, "c c"]) -> Float[Array, ""]:
    """Compute equation 4 of Gatys et al. 2016.

    Both Gram matrices are divided by the number of positions of the image before they are squared,
    to stay in float32's range.
    """
    return distance.mean_square(image.gram / image.positions, target / image.positions) / 4


def keras_distance(gram: Float[Array, "c c"], target: Float[Array, "c c"]) -> Float[Array, ""]:
    """Compute the loss of the Keras example, without the factor ``keras_image_factor``."""
    return distance.sum_square(gram, target) / (4 * KERAS_CHANNELS**2)


def keras_image_factor(height: Any, width: Any) -> Any:
    """Return 1 / (number of pixels of the image)^2, which multiplies ``keras_distance``."""
    return 1 / (height * width) ** 2
