"""Propagation of masks through the network to guides at its layers.

The style of a region is the Gram matrix of the features at a layer multiplied by a *guide* g, with
one value per position (Gatys et al., CVPR 2017, section 3; Luan et al., CVPR 2017, section 3.2).
With T the mask of the region propagated to the layer, and N positions there:

    augmented   T: the 3x3 mean (zero padding) at each convolution and the area average at each
                pooling; g = T sqrt(N / sum T). The weight of a region is the mean of the content's
                T. The method of Deep Photo Style Transfer.
    simple      T: the area average at each pooling, unchanged by convolutions
    inside      T: one where the receptive field of a feature lies inside the region
    all         T: one where the receptive field of a feature overlaps the region

The last three are those of Gatys et al.: g = T sqrt(N / sum T^2), and each of K regions has the
weight 1 / K. "inside" and "all" first threshold masks at one half. Where T is zero everywhere at a
layer, as can happen by "inside", that of "simple" is used.

Where a picture is transparent, masks are multiplied by its alpha. Without masks, alpha itself is
propagated as in "simple", and g = sqrt(T N / sum T): each position counts as much as it is visible.
The content loss is weighted in that way too.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float32

from jaxstyle import images
from jaxstyle.guidance.masks import EVERYWHERE, Regions
from jaxstyle.losses.targets import Guides
from jaxstyle.network import vgg

GUIDANCES = ("augmented", "simple", "inside", "all")
"""Methods to propagate masks; see the module docstring."""

VISIBLE = "visible"
"""The propagation of alpha where there are no masks, and for the content loss."""

HALF = 0.5
"""Least value of a soft mask that counts as inside."""

Masks = Float32[np.ndarray, "k _ _"]
ByLayer = dict[str, Masks]


def guides(
    regions: Regions,
    network: vgg.VGG19,
    content: tuple[int, int],
    styles: Sequence[tuple[int, int]],
    layers: Sequence[str],
    guidance: str,
    alphas: Sequence[np.ndarray | None] = (),
    content_layers: Sequence[str] = (),
) -> Guides:
    """Compute the guides of content and style pictures at the layers of the style loss.

    Args:
      regions: The masks of the regions.
      network: The network, whose pooling and rounding determine the sizes of layers.
      content: Height and width of the content in pixels.
      styles: Height and width of each style picture in pixels.
      layers: Names of the layers.
      guidance: One of `GUIDANCES`; without masks it does not matter.
      alphas: Alpha of the content and of each style picture at these sizes, None where opaque; may
        be left out if all are.
      content_layers: Names of the layers of the content loss.
    """
    shown, *of_each = [
        None if alpha is None else alpha.astype(np.float32)
        for alpha in alphas or [None] * (1 + len(styles))
    ]
    plain = regions.names == (EVERYWHERE,)
    guidance = VISIBLE if plain else guidance
    halved = partial(_halved, up=vgg.rounds_up(network.pooling, network.rounding))
    propagated = partial(_propagated, layers=layers, guidance=guidance, halved=halved)
    arrived = propagated(_visible(at_size(regions.content, *content), shown))
    masked = [
        _visible(at_size(masks, *sides), alpha)
        for masks, sides, alpha in zip(regions.styles, styles, of_each, strict=True)
    ]
    masked = _somewhere(masked, of_each)
    of_styles = [propagated(masks) for masks in masked]
    augmented, count = guidance == "augmented", len(regions.names)
    normalized = partial(_normalized, guidance=guidance)
    seen = {}
    if shown is not None:
        seen = _propagated(shown[None], content_layers, VISIBLE, halved)
    return Guides(
        regions.names,
        {layer: normalized(masks) for layer, masks in arrived.items()},
        [{layer: normalized(masks) for layer, masks in each.items()} for each in of_styles],
        {
            layer: masks.mean(axis=(1, 2)) if augmented else np.full(count, 1 / count)
            for layer, masks in arrived.items()
        },
        np.stack([masks.any(axis=(1, 2)) for masks in masked], axis=1).astype(float),
        {layer: _normalized(masks, VISIBLE)[0] for layer, masks in seen.items()},
    )


def _visible(masks: Masks, alpha: Float32[np.ndarray, "h w"] | None) -> Masks:
    return masks if alpha is None else masks * alpha


def _somewhere(masked: list[Masks], alphas: Sequence[np.ndarray | None]) -> list[Masks]:
    """Give a region of which no style picture shows anything the style of all that is visible."""
    absent = ~np.any([masks.any(axis=(1, 2)) for masks in masked], axis=0)
    if not absent.any():
        return masked
    return [
        np.where(absent[:, None, None], 1 if alpha is None else alpha, masks).astype(np.float32)
        for masks, alpha in zip(masked, alphas, strict=True)
    ]


def at_size(masks: Masks, height: int, width: int) -> Masks:
    """Resize masks, by area averages where they shrink."""
    return np.stack([images.resize(mask, height, width, "area") for mask in masks])


def _propagated(
    masks: Masks,
    layers: Sequence[str],
    guidance: str,
    halved: Callable[[tuple[int, int]], tuple[int, int]],
) -> ByLayer:
    """Propagate masks to each of the layers."""
    plain = masks
    hard = guidance in ("inside", "all")
    x = (masks >= HALF).astype(np.float32) if hard else masks
    arrived, until = {}, max(map(vgg.LAYERS.index, layers), default=-1)
    for name in vgg.LAYERS[: until + 1]:
        if name.startswith("conv"):
            x = _convolved(x, guidance)
        elif name.startswith("pool"):
            sides = halved(x.shape[1:])
            plain, x = at_size(plain, *sides), _pooled(x, sides, guidance)
        if name in layers:
            empty = ~x.any(axis=(1, 2), keepdims=True)
            arrived[name] = np.where(empty, plain, x)
    return arrived


def _convolved(x: Masks, guidance: str) -> Masks:
    """Propagate masks through a 3x3 convolution."""
    if guidance in ("simple", VISIBLE):
        return x
    mode: Literal["constant", "edge"] = "constant" if guidance == "augmented" else "edge"
    along = _three(np.pad(x, ((0, 0), (1, 1), (0, 0)), mode=mode), 1, guidance)
    return _three(np.pad(along, ((0, 0), (0, 0), (1, 1)), mode=mode), 2, guidance)


def _three(x: Masks, axis: int, guidance: str) -> Masks:
    """Return the mean, minimum or maximum of every three neighbors."""
    length = x.shape[axis] - 2
    first, middle, last = (np.take(x, range(i, i + length), axis) for i in range(3))
    if guidance == "augmented":
        return (first + middle + last) / np.float32(3)
    chosen = np.minimum if guidance == "inside" else np.maximum
    return chosen(chosen(first, middle), last)


def _pooled(x: Masks, sides: tuple[int, int], guidance: str) -> Masks:
    """Propagate masks through a pooling layer."""
    averaged = at_size(x, *sides)
    if guidance == "inside":
        return (averaged >= 1 - 1e-6).astype(np.float32)
    return (averaged > 0).astype(np.float32) if guidance == "all" else averaged


def _normalized(masks: Masks, guidance: str) -> Masks:
    """Normalize masks to guides; an empty mask has a guide of zeros."""
    masks = np.sqrt(masks) if guidance == VISIBLE else masks
    power = 1 if guidance == "augmented" else 2
    mean = np.mean(masks.astype(np.float64) ** power, axis=(1, 2), keepdims=True)
    return np.where(mean > 0, masks / np.sqrt(np.maximum(mean, 1e-30)), 0).astype(np.float32)


def _halved(sides: tuple[int, int], up: bool) -> tuple[int, int]:
    height, width = ((side + up) // 2 for side in sides)
    return height, width
