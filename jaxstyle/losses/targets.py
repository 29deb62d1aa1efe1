"""Targets of the losses: statistics of the content and style pictures, by layer.

They are computed once, before the first step, by separately compiled programs.
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
from jaxstyle.machine.programs import jit
from jaxstyle.network.vgg import VGG19

IMAGE = "image"
"""The layer name of the image itself, for losses that need no network."""


Masks = Float32[np.ndarray, "k _ _"]


@dataclass(frozen=True)
class Guides:
    """Guides of K regions: masks that limit the style losses to parts of the pictures.

    Attributes:
      names: the regions' names.
      content: guides of the content picture, by layer: regions x height x width.
      styles: guides of each of S style pictures, by layer.
      weights: weights of the regions, by layer.
      present: 1 where a style picture has a region, else 0: regions x style pictures.
      seen: guides of the content loss, by layer, of height x width; empty for an opaque content.
    """

    names: tuple[str, ...]
    content: Mapping[str, Masks]
    styles: Sequence[Mapping[str, Masks]]
    weights: Mapping[str, Float[np.ndarray, " k"]]
    present: Float[np.ndarray, "k s"]
    seen: Mapping[str, Float32[np.ndarray, "_ _"]] = field(default_factory=dict)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Padded:
    """An array inside a larger one, which is padded at the end of its axes.

    Attributes:
      values: the padded array.
      shape: the shape without padding.
    """

    values: PyTree
    shape: tuple[int, ...] = field(metadata={"static": True})


def unpadded(tree: Any) -> Any:
    """Return a tree with the padding of its ``Padded`` arrays cut off."""

    def own(x: Any) -> Any:
        return x.values[tuple(map(slice, x.shape))] if isinstance(x, Padded) else x

    return jax.tree.map(own, tree, is_leaf=lambda x: isinstance(x, Padded))


def features_and_image(
    network: VGG19,
    image: Float[Array, "h w 3"] | Padded,
    layers: Sequence[str],
    white: PyTree = 1.0,
) -> dict[str, Array]:
    """Compute the features by layer name, plus the image itself under the name ``IMAGE``.

    With circular padding the image is extended too: its first row and column are repeated after
    its last. All total variations but "half" and "power" then count the differences along these
    two twice.

    Args:
      white: factor of the image, not of the features.
    """
    picture: Array = unpadded(image)
    features = network(picture, [name for name in layers if name != IMAGE])
    if network.padding == "circular":
        picture = jnp.pad(picture, ((0, 1), (0, 1), (0, 0)), mode="wrap")
    return {**features, IMAGE: white * picture}


def shares_of(blend: Sequence[float], guides: Guides | None) -> Float[np.ndarray, "k n"]:
    """Compute the share of each style picture in each region.

    In each region the shares of the style pictures that have it are normalized to sum to one; the
    others have share 0. Without guides there is one region, the whole picture.
    """
    precision = jnp.result_type(float)
    present = 1.0 if guides is None else guides.present.astype(precision)
    shares = np.asarray(blend, precision)[None] * present
    return shares / np.sum(shares, axis=1, keepdims=True)


def seen_by(guides: Guides | None) -> dict[str, Float32[np.ndarray, "_ _"]] | None:
    """Return the guides of the content loss, None without any."""
    return dict(guides.seen) if guides and guides.seen else None


@jit(static_argnames=("layers", "loss"))
def content_targets(
    network: VGG19,
    content: Float[Array, "h w 3"] | Padded,
    seen: Mapping[str, Float[Array, "_ _"]] | None = None,
    *,
    layers: tuple[str, ...],
    loss: str,
) -> dict[str, PyTree]:
    """Compute the targets of the content picture by layer, of its visible part if it has guides."""
    features, target, of = features_and_image(network, content, layers), LOSSES[loss].target, seen
    return {
        layer: target(statistics(loss, features[layer], of[layer] if of else None))
        for layer in layers
    }


@jit(static_argnames=("layers", "loss", "sum_styles"))
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
    """Compute the targets of the style pictures.

    Args:
      styles: style pictures, each an array or ``Padded``.
      shares: share of each style picture in each region.
      guides: guides of each style picture by layer; None for one region, the whole picture.
      loss: name of the style loss.
      sum_styles: keep a target for each style picture instead of one for their blend.

    Returns:
      A list of targets by layer, each a list over regions. The outer list has one entry for each
      style picture, or a single one for their blend.
    """
    bordered = network.bordered()
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
    """Compute the targets of ``style_targets`` from the statistics of each style picture."""
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
    """Compute the statistics of every region, by layer."""
    return {
        layer: [statistics(loss, features[layer], g) for g in (guides[layer] if guides else [None])]
        for layer in layers
    }


def statistics(loss: str, x: Float[Array, "h w c"], guide: Array | None = None) -> PyTree:
    """Compute the statistics of a loss from the features of one layer, or from a region of them."""
    of = LOSSES[loss].statistics
    return of(x) if guide is None else of(x, guide)


def _blended(
    each: Sequence[list[PyTree]], shares: Float[Array, "k n"] | Float[np.ndarray, "k n"]
) -> list[PyTree]:
    """Return the weighted mean over style pictures of the statistics of each region."""
    return [
        jax.tree.map(partial(_weighted_sum, of_region), *kept)
        for of_region, *kept in zip(shares, *each, strict=True)
    ]


def _weighted_sum(shares: Array | np.ndarray, *leaves: Array) -> Array:
    # Not a matrix product: accelerators would round its inputs.
    parts = [share.astype(leaf.dtype) * leaf for share, leaf in zip(shares, leaves, strict=True)]
    return reduce(jnp.add, parts)
