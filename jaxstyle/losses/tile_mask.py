"""A piece of a map, and where in the whole map it is."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, PyTree


class TileMask(NamedTuple):
    """A tile of a feature map or of an image, with or without some of what is around it.

    rows, columns: their numbers in the whole map; they can be outside of it.
    own_rows, own_columns: those that are this tile's to count. What is outside of the map belongs
    to the tile that has the map's nearest pixel.
    height, width: of the whole map.
    """

    rows: Int[Array, " h"]
    columns: Int[Array, " w"]
    own_rows: Bool[Array, " h"]
    own_columns: Bool[Array, " w"]
    height: PyTree
    width: PyTree

    @property
    def inside(self) -> Bool[Array, "h w"]:
        """The positions of the map that are this tile's."""
        rows, columns = _between(self.rows, 0, self.height), _between(self.columns, 0, self.width)
        return both(self.own_rows & rows, self.own_columns & columns)


def both(rows: Bool[Array, " h"], columns: Bool[Array, " w"]) -> Bool[Array, "h w"]:
    """The positions in some rows and some columns."""
    return rows[:, None] & columns


def _between(x: Int[Array, " n"], low: int, high: PyTree) -> Bool[Array, " n"]:
    return (x >= low) & (x < high)


def filled(x: Array, cut: TileMask, mode: str) -> Array:
    """The piece with what a picture's border asks for in the first rows and columns outside of it.

    Args:
      x: h x w x channels.
      mode: "zeros", "replicate" (the nearest pixel again), "reflect" (the one before that) or
        "circular" (nothing: pieces of a picture without borders have what is beyond already).

    What is further out is left as it is: no convolution that counts looks there.
    """
    if mode == "circular":
        return x
    # A map of one pixel has nothing to reflect: repeating it is the nearest thing.
    reflected = (mode == "reflect") & (jnp.minimum(cut.height, cut.width) > 1)
    for axis, places, size in ((0, cut.rows, cut.height), (1, cut.columns, cut.width)):
        for at, inwards in ((-1 - places[0], 1), (size - places[0], -1)):
            source = None if mode == "zeros" else at + inwards * (1 + reflected)
            x = _with_line(x, axis, at, source)
    return x


def _with_line(x: Array, axis: int, at: Array, source: Array | None) -> Array:
    """Replace a row (or column), if there is one of that number, by another one, or by zeros.

    In place, and not by a mask over all of the map: that takes a fifth of a gradient's time. In
    lax, whose operations are traced several times faster than those of jnp.
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
