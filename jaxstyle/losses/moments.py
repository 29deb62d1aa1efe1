"""Style losses: mean, deviation and covariance of feature channels.

Unlike a Gram matrix they tell how bright a texture is apart from how much it varies. With mu the
mean over positions, S_cd = mean over i, j of (F_ijc - mu_c) (F_ijd - mu_d), sigma_c^2 = S_cc:

    "gram-centered"   mean over c, d of (S_cd - S'_cd)^2
    "mean-std"        mean over c of (mu_c - mu'_c)^2 + mean over c of (sigma_c - sigma'_c)^2

The second is Li, Wang, Liu, Hou, "Demystifying Neural Style Transfer", IJCAI 2017 ("BN statistics
matching"), also the style loss of Huang & Belongie, "Arbitrary Style Transfer in Real-time with
Adaptive Instance Normalization", ICCV 2017, equation 13, squared as in its authors' code.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.losses import content, distance

EPSILON = 1e-5
"""Added to a variance before its root, as in the code of Huang & Belongie: the root has no slope at
zero, and a flat picture would make the gradient infinite."""


class MeanStd(NamedTuple):
    """Mean and standard deviation of each channel."""

    mean: Float[Array, " c"]
    std: Float[Array, " c"]


def mean_and_residual(
    features: Float[Array, "h w c"], guide: Float[Array, "h w"] | None = None
) -> tuple[Float[Array, " c"], Float[Array, "n c"]]:
    """The mean of each channel and what is left without it at each position.

    With a guide g those of a region: positions count by g^2, as in a Gram matrix of features times
    g, and residuals are times g, so that their mean product is the region's covariance.
    """
    flat = content.statistics(features).reshape(-1, features.shape[-1])
    if guide is None:
        mean = jnp.mean(flat, axis=0)
        return mean, flat - mean
    squares = guide.reshape(-1, 1).astype(flat.dtype) ** 2
    shares = squares / jnp.maximum(jnp.mean(squares), distance.TINY)
    mean = jnp.mean(shares * flat, axis=0)
    return mean, jnp.sqrt(shares) * (flat - mean)


def covariance_of(residual: Float[Array, "n c"]) -> Float[Array, "c c"]:
    """Mean over positions of the products of residuals, which are exact enough to add up."""
    product = jnp.einsum("nc,nd->cd", residual, residual, precision=jax.lax.Precision.HIGHEST)
    return product / residual.shape[0]


def covariance(
    features: Float[Array, "h w c"], guide: Float[Array, "h w"] | None = None
) -> Float[Array, "c c"]:
    """Covariance of the channels, in float32 or better."""
    _, residual = mean_and_residual(features, guide)
    return covariance_of(residual)


def mean_std(features: Float[Array, "h w c"], guide: Float[Array, "h w"] | None = None) -> MeanStd:
    """Mean and standard deviation of each channel, in float32 or better."""
    mean, residual = mean_and_residual(features, guide)
    return MeanStd(mean, jnp.sqrt(jnp.mean(residual**2, axis=0) + EPSILON))


def mean_std_distance(image: MeanStd, target: MeanStd) -> Float[Array, ""]:
    """Mean squared difference of the means plus that of the deviations."""
    return distance.mean_square(image.mean, target.mean) + distance.mean_square(
        image.std, target.std
    )
