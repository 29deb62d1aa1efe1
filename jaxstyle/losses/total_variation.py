"""Total variation: squared differences between neighbouring pixels.

The usual smoothness prior of style transfer; Mahendran & Vedaldi, "Understanding Deep Image
Representations by Inverting Them", CVPR 2015, equation 4 with beta = 2, as a mean:

    L_tv = mean (x_i+1,j - x_ij)^2 + mean (x_i,j+1 - x_ij)^2
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def statistics(image: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """The image itself."""
    return image


def distance(image: Float[Array, "h w c"], target: None = None) -> Float[Array, ""]:
    """Mean squared vertical difference plus mean squared horizontal difference."""
    del target  # a prior has nothing to be compared with
    return _mean_square(jnp.diff(image, axis=0)) + _mean_square(jnp.diff(image, axis=1))


def _mean_square(x: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.sum(x**2) / max(x.size, 1)  # a single row has no vertical difference: zero, not NaN
