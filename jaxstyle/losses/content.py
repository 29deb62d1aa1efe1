"""Content loss: the features themselves.

Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016,
equation 1, with F and P the features of the image and of the content picture:

    "content-sum"        sum over i, j, c of (F_ijc - P_ijc)^2       twice the paper's; Keras' own
    "content"            the mean, so that a weight means the same at any size
    "content-relative"   the mean divided by the mean of P_ijc^2: the same for any photo as well
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def statistics(features: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """The features, in float32 or better."""
    return features.astype(jnp.promote_types(features.dtype, jnp.float32))
