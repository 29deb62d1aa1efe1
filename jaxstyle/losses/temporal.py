"""Temporal loss of a clip: a frame stays like earlier results, moved along by optical flow.

Ruder, Dosovitskiy, Brox, "Artistic Style Transfer for Videos", GCPR 2016 (arXiv:1604.08610). With x
the image, w an earlier result warped to its frame, c in [0, 1] the reliability of the flow at each
pixel, and D the number of values of the image (sections 5.1 and 5.2):

    temporal = 1 / D  sum over pixels and channels of c (x - w)^2

With several earlier results the sums are added; of an older one only those pixels count that the
nearer ones do not see: ``long_term``. Reliability compares the flow from this frame to the earlier
one with its opposite (Sundaram, Brox, Keutzer, ECCV 2010): ``reliability``.

A flow has the shape (height, width, 2): at each pixel of its frame, how many pixels further right
and further down the same point is in the other frame.
"""

from functools import reduce
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxstyle.losses.content import statistics
from jaxstyle.losses.tile_mask import TileMask

DISOCCLUDED = -1.0
"""Reliability of disoccluded pixels before smoothing: negative, so that the holes grow."""

SMOOTHING = 0.8
"""Standard deviation in pixels of the Gaussian that smooths the reliability."""

TAPS = 2
"""Taps of that Gaussian on each side of its center."""


class Earlier(NamedTuple):
    """J earlier results, the target of the temporal loss.

    Attributes:
      images: the results, warped to the frame: height x width x J x 3.
      reliability: of each of their pixels, from 0 to 1: height x width x J. Where there are fewer
        results than J, the others have reliability zero: one program serves all frames.
    """

    images: PyTree
    reliability: PyTree

    def times(self, white: Any) -> "Earlier":
        """Return the target for images whose white has another value."""
        return self._replace(images=white * self.images)


def distance(x: Float[Array, "h w c"], target: Earlier) -> Float[Array, ""]:
    """Return the mean over all values of the squared differences, weighted by reliability.

    Those from several earlier results are added.
    """
    return jnp.mean(_squares(x, target))


def of_tile(x: Float[Array, "h w c"], target: Earlier, cut: TileMask) -> Float[Array, ""]:
    """Compute a tile's contribution to the temporal loss of the whole image."""
    squares = _squares(statistics(x), target)
    total = jnp.sum(jnp.where(cut.inside[..., None], squares, 0))
    return total / (jnp.asarray(cut.height, total.dtype) * cut.width * x.shape[-1])


def _squares(x: Float[Array, "h w c"], target: Earlier) -> Float[Array, "h w c"]:
    squares = (x[..., None, :] - target.images) ** 2
    return jnp.sum(target.reliability[..., None] * squares, axis=-2)


def warp(image: Float[Array, "h w c"], flow: Float[Array, "h w 2"]) -> Float[Array, "h w c"]:
    """Return an image sampled bilinearly where the flow points; beyond its border, at the border.

    Args:
      image: of the other frame, which the flow leads to.
      flow: from this frame to the other.
    """
    height, width, _ = image.shape
    rows, columns = _places(flow)
    return _sampled(image, jnp.clip(rows, 0, height - 1), jnp.clip(columns, 0, width - 1))


def reliability(
    flow: Float[Array, "h w 2"], opposite: Float[Array, "h w 2"]
) -> Float[Array, "h w"]:
    """Return how far a flow can be relied on at each pixel, from 0 to 1.

    With g the opposite flow sampled where the flow f leads to, a pixel is disoccluded where

        |f + g|^2 >= 0.01 (|f|^2 + |g|^2) + 0.5

    and at a motion boundary where |grad u|^2 + |grad v|^2 > 0.01 |f|^2 + 0.002 (section 5.1; the
    constants of Sundaram et al.). Such pixels are unreliable, as are those that leave the frame.
    The map is smoothed afterwards, as the authors' program does.

    Args:
      flow: from this frame to the other.
      opposite: from the other frame to this one.
    """
    height, width, _ = flow.shape
    rows, columns = _places(flow)
    inside = (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
    back = warp(opposite, flow)
    squares = _squared_norm(flow)
    occluded = _squared_norm(flow + back) >= 0.01 * (squares + _squared_norm(back)) + 0.5
    down, right = _differences(flow, 0), _differences(flow, 1)
    boundary = _squared_norm(down) + _squared_norm(right) > 0.01 * squares + 0.002
    marks = jnp.where(boundary, 0.0, 1.0)
    marks = jnp.where(inside, jnp.where(occluded, DISOCCLUDED, marks), 0.0)
    return jnp.clip(_smoothed(marks.astype(flow.dtype)), 0, 1)


def long_term(each: Float[Array, "j h w"]) -> Float[Array, "j h w"]:
    """Return the reliability of several earlier frames, where no nearer one sees the pixel.

    Section 5.2, equation 9: c_long(j) = max(c(j) - sum over nearer k of c(k), 0).

    Args:
      each: reliability of the flow to each earlier frame, nearest first.
    """
    nearer = jnp.cumsum(each, axis=0) - each
    return jnp.maximum(each - nearer, 0)


def _places(flow: Float[Array, "h w 2"]) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """Return the rows and columns that a flow points to."""
    height, width, _ = flow.shape
    rows = jnp.arange(height, dtype=flow.dtype)[:, None] + flow[..., 1]
    columns = jnp.arange(width, dtype=flow.dtype)[None, :] + flow[..., 0]
    return rows, columns


def _sampled(
    image: Float[Array, "h w c"], rows: Float[Array, "y x"], columns: Float[Array, "y x"]
) -> Float[Array, "y x c"]:
    """Return an image sampled bilinearly at places inside it."""
    height, width, _ = image.shape
    top, left = jnp.floor(rows), jnp.floor(columns)
    below, beside = (rows - top)[..., None], (columns - left)[..., None]
    y, x = top.astype(jnp.int32), left.astype(jnp.int32)
    next_y, next_x = jnp.minimum(y + 1, height - 1), jnp.minimum(x + 1, width - 1)
    upper = image[y, x] * (1 - beside) + image[y, next_x] * beside
    lower = image[next_y, x] * (1 - beside) + image[next_y, next_x] * beside
    return upper * (1 - below) + lower * below


def _squared_norm(vectors: Float[Array, "h w 2"]) -> Float[Array, "h w"]:
    return jnp.sum(vectors**2, axis=-1)


def _differences(flow: Float[Array, "h w 2"], axis: int) -> Float[Array, "h w 2"]:
    """Return the central differences along an axis, the border repeated."""
    around = [(1, 1) if each == axis else (0, 0) for each in range(3)]
    wide = jnp.pad(flow, around, mode="edge")
    size = flow.shape[axis]
    before = jnp.take(wide, np.arange(size), axis)
    after = jnp.take(wide, np.arange(2, size + 2), axis)
    return (after - before) / 2


def _smoothed(marks: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Return a map smoothed by a Gaussian of a few taps, mirrored at its borders."""
    taps = np.exp(-0.5 * (np.arange(-TAPS, TAPS + 1) / SMOOTHING) ** 2)
    taps = (taps / taps.sum()).astype(marks.dtype)
    for axis in (0, 1):
        around = [(TAPS, TAPS) if each == axis else (0, 0) for each in range(2)]
        wide, size = jnp.pad(marks, around, mode="symmetric"), marks.shape[axis]
        parts = [
            tap * jnp.take(wide, np.arange(start, start + size), axis)
            for start, tap in enumerate(taps)
        ]
        marks = reduce(jnp.add, parts)
    return marks
