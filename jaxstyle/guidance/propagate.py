"""Masks taken through the network: how much of each feature map belongs to a region.

A region's style is the Gram matrix of its features alone: those of the layer times a *guide* g, one
number a position (Gatys et al., CVPR 2017, section 3; Luan et al., CVPR 2017, section 3.2). With T
the region's mask as it arrives at a layer, and N positions there:

    augmented   T: after each convolution the mean of 3x3 positions, zeros outside counting too,
                and at each pooling the area averaged; g = T sqrt(N / sum T). A region weighs the
                mean of the content's T. What Deep Photo Style Transfer does.
    simple      T: the area averaged at each pooling, nothing else
    inside      T: one where a feature sees nothing outside the region
    all         T: one where it sees anything of the region

The last three are those of Gatys et al.: g = T sqrt(N / sum T^2), every one of K regions weighs
1 / K, and masks are first cut at one half (all but "simple"). Where a region leaves nothing at a
layer by "inside", it is taken there by "simple".
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float32

from jaxstyle import images
from jaxstyle.guidance.masks import Regions
from jaxstyle.losses.targets import Guides
from jaxstyle.network import vgg

GUIDANCES = ("augmented", "simple", "inside", "all")
"""Ways to take a mask through the network."""

HALF = 0.5
"""From which on a soft mask counts as inside."""

Masks = Float32[np.ndarray, "k _ _"]
ByLayer = dict[str, Masks]


def guides(
    regions: Regions,
    network: vgg.VGG19,
    content: tuple[int, int],
    styles: Sequence[tuple[int, int]],
    layers: Sequence[str],
    guidance: str,
) -> Guides:
    """The guides of pictures whose heights and widths are given, at these layers."""
    halved = partial(_halved, up=vgg.rounds_up(network.pooling, network.rounding))
    travel = partial(_travel, layers=layers, guidance=guidance, halved=halved)
    arrived = travel(at_size(regions.content, *content))
    of_styles = [
        travel(at_size(masks, *sides)) for masks, sides in zip(regions.styles, styles, strict=True)
    ]
    augmented, count = guidance == "augmented", len(regions.names)
    normalized = partial(_normalized, power=1 if augmented else 2)
    return Guides(
        regions.names,
        {layer: normalized(masks) for layer, masks in arrived.items()},
        [{layer: normalized(masks) for layer, masks in each.items()} for each in of_styles],
        {
            layer: masks.mean(axis=(1, 2)) if augmented else np.full(count, 1 / count)
            for layer, masks in arrived.items()
        },
        np.stack([masks.any(axis=(1, 2)) for masks in regions.styles], axis=1).astype(float),
    )


def at_size(masks: Masks, height: int, width: int) -> Masks:
    """Masks of another size: averaged over areas where they shrink."""
    return np.stack([images.resize(mask, height, width, "area") for mask in masks])


def _travel(
    masks: Masks,
    layers: Sequence[str],
    guidance: str,
    halved: Callable[[tuple[int, int]], tuple[int, int]],
) -> ByLayer:
    """The masks as they arrive at each layer."""
    plain = masks
    x = masks if guidance in ("augmented", "simple") else (masks >= HALF).astype(np.float32)
    arrived, until = {}, max(map(vgg.LAYERS.index, layers), default=-1)
    for name in vgg.LAYERS[: until + 1]:
        if name.startswith("conv"):
            x = _spread(x, guidance)
        elif name.startswith("pool"):
            sides = halved(x.shape[1:])
            plain, x = at_size(plain, *sides), _shrunk(x, sides, guidance)
        if name in layers:
            gone = ~x.any(axis=(1, 2), keepdims=True)
            arrived[name] = np.where(gone, plain, x)
    return arrived


def _spread(x: Masks, guidance: str) -> Masks:
    """What a 3x3 convolution makes of masks."""
    if guidance == "simple":
        return x
    mode: Literal["constant", "edge"] = "constant" if guidance == "augmented" else "edge"
    along = _three(np.pad(x, ((0, 0), (1, 1), (0, 0)), mode=mode), 1, guidance)
    return _three(np.pad(along, ((0, 0), (0, 0), (1, 1)), mode=mode), 2, guidance)


def _three(x: Masks, axis: int, guidance: str) -> Masks:
    """Of every three neighbors the mean, the least or the largest."""
    length = x.shape[axis] - 2
    first, middle, last = (np.take(x, range(i, i + length), axis) for i in range(3))
    if guidance == "augmented":
        return (first + middle + last) / np.float32(3)
    chosen = np.minimum if guidance == "inside" else np.maximum
    return chosen(chosen(first, middle), last)


def _shrunk(x: Masks, sides: tuple[int, int], guidance: str) -> Masks:
    """What pooling makes of masks."""
    averaged = at_size(x, *sides)
    if guidance == "inside":
        return (averaged >= 1 - 1e-6).astype(np.float32)
    return (averaged > 0).astype(np.float32) if guidance == "all" else averaged


def _normalized(masks: Masks, power: int) -> Masks:
    """As guides; a region that is not there at all has a guide of zeros."""
    mean = np.mean(masks.astype(np.float64) ** power, axis=(1, 2), keepdims=True)
    return np.where(mean > 0, masks / np.sqrt(np.maximum(mean, 1e-30)), 0).astype(np.float32)


def _halved(sides: tuple[int, int], up: bool) -> tuple[int, int]:
    height, width = ((side + up) // 2 for side in sides)
    return height, width
