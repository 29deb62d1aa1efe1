"""How far one array of statistics is from another: what most losses measure with.

    mean_square            mean of (x - y)^2
    relative_mean_square   mean of (x - y)^2 / mean of y^2
    sum_square             sum of (x - y)^2

With a mean, a weight means the same for any number of pixels and channels; relative to the target,
also for any picture and any scaling of the network.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

TINY = 1e-12
"""What keeps a picture without any features from dividing by zero."""


def mean_square(x: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]:
    """Mean of the squared differences."""
    return jnp.mean((x - target) ** 2)


def relative_mean_square(
    x: Float[Array, "*shape"], target: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """The same, divided by the mean square of the target."""
    return mean_square(x, target) / (jnp.mean(target**2) + TINY)


def sum_square(x: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]:
    """Sum of the squared differences."""
    return jnp.sum((x - target) ** 2)
