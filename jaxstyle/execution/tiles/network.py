"""The features of a tile: those that the whole picture has there.

Where a window reaches beyond the picture, what is there must be what the network's padding would
put around each of its maps, not what it would make of anything beyond. So before every convolution
the positions outside are set to that.
"""

from collections.abc import Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxstyle.execution.tiles.grid import LEAST_HALO, Place, cut_at
from jaxstyle.losses.targets import IMAGE
from jaxstyle.losses.tile_mask import TileMask, filled
from jaxstyle.network.vgg import VGG19, blocks, rounds_up


class TileFeatures(NamedTuple):
    """A tile's part of a map, and where in the map it is."""

    x: Float[Array, "h w c"]
    cut: TileMask


def pieces(
    network: VGG19,
    window: Float[Array, "s s 3"],
    place: Place,
    layers: Collection[str],
    tile: int,
    white: Array | float = 1.0,
) -> dict[str, TileFeatures]:
    """The features of a tile by layer, nothing around them; of `IMAGE`, two pixels around them."""
    margin, stride, sides = (window.shape[0] - tile) // 2, 1, (place.height, place.width)
    found = {}
    if IMAGE in layers:
        own = slice(margin - LEAST_HALO, margin + tile + LEAST_HALO)
        found[IMAGE] = TileFeatures(white * window[own, own], _image_cut(network, place, tile))
    x = network.preprocessed(window)
    for name in (name for block in blocks(set(layers) - {IMAGE}) for name in block):
        at = cut_at(place, stride, tile, margin, sides)
        if name.startswith("conv"):
            around = filled(x, at, network.padding_mode(name))
            x, margin = network.convolutions[name].within(around[None])[0], margin - 1
        elif name.startswith("relu"):
            x = jax.nn.relu(x)
        else:
            x = network.pooled(_even(network, x, at)[None])[0]
            height, width = ((side + _rounds_up(network)) // 2 for side in sides)
            sides = height, width
            margin, stride = margin // 2, 2 * stride
        if name in layers:
            own = slice(margin, margin + tile // stride)
            found[name] = TileFeatures(x[own, own], cut_at(place, stride, tile, 0, sides))
    return found


def _rounds_up(network: VGG19) -> bool:
    return rounds_up(network.pooling, network.rounding)


def _even(network: VGG19, x: Float[Array, "h w c"], at: TileMask) -> Float[Array, "h w c"]:
    """With what pooling that keeps a last odd row makes of the one that is missing. A picture
    without borders misses none."""
    if network.padding == "circular" or not _rounds_up(network):
        return x
    return filled(x, at, "zeros" if network.pooling == "l2" else "replicate")


def _image_cut(network: VGG19, place: Place, tile: int) -> TileMask:
    """The image is a tile's with two pixels around it, and beyond the picture's border too. One
    that wraps around has its first row and column once more after its last: see ``targets``."""
    first, more = jnp.arange(-LEAST_HALO, tile + LEAST_HALO), network.padding == "circular"

    def own(places: Array, begin: PyTree, side: PyTree) -> Array:
        nearest = jnp.clip(places, 0, side - 1)
        return (nearest >= begin) & (nearest < begin + tile)

    rows, columns = place.top + first, place.left + first
    of_rows = own(rows, place.top, place.height)
    of_columns = own(columns, place.left, place.width)
    return TileMask(rows, columns, of_rows, of_columns, place.height + more, place.width + more)
