"""Style losses: correlations between feature channels, whatever their place.

Gatys, Ecker, Bethge, CVPR 2016, equations 3 to 5. F is the (H W) x C matrix of the features of one
layer, G the Gram matrix of the image and A that of the style picture, here in the units of each:

    "gram"            G = F^T F / (H W)      mean over c, d of (G_cd - A_cd)^2
    "gram-relative"   G = F^T F / (H W)      the same / mean over c, d of A_cd^2
    "gram-size"       G = F^T F / (H W C)    mean over c, d of (G_cd - A_cd)^2
    "gram-sum"        G = F^T F              sum over c, d of (G_cd - A_cd)^2 / (4 C^2 (H W)^2)
    "gram-keras"      G = F^T F              sum over c, d of (G_cd - A_cd)^2 / (4 3^2 (h w)^2)

Dividing by the number of positions makes images of different sizes comparable, as the authors do in
their own later code (Gatys et al. 2017). Grams of different paintings still differ in size by a
factor of a hundred: hence the relative form, in which a weight means the same for any painting, any
layer and any scaling of the network. The rest is for the sake of peers: "gram-size" is that of
jcjohnson, neural-style-pt and anishathalye; "gram-sum" the paper's equation 4 to the letter, H W
being the positions of the image's map whatever those of the style's; "gram-keras" the Keras
example's, which takes 3 for the channels and the h w pixels of the image for the positions.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from jaxstyle.losses import distance

KERAS_CHANNELS = 3


class Sums(NamedTuple):
    """A Gram matrix summed over positions, and how many positions there were."""

    gram: Float[Array, "c c"]
    positions: Float[Array, ""]


def sums(
    features: Float[Array, "h w c"],
    guide: Float[Array, "h w"] | None = None,
    inside: Bool[Array, "h w"] | None = None,
    origin: None = None,
) -> Sums:
    """The Gram matrix as a plain sum over positions, in float32 or better.

    With a guide that of a region: of features times it (see ``jaxstyle.guidance.propagate``). Of a
    tile only the positions ``inside`` count. Sums have no origin.
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
    """Features times a guide, if there is one."""
    return features if guide is None else features * guide[..., None].astype(features.dtype)


def merged(one: Sums, other: Sums) -> Sums:
    """The sums of two tiles together."""
    return Sums(one.gram + other.gram, one.positions + other.positions)


def per_position(of: Sums) -> Float[Array, "c c"]:
    """Gram matrix per position."""
    return of.gram / of.positions


def per_entry(of: Sums) -> Float[Array, "c c"]:
    """Gram matrix divided by the number of features, channels and all."""
    return per_position(of) / of.gram.shape[-1]


def summed(of: Sums) -> Float[Array, "c c"]:
    """Gram matrix as a plain sum over positions."""
    return of.gram


def sums_target(style: Sums) -> Float[Array, "c c"]:
    """The style's own number of positions plays no part."""
    return style.gram


def sums_distance(image: Sums, target: Float[Array, "c c"]) -> Float[Array, ""]:
    """Equation 4; divided before it is squared, which keeps float32 within its range."""
    return distance.mean_square(image.gram / image.positions, target / image.positions) / 4


def keras_distance(gram: Float[Array, "c c"], target: Float[Array, "c c"]) -> Float[Array, ""]:
    """The Keras example's, but for its division by the pixels: see ``keras_image_factor``."""
    return distance.sum_square(gram, target) / (4 * KERAS_CHANNELS**2)


def keras_image_factor(height: Any, width: Any) -> Any:
    """One over the square of the number of pixels of the image."""
    return 1 / (height * width) ** 2
