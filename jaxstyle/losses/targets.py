"""Targets: what the losses keep of the content picture and of the style pictures, by layer.

They are measured once, before the first step, by programs of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, PyTree

from jaxstyle.losses.registry import LOSSES
from jaxstyle.network.vgg import VGG19

IMAGE = "image"
"""The layer name of the image itself, for losses that need no network."""


Masks = Float32[np.ndarray, "k _ _"]


@dataclass(frozen=True)
class Guides:
    """What the style losses are told of K regions.

    Attributes:
      names: the regions' names.
      content: guides of the content picture, by layer.
      styles: guides of each of S style pictures, by layer.
      weights: the regions' weights, by layer.
      present: 1 where a style picture has a region, else 0.
    """

    names: tuple[str, ...]
    content: Mapping[str, Masks]
    styles: Sequence[Mapping[str, Masks]]
    weights: Mapping[str, Float[np.ndarray, " k"]]
    present: Float[np.ndarray, "k s"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Filled:
    """A picture in an array that has more rows and columns: the last ones are none of its own."""

    values: PyTree
    sides: tuple[int, int] = field(metadata={"static": True})


def cropped(image: Array, sides: tuple[int, int] | None) -> Array:
    """An image without what it was filled up with."""
    return image if sides is None else image[: sides[0], : sides[1]]


def features_and_image(
    network: VGG19,
    image: Float[Array, "h w 3"] | Filled,
    layers: Sequence[str],
    white: PyTree = 1.0,
) -> dict[str, Array]:
    """Features by layer name, the image itself among them under the name ``IMAGE``.

    Where the network wraps around, so does the image: its first row and column follow its last
    (total variations that have no base points count differences along these two twice).
    """
    if isinstance(image, Filled):
        image = cropped(image.values, image.sides)
    features = network(image, [name for name in layers if name != IMAGE])
    if network.padding == "circular":
        image = jnp.pad(image, ((0, 1), (0, 1), (0, 0)), mode="wrap")
    return {**features, IMAGE: white * image}


def shares_of(blend: Sequence[float], guides: Guides | None) -> Float[np.ndarray, "k n"]:
    """What part each style picture has in each region: only those that have the region count.

    Without guides there is one region, the whole picture.
    """
    precision = jnp.result_type(float)
    present = 1.0 if guides is None else guides.present.astype(precision)
    shares = np.asarray(blend, precision)[None] * present
    return shares / np.sum(shares, axis=1, keepdims=True)


@jax.jit(static_argnames=("layers", "loss"))
def content_targets(
    network: VGG19, content: Float[Array, "h w 3"] | Filled, *, layers: tuple[str, ...], loss: str
) -> dict[str, PyTree]:
    """Targets of the content picture by layer."""
    features, target = features_and_image(network, content, layers), LOSSES[loss].target
    return {layer: target(statistics(loss, features[layer])) for layer in layers}


@jax.jit(static_argnames=("layers", "loss", "sum_styles"))
def style_targets(
    network: VGG19,
    styles: list[Any],
    shares: Float[Array, "k n"] | Float[np.ndarray, "k n"],
    guides: list[dict[str, Float[Array, "k _ _"]]] | None = None,
    *,
    layers: tuple[str, ...],
    loss: str,
    sum_styles: bool = False,
) -> list[dict[str, list[PyTree]]]:
    """Targets by layer and region: of each style picture, or (in a list of one) of their blend.

    Without guides there is one region, the whole picture.
    """
    # A style picture has borders, even where the result has none: they must not become its style.
    bordered = network.padded("reflect") if network.padding == "circular" else network
    each = [
        regions_of(features_and_image(bordered, style, layers), of, loss, layers)
        for style, of in zip(styles, guides or [None] * len(styles), strict=True)
    ]
    return targets_of(each, shares, loss, sum_styles)


def targets_of(
    each: Sequence[Mapping[str, list[PyTree]]],
    shares: Float[Array, "k n"] | Float[np.ndarray, "k n"],
    loss: str,
    sum_styles: bool,
) -> list[dict[str, list[PyTree]]]:
    """The targets that ``style_targets`` gives, from each style picture's statistics by layer."""
    if not sum_styles:
        each = [{layer: _blended([kept[layer] for kept in each], shares) for layer in each[0]}]
    target = LOSSES[loss].target
    return [{layer: list(map(target, kept)) for layer, kept in of.items()} for of in each]


def regions_of(
    features: Mapping[str, Array],
    guides: Mapping[str, Float[Array, "k _ _"]] | None,
    loss: str,
    layers: Sequence[str],
) -> dict[str, list[PyTree]]:
    """The statistics of every region, by layer."""
    return {
        layer: [statistics(loss, features[layer], g) for g in (guides[layer] if guides else [None])]
        for layer in layers
    }


def statistics(loss: str, x: Float[Array, "h w c"], guide: Array | None = None) -> PyTree:
    """What ``loss`` keeps of the features of one layer: of all of them, or of a region."""
    of = LOSSES[loss].statistics
    return of(x) if guide is None else of(x, guide)


def _blended(
    each: Sequence[list[PyTree]], shares: Float[Array, "k n"] | Float[np.ndarray, "k n"]
) -> list[PyTree]:
    """The mean over pictures, of each region by its own shares."""
    return [
        jax.tree.map(partial(_weighted_sum, of_region), *kept)
        for of_region, *kept in zip(shares, *each, strict=True)
    ]


def _weighted_sum(shares: Array, *leaves: Array) -> Array:
    # Not a matrix product, which accelerators would round.
    parts = [share.astype(leaf.dtype) * leaf for share, leaf in zip(shares, leaves, strict=True)]
    return reduce(jnp.add, parts)
