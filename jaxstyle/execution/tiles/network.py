"""Features of a tile, equal to those that the network computes there from the whole picture.

Where a window extends beyond the picture, each map must contain what the network's padding would
put there, not features of out-of-picture pixels. So before every convolution, the positions next to
the picture's border are overwritten with the padding.
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
    """A tile's part of a feature map.

    Attributes:
      x: the features.
      cut: where they are in the whole map.
    """

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
    """Return the features of a tile by layer.

    Args:
      network: the network.
      window: the tile with its halo.
      place: position of the tile.
      layers: the layers to return.
      tile: side of the tile in pixels.
      white: factor of the pixels of layer `IMAGE`.

    Returns:
      The tile's own features, without a margin; for `IMAGE`, its pixels with a margin of two.
    """
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
    """Fill the row and column beyond an odd border for pooling that rounds up.

    The fill does not change the pooled value. A picture that wraps around needs none.
    """
    if network.padding == "circular" or not _rounds_up(network):
        return x
    return filled(x, at, "zeros" if network.pooling == "l2" else "replicate")


def _image_cut(network: VGG19, place: Place, tile: int) -> TileMask:
    """Return the mask of the `IMAGE` layer: the tile's own pixels and a margin of two.

    An image that wraps around has its first row and column repeated after the last: see
    ``jaxstyle.losses.targets``.
    """
    first, more = jnp.arange(-LEAST_HALO, tile + LEAST_HALO), network.padding == "circular"

    def own(places: Array, begin: PyTree, side: PyTree) -> Array:
        nearest = jnp.clip(places, 0, side - 1)
        return (nearest >= begin) & (nearest < begin + tile)

    rows, columns = place.top + first, place.left + first
    of_rows = own(rows, place.top, place.height)
    of_columns = own(columns, place.left, place.width)
    return TileMask(rows, columns, of_rows, of_columns, place.height + more, place.width + more)
