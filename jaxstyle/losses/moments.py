"""Style losses on the mean, standard deviation and covariance of feature channels.

Unlike a Gram matrix, these separate the mean of the features from their variation. With mu the
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
from jaxtyping import Array, Bool, Float

from jaxstyle.losses import content, distance

EPSILON = 1e-5
"""Added to a variance before its square root, as in the code of Huang & Belongie: otherwise the
gradient of a flat picture would be infinite."""


class MeanStd(NamedTuple):
    """Mean and standard deviation of each channel."""

    mean: Float[Array, " c"]
    std: Float[Array, " c"]


class Sums(NamedTuple):
    """Weighted sums over positions of deviations from an origin, and of their products.

    The origin should be near the mean: otherwise rounding loses the covariance of features that
    vary little.

    Attributes:
      weight: sum of the weights of the positions.
      origin: value of each channel that deviations are measured from.
      first: sums of the deviations.
      second: sums of products of the deviations of two channels, or only of their squares.
    """

    weight: Float[Array, ""]
    origin: Float[Array, " c"]
    first: Float[Array, " c"]
    second: Float[Array, "c c"] | Float[Array, " c"]


def sums(
    features: Float[Array, "h w c"],
    guide: Float[Array, "h w"] | None = None,
    inside: Bool[Array, "h w"] | None = None,
    origin: Float[Array, " c"] | None = None,
    *,
    products: bool = True,
) -> Sums:
    """Compute the sums of features, in float32 or better.

    Args:
      features: features of one layer.
      guide: guide g of a region: each position has the weight g^2, as in a Gram matrix of the
        features times g. None for the whole picture.
      inside: positions that count, for a tile; None for all.
      origin: value of each channel that deviations are measured from; None for their mean.
      products: whether to sum products of all pairs of channels, or only squares.
    """
    flat = content.statistics(features).reshape(-1, features.shape[-1])
    counted = None
    if guide is not None or inside is not None:
        counted = jnp.ones(flat.shape[0], flat.dtype)
        for each in (guide, inside):
            counted = counted if each is None else counted * each.reshape(-1)
        counted = counted[:, None]
    squares = jnp.ones((flat.shape[0], 1), flat.dtype) if counted is None else counted**2
    weight = jnp.sum(squares)
    if origin is None:
        mean = jnp.sum(squares * flat, axis=0) / jnp.maximum(weight, distance.TINY)
        origin = jax.lax.stop_gradient(mean)
    deviations = flat - origin
    first = jnp.sum(squares * deviations, axis=0)
    residual = deviations if counted is None else counted * deviations
    if not products:
        return Sums(weight, origin, first, jnp.sum(residual**2, axis=0))
    second = jnp.einsum("nc,nd->cd", residual, residual, precision=jax.lax.Precision.HIGHEST)
    return Sums(weight, origin, first, second)


def merged(one: Sums, other: Sums) -> Sums:
    """Return the sums over two tiles together, about the origin of the one with more weight."""
    origin = jnp.where(one.weight >= other.weight, one.origin, other.origin)
    one, other = about(one, origin), about(other, origin)
    parts = (a + b for a, b in zip(one[2:], other[2:], strict=True))
    return Sums(one.weight + other.weight, origin, *parts)


def about(of: Sums, origin: Float[Array, " c"]) -> Sums:
    """Convert sums to another origin.

    Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances", 1979, equation 2.1, for covariances.
    """
    shift = of.origin - origin
    times = jnp.outer if of.second.ndim == 2 else jnp.multiply
    cross = times(of.first, shift) + times(shift, of.first)
    second = of.second + cross + of.weight * times(shift, shift)
    return Sums(of.weight, origin, of.first + of.weight * shift, second)


def centered(of: Sums) -> Sums:
    """Convert sums to the mean as their origin."""
    return about(of, mean(of))


def mean(of: Sums) -> Float[Array, " c"]:
    """Return the mean of each channel."""
    return of.origin + _deviation(of)


def covariance(of: Sums) -> Float[Array, "c c"]:
    """Return the covariance matrix of the channels, from sums with products."""
    deviation = _deviation(of)
    return of.second / _counted(of) - jnp.outer(deviation, deviation)


def mean_std(of: Sums) -> MeanStd:
    """Return mean and standard deviation of each channel, from sums without products."""
    variances = of.second / _counted(of) - _deviation(of) ** 2
    return MeanStd(mean(of), jnp.sqrt(jnp.maximum(variances, 0) + EPSILON))


def _deviation(of: Sums) -> Float[Array, " c"]:
    """Return the deviation of the mean from the origin."""
    return of.first / _counted(of)


def _counted(of: Sums) -> Float[Array, ""]:
    return jnp.maximum(of.weight, distance.TINY)  # an absent region has weight 0


def mean_std_distance(image: MeanStd, target: MeanStd) -> Float[Array, ""]:
    """Return the mean squared difference of the means plus that of the standard deviations."""
    return distance.mean_square(image.mean, target.mean) + distance.mean_square(
        image.std, target.std
    )
