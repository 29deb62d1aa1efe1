"""Losses of Neural Neighbor Style Transfer: every place of the image resembles a place of a style.

Kolkin, Kucera, Paris, Sykora, Shechtman, Shakhnarovich, "Neural Neighbor Style Transfer",
arXiv:2203.13215 (2022), by the authors' code. Places are compared by *centered* cosine distance: of
features from which the mean over all places of their picture is subtracted.

    "neighbors"         mean over places i of 1 - cos(F_i, T_i)
    "neighbors-split"   sum over layers of mean over i of min over j of 1 - cos(F_i - F, S_j - S)

F are the image's hypercolumns. Each of the targets T is the hypercolumn of a style that is nearest
to that of a search picture; they are found once, at the start of a scale. The search picture is
mostly the content, with a share of the image as the scale begins. In the second form there are no
fixed targets, and each layer has its own neighbors; all layers count alike. The minimum is
differentiated through the pair that attains it. The styles are also seen turned by 90, 180 and 270
degrees.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxstyle.losses.hypercolumns import (
    PIXELS,
    Given,
    Maps,
    average,
    drawn,
    inside,
    places,
    resized,
    unit,
)

SHARE = 0.25
"""Share of the image in the search picture: one minus the authors' alpha."""

STRIDE = 4
"""Pixels from one hypercolumn to the next."""

SAMPLED = 64
"""Places that each side of a layer is sampled at, about, in the second form."""

ROWS = 256
"""Places of the image that are compared with all of a style at once."""

LEAST = 1e-4
"""Least length of a vector of features, as in the authors' code."""

TURNS = 4

OUTSIDE = 4.0
"""Subtracted from the cosine with a place outside a region: more than cosines are apart."""


class Search(NamedTuple):
    """What the targets of a scale are found from.

    Attributes:
      content: pixels of the content.
      style: pixels of the style.
      guide: guide of a region of the style, None for all of it.
      factors: factor of each layer.
    """

    content: Any
    style: Any
    guide: Any
    factors: dict[str, Any]


def columns(maps: Maps, factors: dict[str, Any]) -> list[Float[Array, "n _"]]:
    """Return the hypercolumns, by layer: each divided by its number of channels."""
    sides = _sides(maps[PIXELS])
    return [
        factors[name] / x.shape[-1] * resized(x, *sides).reshape(-1, x.shape[-1])
        for name, x in maps.items()
        if name != PIXELS
    ]


def distance(
    maps: Maps, target: Float[Array, "n c"], guide: Float[Array, "_ _"] | None, given: Given
) -> Float[Array, ""]:
    """Return the mean cosine distance of the image's hypercolumns to their targets."""
    dots, squares, first = 0.0, 0.0, 0
    for x in columns(maps, given.factors):
        own = target[:, first : first + x.shape[1]]
        dots, squares = dots + jnp.sum(x * own, axis=1), squares + jnp.sum(x**2, axis=1)
        first += x.shape[1]
    lengths = [jnp.maximum(each, LEAST**2) for each in (squares, jnp.sum(target**2, axis=1))]
    cosines = dots * jax.lax.rsqrt(lengths[0] * lengths[1])
    weights = None if guide is None else _weights(maps[PIXELS], guide)
    return average(1 - cosines, weights)


def search(
    measure: Callable[[Array], Maps],
    content: Float[Array, "h w 3"],
    style: Float[Array, "_ _ 3"],
    guide: Float[Array, "_ _"] | None,
    given: Given,
) -> Search:
    """Return what the targets of a scale will be found from."""
    del measure
    return Search(content, style, guide, given.factors)


def found(
    measure: Callable[[Array], Maps],
    image: Float[Array, "h w 3"],
    of: Search,
    guide: Float[Array, "_ _"] | None,
) -> Float[Array, "n c"]:
    """Return the targets of a scale that begins with an image: a style hypercolumn for each place.

    Args:
      measure: function from a picture to its features.
      image: the image.
      of: content and style.
      guide: guide of the region of the image, None for all of it.
    """
    whole = partial(_whole, measure, of.factors)
    wanted = whole(searched(image, of.content))
    styles = [whole(jnp.rot90(of.style, turn)) for turn in range(TURNS)]
    present = [_present(of, turn, style) for turn, style in enumerate(styles)]
    sums = [jnp.sum(own[:, None] * x, axis=0) for own, x in zip(present, styles, strict=True)]
    mean = sum(sums) / jnp.maximum(sum(map(jnp.sum, present)), 1)
    wanted = wanted - average(wanted, None if guide is None else _weights(image, guide))
    best, chosen = jnp.full(wanted.shape[0], -jnp.inf, wanted.dtype), jnp.zeros_like(wanted)
    for own, style in zip(present, styles, strict=True):
        likeness, at = most_alike(wanted, style, mean, OUTSIDE * (1 - own))
        better = likeness > best
        best = jnp.where(better, likeness, best)
        chosen = jnp.where(better[:, None], style[at], chosen)
    return chosen


def searched(image: Float[Array, "h w 3"], content: Float[Array, "h w 3"]) -> Array:
    """Return the search picture: the content, with a share of the image's coarser levels."""
    sharpened = _coarse(image) + content - _coarse(content)
    return SHARE * sharpened + (1 - SHARE) * content


def _coarse(image: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
    """Return an image without the finest level of its Laplacian pyramid."""
    height, width, _ = image.shape
    half = max(1, height // 2), max(1, width // 2), 3
    small = jax.image.resize(image, half, "linear", antialias=False)
    return jax.image.resize(small, image.shape, "linear", antialias=False)


def _whole(
    measure: Callable[[Array], Maps], factors: dict[str, Any], picture: Float[Array, "h w 3"]
) -> Float[Array, "n c"]:
    return jnp.concatenate(columns(measure(picture), factors), axis=1)


def _sides(picture: Float[Array, "h w 3"]) -> tuple[int, int]:
    """Return the numbers of rows and columns of hypercolumns."""
    return max(1, picture.shape[0] // STRIDE), max(1, picture.shape[1] // STRIDE)


def _weights(picture: Float[Array, "h w 3"], guide: Float[Array, "_ _"]) -> Float[Array, " n"]:
    """Return the weight of each hypercolumn in a region."""
    return inside(guide, *_sides(picture)).reshape(-1)


def _present(of: Search, turn: int, style: Float[Array, "n c"]) -> Float[Array, " n"]:
    """Return 1 for each hypercolumn of a turned style that belongs to the region, else 0.

    Those do whose weight is at least half of the largest.
    """
    if of.guide is None:
        return jnp.ones(style.shape[0], style.dtype)
    weights = _weights(jnp.rot90(of.style, turn), jnp.rot90(of.guide, turn))
    return (weights >= jnp.max(weights) / 2).astype(style.dtype)


def most_alike(
    wanted: Float[Array, "n c"],
    style: Float[Array, "m c"],
    mean: Float[Array, " c"],
    outside: Float[Array, " m"] | float = 0.0,
) -> tuple[Float[Array, " n"], Int[Array, " n"]]:
    """Return for each row the largest cosine with a row of ``style`` less ``mean``, and its index.

    Memory grows with the number of rows, not with its square.

    Args:
      wanted: rows, about their own mean.
      style: rows to choose from.
      mean: mean to subtract from those.
      outside: subtracted from the cosines with each of them.
    """
    highest = jax.lax.Precision.HIGHEST
    lengths = jnp.sqrt(jnp.maximum(jnp.sum((style - mean) ** 2, axis=1), LEAST**2))
    to_mean = wanted @ mean
    own = jnp.sqrt(jnp.maximum(jnp.sum(wanted**2, axis=1), LEAST**2))

    def one(row: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        x, along, length = row
        dots = jnp.matmul(x, style.T, precision=highest) - along
        cosines = dots / (lengths * length) - outside
        best = jnp.max(cosines)
        # On CPU this is twice as fast as argmax. A row that is not finite has no best: the first.
        at = jnp.min(jnp.where(cosines >= best, jnp.arange(len(cosines)), len(cosines)))
        return best, jnp.where(at < len(cosines), at, 0)

    return jax.lax.map(one, (wanted, to_mean, own), batch_size=ROWS)


# --- each layer by itself -------------------------------------------------------------------------


def samples(
    measure: Callable[[Array], Maps],
    content: Float[Array, "h w 3"],
    style: Float[Array, "_ _ 3"],
    guide: Float[Array, "_ _"] | None,
    given: Given,
) -> dict[str, Float[Array, "_ _ _"]]:
    """Return sampled features of a style by layer, about their mean and of length one.

    Of each turned style there are as many as of the image: the same for styles of all sizes. They
    are in parts, one of which a step takes.
    """
    counts = {n: _count(x) for n, x in jax.eval_shape(measure, content).items() if n != PIXELS}
    turned: dict[str, list[Array]] = {name: [] for name in counts}
    for turn in range(TURNS):
        maps = measure(jnp.rot90(style, turn))
        mask = None if guide is None else jnp.rot90(guide, turn)
        for name, count in counts.items():
            turned[name].append(_sampled(maps[name], count, mask, given))
    each = {name: jnp.concatenate(rows) for name, rows in turned.items()}
    return {name: _parts(unit(x - jnp.mean(x, axis=0), LEAST)) for name, x in each.items()}


def _parts(x: Float[Array, "n c"]) -> Float[Array, "p m c"]:
    """Return the rows in ``TURNS`` parts, of every fourth row from the first, second ... on."""
    return jnp.swapaxes(x.reshape(-1, TURNS, x.shape[1]), 0, 1)


def _stride(x: Any) -> int:
    return max(1, max(x.shape[:2]) // SAMPLED)


def _count(x: Any) -> int:
    stride = _stride(x)
    return max(1, x.shape[0] // stride) * max(1, x.shape[1] // stride)


def _sampled(
    x: Float[Array, "h w c"], count: int, guide: Float[Array, "_ _"] | None, given: Given
) -> Float[Array, "n c"]:
    """Return the features at sampled places of a map, of a region if there is a guide."""
    if guide is not None:
        guide = jax.image.resize(guide, x.shape[:2], "nearest")
    rows, across = places(x.shape[:2], count, drawn(given._replace(step=None)), guide)
    return x[rows, across]


def split_distance(
    maps: Maps,
    target: dict[str, Float[Array, "_ _ _"]],
    guide: Float[Array, "_ _"] | None,
    given: Given,
) -> Float[Array, ""]:
    """Return the sum over layers of the mean distance to the nearest neighbor."""
    total = jnp.zeros((), maps[PIXELS].dtype)
    *offsets, chosen = drawn(given, 3)
    part = jnp.asarray(chosen * TURNS).astype(jnp.int32)
    for name, parts in target.items():
        style = jnp.take(parts, part, axis=0)
        x = _strided(maps[name], offsets)
        weights = None
        if guide is not None:
            own = jax.image.resize(guide[..., None], (*maps[name].shape[:2], 1), "nearest")
            weights = _strided(own, offsets)[:, 0] ** 2
        counts = given.factors[name] > 0  # a batch measures the layers of all its pictures
        total = total + counts * average(_to_nearest(x, style, weights), weights)
    return total


def _strided(x: Float[Array, "h w c"], offsets: Any) -> Float[Array, "n c"]:
    """Return the features at every few places of a map, from an offset on."""
    stride, (height, width, channels) = _stride(x), x.shape
    if stride == 1:
        return x.reshape(-1, channels)
    counts = [max(1, side // stride) for side in (height, width)]
    steps = [min(stride, side) for side in (height, width)]
    first = (
        jnp.asarray(offset * step).astype(jnp.int32)
        for offset, step in zip(offsets, steps, strict=True)
    )
    rows, across = (
        at + step * jnp.arange(count) for at, step, count in zip(first, steps, counts, strict=True)
    )
    return x[rows][:, across].reshape(-1, channels)


def _to_nearest(
    x: Float[Array, "n c"], style: Float[Array, "m c"], weights: Float[Array, " n"] | None
) -> Float[Array, " n"]:
    """Return the centered cosine distance of each place to its nearest of a style."""
    own = unit(x - average(x, weights), LEAST)
    zeros = jnp.zeros(style.shape[1], style.dtype)
    _, at = most_alike(jax.lax.stop_gradient(own), style, zeros)
    return 1 - jnp.sum(own * style[at], axis=1)
