"""Earlier results moved along the flow: where a frame starts, and what it is held to."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxstyle.losses import temporal
from jaxstyle.losses.temporal import Earlier
from jaxstyle.machine.programs import jit

Image = Float[np.ndarray, "h w 3"]
Flow = Float[np.ndarray, "h w 2"]


class Neighbor(NamedTuple):
    """The result of another frame, and the flow between.

    Attributes:
      image: the result.
      flow: from the frame to it.
      opposite: from it to the frame.
    """

    image: Image
    flow: Flow
    opposite: Flow


class Moved(NamedTuple):
    """The results of neighbors, moved to a frame.

    Attributes:
      nearest: the result of the nearest, warped.
      reliability: how far each of its pixels can be relied on, from 0 to 1.
      earlier: all of them, as the target of the temporal loss.
    """

    nearest: Image
    reliability: Float[np.ndarray, "h w"]
    earlier: Earlier


def moved(neighbors: Sequence[Neighbor], most: int) -> Moved:
    """Return the results of neighbors moved to a frame.

    Args:
      neighbors: at least one, the nearest first.
      most: number of neighbors that other frames have; shapes are the same for all frames.
    """
    lacking = most - len(neighbors)
    padded = [*neighbors, *[neighbors[0]] * lacking]
    images, flows, opposites = (np.stack(each) for each in zip(*padded, strict=True))
    there = np.arange(most) < len(neighbors)
    nearest, reliability, warped, each = _moved(images, flows, opposites, there)
    return Moved(np.asarray(nearest), np.asarray(reliability), Earlier(warped, each))


def nothing_earlier(height: int, width: int, most: int) -> Earlier:
    """Return the target of the temporal loss for a frame that has no neighbors."""
    shape = (height, width, most)
    return Earlier(np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32))


@jit()
def _moved(
    images: Float[Array, "j h w 3"],
    flows: Float[Array, "j h w 2"],
    opposites: Float[Array, "j h w 2"],
    there: Bool[Array, " j"],
) -> tuple[Array, Array, Array, Array]:
    count = images.shape[0]
    warped = [temporal.warp(images[k], flows[k]) for k in range(count)]
    each = [temporal.reliability(flows[k], opposites[k]) for k in range(count)]
    seen = temporal.long_term(jnp.stack(each) * there[:, None, None])
    return warped[0], each[0], jnp.stack(warped, axis=2), jnp.moveaxis(seen, 0, -1)
