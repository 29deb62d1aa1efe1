"""Content loss: the features themselves.

Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016,
equation 1, with the mean in the place of half the sum, so that a weight means the same at any size:

    L_content = mean over i, j, c of (F_ijc - P_ijc)^2
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def statistics(features: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """The features, in float32."""
    return features.astype(jnp.promote_types(features.dtype, jnp.float32))


def distance(
    features: Float[Array, "h w c"], target: Float[Array, "h w c"]
) -> Float[Array, ""]:
    """Mean squared difference between the features of the image and those of the content."""
    return jnp.mean((features - target) ** 2)
