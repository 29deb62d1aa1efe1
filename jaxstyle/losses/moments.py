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
from jaxtyping import Array, Bool, Float

from jaxstyle.losses import content, distance

EPSILON = 1e-5
"""Added to a variance before its root, as in the code of Huang & Belongie: the root has no slope at
zero, and a flat picture would make the gradient infinite."""


class MeanStd(NamedTuple):
    """Mean and standard deviation of each channel."""

    mean: Float[Array, " c"]
    std: Float[Array, " c"]


class Sums(NamedTuple):
    """Sums over positions of deviations from an origin near their mean, and of their products.

    Without a good origin the covariance of features that vary little would be lost to rounding.
    weight: how much the positions count, together. second: of products of channels; or of each
    channel with itself alone.
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
    """The sums, in float32 or better, about the mean unless about another ``origin``.

    With a guide g those of a region: positions count by g^2, as in a Gram matrix of features times
    g. Of a tile only the positions ``inside`` count.
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
    """The sums of two tiles together, about the origin of the one that counts more."""
    origin = jnp.where(one.weight >= other.weight, one.origin, other.origin)
    one, other = about(one, origin), about(other, origin)
    parts = (a + b for a, b in zip(one[2:], other[2:], strict=True))
    return Sums(one.weight + other.weight, origin, *parts)


def about(of: Sums, origin: Float[Array, " c"]) -> Sums:
    """The same sums about another origin (Chan, Golub & LeVeque, "Updating formulae and a pairwise
    algorithm for computing sample variances", 1979, equation 2.1, for covariances)."""
    shift = of.origin - origin
    times = jnp.outer if of.second.ndim == 2 else jnp.multiply
    cross = times(of.first, shift) + times(shift, of.first)
    second = of.second + cross + of.weight * times(shift, shift)
    return Sums(of.weight, origin, of.first + of.weight * shift, second)


def centered(of: Sums) -> Sums:
    """The same sums about the mean itself."""
    return about(of, mean(of))


def mean(of: Sums) -> Float[Array, " c"]:
    """The mean of each channel."""
    return of.origin + _deviation(of)


def covariance(of: Sums) -> Float[Array, "c c"]:
    """Covariance of the channels."""
    deviation = _deviation(of)
    return of.second / _counted(of) - jnp.outer(deviation, deviation)


def mean_std(of: Sums) -> MeanStd:
    """Mean and standard deviation of each channel, from sums without products."""
    variances = of.second / _counted(of) - _deviation(of) ** 2
    return MeanStd(mean(of), jnp.sqrt(jnp.maximum(variances, 0) + EPSILON))


def _deviation(of: Sums) -> Float[Array, " c"]:
    """Of the mean from the origin."""
    return of.first / _counted(of)


def _counted(of: Sums) -> Float[Array, ""]:
    return jnp.maximum(of.weight, distance.TINY)  # a region that is not there has none


def mean_std_distance(image: MeanStd, target: MeanStd) -> Float[Array, ""]:
    """Mean squared difference of the means plus that of the deviations."""
    return distance.mean_square(image.mean, target.mean) + distance.mean_square(
        image.std, target.std
    )
