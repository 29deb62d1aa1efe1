"""Style loss "wasserstein": distance of two distributions of features, modeled as Gaussians.

The loss of crowsonkb/style-transfer-pytorch: the squared 2-Wasserstein distance of two Gaussians
(Olkin & Pukelsheim, "The distance between two random vectors with given dispersion matrices",
1982), each part as a mean over channels. With mu and S the mean and covariance of the features:

    mean of (mu - mu')^2 + mean of the diagonal of S + S' - 2 (S'^1/2 S S'^1/2)^1/2
    S = E[f f^T] - mu mu^T + 1e-4 I

Several style pictures are blended into one Gaussian by averaging their E[f] and E[f f^T], not
their covariances.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.losses import distance, moments
from jaxstyle.losses.matrix_root import square_root, trace_of_root

RIDGE = 1e-4
"""Added to every variance, so that the covariance of a flat picture is positive definite."""


class Moments(NamedTuple):
    """First and second moments of features f.

    E[f f^T] is kept as two summands, because rounding in their sum would lose the covariance of
    features that vary little.

    Attributes:
      mean: E[f].
      covariance: E[f f^T] - E[f] E[f]^T.
      mean_product: E[f] E[f]^T, of each picture before blending.
    """

    mean: Float[Array, " c"]
    covariance: Float[Array, "c c"]
    mean_product: Float[Array, "c c"]


class Gaussian(NamedTuple):
    """The target: a Gaussian with the square root of its covariance."""

    mean: Float[Array, " c"]
    covariance: Float[Array, "c c"]
    root: Float[Array, "c c"]


def statistics(of: moments.Sums) -> Moments:
    """Return the moments of features from their sums."""
    mean = moments.mean(of)
    return Moments(mean, moments.covariance(of), jnp.outer(mean, mean))


def target(style: Moments) -> Gaussian:
    """Return the Gaussian of one style picture, or of several blended."""
    covariance = _ridged(style.covariance + _spread_of_means(style))
    return Gaussian(style.mean, covariance, square_root(covariance))


def _spread_of_means(style: Moments) -> Float[Array, "c c"]:
    """Return E[mu mu^T] - E[mu] E[mu]^T over the blended pictures, exactly zero for one picture.

    Rounding errors are replaced by zero: they could make the covariance of a flat picture negative
    and its root infinite.
    """
    spread = style.mean_product - jnp.outer(style.mean, style.mean)
    rounding = 16 * jnp.finfo(spread.dtype).eps * jnp.abs(style.mean_product)
    return jnp.where(jnp.abs(spread) > rounding, spread, 0)


def gaussian_distance(image: Moments, target: Gaussian) -> Float[Array, ""]:
    """Compute the distance above.

    The image is a single picture, so its ``mean_product`` adds nothing to its covariance.
    """
    covariance = _ridged(image.covariance)
    between = _product(_product(target.root, covariance), target.root)
    traces = jnp.trace(target.covariance) + jnp.trace(covariance) - 2 * trace_of_root(between)
    return distance.mean_square(image.mean, target.mean) + traces / image.mean.size


def _ridged(covariance: Float[Array, "c c"]) -> Float[Array, "c c"]:
    return covariance + RIDGE * jnp.eye(covariance.shape[0], dtype=covariance.dtype)


def _product(x: Float[Array, "c c"], y: Float[Array, "c c"]) -> Float[Array, "c c"]:
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)
