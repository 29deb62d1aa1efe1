"""Style loss "wasserstein": the distance of two clouds of features, taken for Gaussian.

That of crowsonkb/style-transfer-pytorch: the squared 2-Wasserstein distance of two Gaussians
(Olkin & Pukelsheim, "The distance between two random vectors with given dispersion matrices",
1982), each part as a mean over channels. With mu and S the mean and covariance of the features:

    mean of (mu - mu')^2 + mean of the diagonal of S + S' - 2 (S'^1/2 S S'^1/2)^1/2
    S = E[f f^T] - mu mu^T + 1e-4 I

Several pictures are one cloud: their E[f] and E[f f^T] are averaged, not their covariances.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.losses import distance, moments
from jaxstyle.losses.matrix_root import square_root, trace_of_root

RIDGE = 1e-4
"""Added to every variance, so that a flat picture has a covariance to take the root of."""


class Moments(NamedTuple):
    """E[f], and E[f f^T] in two parts: the covariance about the mean, and mean mean^T.

    In one number the covariance of features that vary little would be lost to rounding.
    """

    mean: Float[Array, " c"]
    covariance: Float[Array, "c c"]
    mean_product: Float[Array, "c c"]


class Gaussian(NamedTuple):
    """Mean and covariance of the style, and the square root of the covariance."""

    mean: Float[Array, " c"]
    covariance: Float[Array, "c c"]
    root: Float[Array, "c c"]


def statistics(of: moments.Sums) -> Moments:
    """First and second moments."""
    mean = moments.mean(of)
    return Moments(mean, moments.covariance(of), jnp.outer(mean, mean))


def target(style: Moments) -> Gaussian:
    """The Gaussian of one style picture, or of several blended."""
    covariance = _ridged(style.covariance + _spread_of_means(style))
    return Gaussian(style.mean, covariance, square_root(covariance))


def _spread_of_means(style: Moments) -> Float[Array, "c c"]:
    """E[mu mu^T] - E[mu] E[mu]^T over the pictures blended: exactly zero if there is but one.

    Mere rounding could make the covariance of a flat picture negative, and its root infinite.
    """
    spread = style.mean_product - jnp.outer(style.mean, style.mean)
    rounding = 16 * jnp.finfo(spread.dtype).eps * jnp.abs(style.mean_product)
    return jnp.where(jnp.abs(spread) > rounding, spread, 0)


def gaussian_distance(image: Moments, target: Gaussian) -> Float[Array, ""]:
    """The formula above; the image is a single picture, so its covariance is already whole."""
    covariance = _ridged(image.covariance)
    between = _product(_product(target.root, covariance), target.root)
    traces = jnp.trace(target.covariance) + jnp.trace(covariance) - 2 * trace_of_root(between)
    return distance.mean_square(image.mean, target.mean) + traces / image.mean.size


def _ridged(covariance: Float[Array, "c c"]) -> Float[Array, "c c"]:
    return covariance + RIDGE * jnp.eye(covariance.shape[0], dtype=covariance.dtype)


def _product(x: Float[Array, "c c"], y: Float[Array, "c c"]) -> Float[Array, "c c"]:
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)
