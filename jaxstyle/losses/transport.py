"""Losses of STROTSS: relaxed optimal transport of the style, self-similarity of the content.

Kolkin, Salavon, Shakhnarovich, "Style Transfer by Relaxed Optimal Transport and Self-Similarity",
CVPR 2019, by the authors' code. Both are measured on hypercolumns: pixels, then features, at
positions of the image (A) that are drawn anew at every step, and at fixed ones of a style (B). With
cosine distances C:

    "self-similarity"    n mean over i, j of |S_ij - S'_ij|
                         S: distances of the A among themselves, each row divided by its sum; S' of
                         the content at the same positions
    "relaxed-transport"  max(mean over i of min over j of C_ij, mean over j of min over i of C_ij)
                         + mean of |mean A - mean B| + mean of |cov A - cov B|
                         + p max(as above, of colors: their C plus Euclidean distances)

The transport is that of features alone; p is 1 over the weight of the content relative to the
style, 1 at most. A minimum is differentiated through the pair that attains it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.losses.hypercolumns import PIXELS, Given, Maps, between, drawn, places, unit
from jaxstyle.network.vgg import smallest_side

OF_IMAGE = 1024
"""Positions of the image."""

OF_STYLE = 5000
"""Positions of a style."""

LEAST = 1e-6
"""Least length of a vector, so that a black pixel has a direction."""

DECORRELATED = np.array(
    [
        [0.577350, 0.577350, 0.577350],
        [-0.577350, 0.788675, -0.211325],
        [-0.577350, -0.211325, 0.788675],
    ]
)
"""The authors' color space: brightness and two differences, at right angles."""


class Sampled(NamedTuple):
    """A style at its positions.

    Attributes:
      colors: their pixels.
      features: features of all layers, one after the other.
      mean, covariance: those of the whole hypercolumns.
    """

    colors: Float[Array, "n 3"]
    features: Float[Array, "n c"]
    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]


def sampled(
    maps: Maps, count: int, guide: Float[Array, "_ _"] | None, given: Given
) -> tuple[Float[Array, "n 3"], Float[Array, "n c"]]:
    """Return pixels and features at ``count`` sampled positions of a picture, or of a region.

    A position of the picture is at 1/2, 1/4 ... of its row and column at later layers; there the
    features are interpolated.
    """
    height, width, _ = maps[PIXELS].shape
    sides = (height, width) if guide is None else guide.shape
    rows, across = places(sides, count, drawn(given), guide)
    down, beside = jnp.asarray(rows) * (height / sides[0]), jnp.asarray(across) * (width / sides[1])
    parts = []
    for name, x in maps.items():
        if name == PIXELS:
            continue
        at = (each.astype(x.dtype) / smallest_side([name]) for each in (down, beside))
        parts.append(given.factors[name] * between(x, *at))
    pixels = maps[PIXELS][down.astype(jnp.int32), beside.astype(jnp.int32)]
    return pixels, jnp.concatenate(parts, axis=1)


def style_target(
    measure: Callable[[Array], Maps],
    content: Float[Array, "h w 3"],
    style: Float[Array, "_ _ 3"],
    guide: Float[Array, "_ _"] | None,
    given: Given,
) -> Sampled:
    """Return a style at its positions."""
    del content
    colors, features = sampled(measure(style), OF_STYLE, guide, given)
    return Sampled(colors, features, *_moments(colors, features))


def transport_distance(
    maps: Maps, target: Sampled, guide: Float[Array, "_ _"] | None, given: Given
) -> Float[Array, ""]:
    """Return the relaxed transport of features, the distance of moments, and that of palettes."""
    colors, features = sampled(maps, OF_IMAGE, guide, given)
    mean, covariance = _moments(colors, features)
    moments = jnp.mean(jnp.abs(mean - target.mean))
    moments += jnp.mean(jnp.abs(covariance - target.covariance))
    palettes = [x @ jnp.asarray(DECORRELATED.T, x.dtype) for x in (colors, target.colors)]
    palette = _relaxed(*palettes, euclidean=True)
    share = 1 / jnp.maximum(given.content, 1)
    return _relaxed(features, target.features) + moments + share * palette


def _moments(
    colors: Float[Array, "n 3"], features: Float[Array, "n c"]
) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """Return mean and covariance of the hypercolumns."""
    x = jnp.concatenate([colors, features], axis=1)
    mean = jnp.mean(x, axis=0)
    highest = jax.lax.Precision.HIGHEST
    return mean, jnp.matmul((x - mean).T, x - mean, precision=highest) / (x.shape[0] - 1)


def _relaxed(
    one: Float[Array, "n c"], other: Float[Array, "m c"], *, euclidean: bool = False
) -> Float[Array, ""]:
    """Return the relaxed earth mover's distance of two sets: the larger of its two bounds.

    Args:
      one, other: the sets.
      euclidean: add the Euclidean distance, divided by the root of the number of channels.
    """
    still = jax.lax.stop_gradient
    distances = _cosine(still(one), still(other))
    if euclidean:
        distances += _euclidean(still(one), still(other))

    def paired(a: Array, b: Array) -> Float[Array, ""]:
        apart = 1 - jnp.sum(unit(a, LEAST) * unit(b, LEAST), axis=1)
        if euclidean:
            apart += jnp.sqrt(jnp.maximum(jnp.mean((a - b) ** 2, axis=1), 1e-5 / a.shape[1]))
        return jnp.mean(apart)

    there = paired(one, other[jnp.argmin(distances, axis=1)])
    back = paired(one[jnp.argmin(distances, axis=0)], other)
    return jnp.maximum(there, back)


def _cosine(one: Float[Array, "n c"], other: Float[Array, "m c"]) -> Float[Array, "n m"]:
    highest = jax.lax.Precision.HIGHEST
    return 1 - jnp.matmul(unit(one, LEAST), unit(other, LEAST).T, precision=highest)


def _euclidean(one: Float[Array, "n c"], other: Float[Array, "m c"]) -> Float[Array, "n m"]:
    apart = sum((one[:, None, i] - other[None, :, i]) ** 2 for i in range(one.shape[1]))
    return jnp.sqrt(jnp.maximum(apart, 1e-5) / one.shape[1])


# --- the content ----------------------------------------------------------------------------------


def content_target(
    measure: Callable[[Array], Maps],
    content: Float[Array, "h w 3"],
    style: None,
    guide: Float[Array, "_ _"] | None,
    given: Given,
) -> dict[str, Float[Array, "_ _ _"]]:
    """Return the content's features, to be sampled where the image's are."""
    del style, guide, given
    return dict(measure(content))


def self_similarity_distance(
    maps: Maps,
    target: dict[str, Float[Array, "_ _ _"]],
    guide: Float[Array, "_ _"] | None,
    given: Given,
) -> Float[Array, ""]:
    """Return the difference of the self-similarities of image and content."""
    in_order = {name: target[name] for name in maps}
    ours, theirs = (
        _self_similarity(*sampled(each, OF_IMAGE, guide, given)) for each in (maps, in_order)
    )
    return ours.shape[0] * jnp.mean(jnp.abs(ours - theirs))


def _self_similarity(
    colors: Float[Array, "n 3"], features: Float[Array, "n c"]
) -> Float[Array, "n n"]:
    """Return cosine distances among hypercolumns, each row divided by its sum."""
    x = jnp.concatenate([colors, features], axis=1)
    apart = _cosine(x, x)
    return apart / jnp.maximum(jnp.sum(apart, axis=1, keepdims=True), LEAST)
