"""Content loss: the features themselves.

Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016,
equation 1, with the mean in the place of half the sum, so that a weight means the same at any size:

    L_content = mean over i, j, c of (F_ijc - P_ijc)^2

and, relative to the content's own features, so that a weight means the same for any photo and for
any scaling of the network:

    L_content / mean over i, j, c of P_ijc^2
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

TINY = 1e-12
"""What keeps a picture without any features from dividing by zero."""


def statistics(features: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """The features, in float32."""
    return features.astype(jnp.promote_types(features.dtype, jnp.float32))


def distance(features: Float[Array, "h w c"], target: Float[Array, "h w c"]) -> Float[Array, ""]:
    """Mean squared difference between the features of the image and those of the content."""
    return jnp.mean((features - target) ** 2)


def relative_distance(
    features: Float[Array, "h w c"], target: Float[Array, "h w c"]
) -> Float[Array, ""]:
    """The same, divided by the mean square of the content's features."""
    return distance(features, target) / (jnp.mean(target**2) + TINY)
