"""The grid of tiles of a picture, and their halos.

A tile has ``tile`` x ``tile`` pixels of its own. Its *window* is the tile with a halo on each side,
wide enough for the receptive field of the deepest layer. Convolutions are not padded: each removes
one position from each side of the map, and each pooling halves the rest, until only the tile's own
positions are left at the deepest layer. So no layer computes more than the following ones need.
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
from jaxstyle.machine.programs import jit
from jaxstyle.network.vgg import LAYERS, smallest_side
from jaxstyle.optim.optimizers import searches_line
from jaxstyle.settings import Settings

LARGER = 2
"""Ratio of the tile sides of the first pass to the second: without a gradient, larger tiles need no
more memory, and waste less on halos."""

LEAST_HALO = 2
"""Smallest halo in pixels, needed by the image priors."""


class Place(NamedTuple):
    """The position of a tile, as traced integers: one program serves all tiles of all pictures.

    Attributes:
      top: first row of the tile.
      left: first column of the tile.
      height: height of the picture.
      width: width of the picture.
    """

    top: PyTree
    left: PyTree
    height: PyTree
    width: PyTree


def stride_at(layer: str) -> int:
    """Return the stride of a layer: pixels from one of its positions to the next."""
    return 1 if layer == IMAGE else smallest_side([layer])


def alignment(layers: Iterable[str]) -> int:
    """Return the number that tile sides must be multiples of: the largest stride of the layers."""
    return max(map(stride_at, layers), default=1)


def halo(layers: Iterable[str]) -> int:
    """Return the width of the halo: pixels on each side of a tile that its features depend on.

    >>> halo(["relu1_1"]), halo(["relu5_1"])
    (2, 70)
    """
    depth = max((LAYERS.index(layer) + 1 for layer in layers if layer != IMAGE), default=0)
    margin = 0
    for name in reversed(LAYERS[:depth]):
        margin = 2 * margin if name.startswith("pool") else margin + name.startswith("conv")
    return max(margin, LEAST_HALO)


def untileable(settings: Settings) -> str:
    """Return the reason why these settings rule out tiles, an empty string if they do not."""
    for name, loss in settings.joint_losses().items():
        flag = name.replace("_", "-")
        return f"does not go with --{flag} {loss}, which needs the whole picture: --tile off"
    if settings.optimizer == "lbfgs-zoom":
        return "does not go with lbfgs-zoom, which searches along a line: use lbfgs or adam"
    if not isinstance(settings.optimizer, str) and searches_line(settings.optimizer):
        return "does not go with an optimizer that searches along a line"
    return ""


@dataclass(frozen=True)
class Grid:
    """The tiles of a picture, in row-major order.

    Attributes:
      height: height of the picture in pixels.
      width: width of the picture in pixels.
      tile: side of a tile in pixels.
      halo: width of the halo in pixels.
      wraps: whether the picture wraps around at its borders.
    """

    height: int
    width: int
    tile: int
    halo: int
    wraps: bool = False

    @property
    def first_pass(self) -> "Grid":
        """The grid of the first pass, whose tiles are larger."""
        return replace(self, tile=LARGER * self.tile)

    @property
    def rows(self) -> int:
        """Number of rows of tiles."""
        return -(-self.height // self.tile)

    @property
    def columns(self) -> int:
        """Number of columns of tiles."""
        return -(-self.width // self.tile)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return self.rows * self.columns

    @property
    def window(self) -> int:
        """Side of a window in pixels."""
        return self.tile + 2 * self.halo

    def place(self, number: int) -> Place:
        """Return the position of a tile, which is also where its window begins in the frame."""
        row, column = divmod(number, self.columns)
        sides = row * self.tile, column * self.tile, self.height, self.width
        return Place(*map(np.int32, sides))

    def pieces(self, values: Array | np.ndarray, layer: str) -> list[np.ndarray]:
        """Cut a map into the tiles' own pieces, padded with zeros beyond its borders.

        Args:
          values: the map, h x w or h x w x channels.
          layer: layer of the map.
        """
        side = self.tile // stride_at(layer)
        height, width = self.rows * side, self.columns * side
        more = [(0, height - values.shape[0]), (0, width - values.shape[1])]
        whole = np.pad(np.asarray(values), more + [(0, 0)] * (values.ndim - 2))
        corners = [(i, j) for i in range(0, height, side) for j in range(0, width, side)]
        return [whole[i : i + side, j : j + side] for i, j in corners]


@jit(static_argnames="grid")
def framed(image: Float[Array, "h w c"], grid: Grid) -> Float[Array, "h2 w2 c"]:
    """Return the frame: the picture padded so that it contains the windows of all tiles.

    The padding is the picture itself if it wraps around, zeros otherwise.
    """
    below = grid.rows * grid.tile - grid.height + grid.halo
    beside = grid.columns * grid.tile - grid.width + grid.halo
    around = ((grid.halo, below), (grid.halo, beside), (0, 0))
    return jnp.pad(image, around, mode="wrap" if grid.wraps else "constant")


@jit(static_argnames="grid")
def unframed(frame: Float[Array, "h2 w2 c"], grid: Grid) -> Float[Array, "h w c"]:
    """Return the gradient with respect to a picture, given that with respect to its frame."""
    if not grid.wraps:
        inner = frame[grid.halo : grid.halo + grid.height]
        return inner[:, grid.halo : grid.halo + grid.width]
    blank = jax.ShapeDtypeStruct((grid.height, grid.width, frame.shape[-1]), frame.dtype)
    (gradient,) = jax.linear_transpose(lambda image: framed(image, grid), blank)(frame)
    return gradient


@jit(static_argnames="side")
def window(
    frame: Float[Array, "h2 w2 c"], place: Place, side: int
) -> Float[Array, "{side} {side} c"]:
    """Cut the window of a tile, ``side`` pixels wide, out of a frame."""
    return jax.lax.dynamic_slice(
        frame, (place.top, place.left, np.int32(0)), (side, side, frame.shape[-1])
    )


@jit(donate_argnames="frame")
def added(
    frame: Float[Array, "h2 w2 c"], piece: Float[Array, "s s c"], place: Place
) -> Float[Array, "h2 w2 c"]:
    """Return a frame with ``piece`` added at the window of a tile."""
    at = place.top, place.left, np.int32(0)
    before = jax.lax.dynamic_slice(frame, at, piece.shape)
    return jax.lax.dynamic_update_slice(frame, before + piece, at)


def cut_at(
    place: Place, stride: int, tile: int, margin: int, sides: tuple[Array, Array]
) -> TileMask:
    """Return the mask of a tile's piece of a map.

    Args:
      place: position of the tile.
      stride: stride of the map's layer.
      tile: side of the tile in pixels.
      margin: positions around the tile's own that the piece includes.
      sides: height and width of the whole map.
    """
    count = tile // stride
    offsets = jnp.arange(-margin, count + margin)
    own = (offsets >= 0) & (offsets < count)
    return TileMask(place.top // stride + offsets, place.left // stride + offsets, own, own, *sides)
