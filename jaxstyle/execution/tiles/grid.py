"""Where the tiles of a picture are, and how much of what is around them their features depend on.

A tile has ``tile`` x ``tile`` pixels of its own. Its *window* is that with a halo: as much more on
each side as the deepest layer sees. Every convolution, not padded, takes one position off each side
of the map, and every pooling halves what is left, until at the deepest layer there is nothing but
the tile's own. So each layer is computed no further out than the layers after it look.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxstyle.losses.targets import IMAGE
from jaxstyle.losses.tile_mask import TileMask
from jaxstyle.network.vgg import LAYERS, smallest_side

LARGER = 2
"""How many times larger the tiles of the first pass are: without a gradient they take no more
memory, and have less halo for their size."""

LEAST_HALO = 2
"""Pixels around a tile that priors want, whatever the network does."""


class Place(NamedTuple):
    """A tile's first row and column, and the sides of its picture: all traced, so that one program
    serves every tile of every picture."""

    top: PyTree
    left: PyTree
    height: PyTree
    width: PyTree


def stride_at(layer: str) -> int:
    """Pixels from one position of a layer to the next."""
    return 1 if layer == IMAGE else smallest_side([layer])


def alignment(layers: Iterable[str]) -> int:
    """What the side of a tile must be a multiple of, to have whole positions at every layer."""
    return max(map(stride_at, layers), default=1)


def halo(layers: Iterable[str]) -> int:
    """Pixels beyond a tile that its features at these layers depend on, on each side.

    >>> halo(["relu1_1"]), halo(["relu5_1"])
    (2, 70)
    """
    depth = max((LAYERS.index(layer) + 1 for layer in layers if layer != IMAGE), default=0)
    margin = 0
    for name in reversed(LAYERS[:depth]):
        margin = 2 * margin if name.startswith("pool") else margin + name.startswith("conv")
    return max(margin, LEAST_HALO)


@dataclass(frozen=True)
class Grid:
    """The tiles of a picture of ``height`` x ``width`` pixels, row by row.

    wraps: beyond each border the picture begins again.
    """

    height: int
    width: int
    tile: int
    halo: int
    wraps: bool = False

    @property
    def first_pass(self) -> "Grid":
        """The tiles that sums are measured by."""
        return replace(self, tile=LARGER * self.tile)

    @property
    def rows(self) -> int:
        """Of tiles."""
        return -(-self.height // self.tile)

    @property
    def columns(self) -> int:
        """Of tiles."""
        return -(-self.width // self.tile)

    @property
    def count(self) -> int:
        """Of tiles."""
        return self.rows * self.columns

    @property
    def window(self) -> int:
        """The side of a window in pixels."""
        return self.tile + 2 * self.halo

    def place(self, number: int) -> Place:
        """Where a tile is; also where its window begins in the frame."""
        row, column = divmod(number, self.columns)
        sides = row * self.tile, column * self.tile, self.height, self.width
        return Place(*map(np.int32, sides))

    def pieces(self, values: Array | np.ndarray, layer: str) -> list[np.ndarray]:
        """A map of a layer, cut into the tiles' own; zeros beyond its borders.

        Args:
          values: h x w (x channels).
        """
        side = self.tile // stride_at(layer)
        height, width = self.rows * side, self.columns * side
        more = [(0, height - values.shape[0]), (0, width - values.shape[1])]
        whole = np.pad(np.asarray(values), more + [(0, 0)] * (values.ndim - 2))
        corners = [(i, j) for i in range(0, height, side) for j in range(0, width, side)]
        return [whole[i : i + side, j : j + side] for i, j in corners]


@jax.jit(static_argnames="grid")
def framed(image: Float[Array, "h w c"], grid: Grid) -> Float[Array, "h2 w2 c"]:
    """The picture with all that windows reach beyond it: itself again if it wraps, else zeros."""
    below = grid.rows * grid.tile - grid.height + grid.halo
    beside = grid.columns * grid.tile - grid.width + grid.halo
    around = ((grid.halo, below), (grid.halo, beside), (0, 0))
    return jnp.pad(image, around, mode="wrap" if grid.wraps else "constant")


@jax.jit(static_argnames="grid")
def unframed(frame: Float[Array, "h2 w2 c"], grid: Grid) -> Float[Array, "h w c"]:
    """The gradient to a picture from that to its frame."""
    if not grid.wraps:
        inner = frame[grid.halo : grid.halo + grid.height]
        return inner[:, grid.halo : grid.halo + grid.width]
    blank = jax.ShapeDtypeStruct((grid.height, grid.width, frame.shape[-1]), frame.dtype)
    (gradient,) = jax.linear_transpose(lambda image: framed(image, grid), blank)(frame)
    return gradient


@jax.jit(static_argnames="side")
def window(
    frame: Float[Array, "h2 w2 c"], place: Place, side: int
) -> Float[Array, "{side} {side} c"]:
    """The window of a tile."""
    return jax.lax.dynamic_slice(
        frame, (place.top, place.left, np.int32(0)), (side, side, frame.shape[-1])
    )


@jax.jit(donate_argnames="frame")
def added(
    frame: Float[Array, "h2 w2 c"], piece: Float[Array, "s s c"], place: Place
) -> Float[Array, "h2 w2 c"]:
    """A frame with something added in the window of a tile."""
    at = place.top, place.left, np.int32(0)
    before = jax.lax.dynamic_slice(frame, at, piece.shape)
    return jax.lax.dynamic_update_slice(frame, before + piece, at)


def cut_at(
    place: Place, stride: int, tile: int, margin: int, sides: tuple[Array, Array]
) -> TileMask:
    """The piece of a map that is a tile's own with a margin; ``sides`` are the map's."""
    count = tile // stride
    offsets = jnp.arange(-margin, count + margin)
    own = (offsets >= 0) & (offsets < count)
    return TileMask(place.top // stride + offsets, place.left // stride + offsets, own, own, *sides)
