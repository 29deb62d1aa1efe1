"""The position of a tile in a feature map or image, and the padding of tiles at its borders."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, PyTree


class TileMask(NamedTuple):
    """The position of a tile, with or without its halo, in a feature map or an image.

    Attributes:
      rows, columns: indices in the whole map; those outside of the map are negative or too large.
      own_rows, own_columns: whether a row or column is the tile's own, not its halo. Those outside
        of the map belong to the tile with the nearest pixel of the map.
      height, width: size of the whole map.
    """

    rows: Int[Array, " h"]
    columns: Int[Array, " w"]
    own_rows: Bool[Array, " h"]
    own_columns: Bool[Array, " w"]
    height: PyTree
    width: PyTree

    @property
    def inside(self) -> Bool[Array, "h w"]:
        """Return a mask of the tile's own positions that are inside the map."""
        rows, columns = _between(self.rows, 0, self.height), _between(self.columns, 0, self.width)
        return both(self.own_rows & rows, self.own_columns & columns)


def both(rows: Bool[Array, " h"], columns: Bool[Array, " w"]) -> Bool[Array, "h w"]:
    """Return a mask of the positions that are in both the given rows and the given columns."""
    return rows[:, None] & columns


def _between(x: Int[Array, " n"], low: int, high: PyTree) -> Bool[Array, " n"]:
    return (x >= low) & (x < high)


def filled(x: Array, cut: TileMask, mode: str) -> Array:
    """Fill the first row and column outside of each border of the map with its padding.

    Positions further out are left as they are: no convolution that counts reads them.

    Args:
      x: the tile with its halo, height x width x channels.
      cut: position of the tile in the whole map.
      mode: "zeros", "replicate" (repeat the border pixel), "reflect" (repeat the pixel next to it)
        or "circular" (nothing to do: the halo already has the pixels from the other side).
    """
    if mode == "circular":
        return x
    # A map one pixel wide or high has no second pixel to reflect: repeat the only one.
    reflected = (mode == "reflect") & (jnp.minimum(cut.height, cut.width) > 1)
    for axis, places, size in ((0, cut.rows, cut.height), (1, cut.columns, cut.width)):
        for at, inwards in ((-1 - places[0], 1), (size - places[0], -1)):
            source = None if mode == "zeros" else at + inwards * (1 + reflected)
            x = _with_line(x, axis, at, source)
    return x


def _with_line(x: Array, axis: int, at: Array, source: Array | None) -> Array:
    """Replace row or column ``at``, if it is in the array, by that at ``source``, or by zeros.

    The line is written in place: a mask over the whole map takes a fifth of a gradient's time.
    Operations of lax are traced several times faster than those of jnp.
    """

    def line(number: Array) -> Array:
        return lax.dynamic_slice(x, start(number), sides, allow_negative_indices=False)

    def start(number: Array) -> list[Array | int]:
        return [number if each == axis else 0 for each in range(x.ndim)]

    sides = [1 if each == axis else side for each, side in enumerate(x.shape)]
    nearest = lax.clamp(0, at, x.shape[axis] - 1)
    own = line(nearest)
    other = lax.full_like(own, 0) if source is None else line(source)
    own = lax.select_n(at == nearest, own, other)
    return lax.dynamic_update_slice(x, own, start(nearest), allow_negative_indices=False)
