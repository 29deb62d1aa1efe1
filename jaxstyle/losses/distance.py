"""Distances between two arrays of statistics, shared by most losses.

    mean_square            mean of (x - y)^2
    relative_mean_square   mean of (x - y)^2 / mean of y^2
    sum_square             sum of (x - y)^2

With a mean, the effect of a weight does not depend on the number of pixels and channels; relative
to the target, it does not depend on the picture or the scaling of the network either.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

TINY = 1e-12
"""Added to denominators, which are zero for a picture without any features."""


def mean_square(x: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]:
    """Return the mean of the squared differences."""
    return jnp.mean((x - target) ** 2)


def relative_mean_square(
    x: Float[Array, "*shape"], target: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """Return the mean of the squared differences, divided by the mean square of the target."""
    return mean_square(x, target) / (jnp.mean(target**2) + TINY)


def sum_square(x: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]:
    """Return the sum of the squared differences."""
    return jnp.sum((x - target) ** 2)
