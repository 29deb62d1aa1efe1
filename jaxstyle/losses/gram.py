"""Style loss: correlations between feature channels, whatever their place.

Gatys, Ecker, Bethge, CVPR 2016, equations 3 to 5. F is the (H W) x C matrix of features:

    G = F^T F / (H W)                           Gram matrix
    L_style = mean over c, d of (G_cd - A_cd)^2

Dividing by the number of positions makes images of different sizes comparable, as the authors do in
their own later code (Gatys et al. 2017). Grams of different paintings still differ in size by a
factor of a hundred, so there is also the relative form, in which a weight means the same for any
painting, any layer and any scaling of the network:

    L_style / mean over c, d of A_cd^2
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.losses.content import TINY


def statistics(features: Float[Array, "h w c"]) -> Float[Array, "c c"]:
    """Gram matrix per position, summed in float32 whatever the features are."""
    height, width, channels = features.shape
    flat = features.reshape(height * width, channels)
    accumulate = jnp.promote_types(features.dtype, jnp.float32)
    gram = jnp.einsum("nc,nd->cd", flat, flat, preferred_element_type=accumulate)
    return gram / (height * width)


def distance(gram: Float[Array, "c c"], target: Float[Array, "c c"]) -> Float[Array, ""]:
    """Mean squared difference between two Gram matrices."""
    return jnp.mean((gram - target) ** 2)


def relative_distance(gram: Float[Array, "c c"], target: Float[Array, "c c"]) -> Float[Array, ""]:
    """The same, divided by the mean square of the style's Gram matrix."""
    return distance(gram, target) / (jnp.mean(target**2) + TINY)
