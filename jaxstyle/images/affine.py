"""Local affine maps of color: a result made a photograph of the same scene again.

Luan, Paris, Shechtman, Bala, "Deep Photo Style Transfer", CVPR 2017, and the last step of the
authors' code, SmoothLocalAffine. Around each pixel k, the affine map A_k from the photo's colors to
the result's is fitted in a window of 3 x 3 pixels, less at the border where it is cut off:

    least sum over the window of |A [r g b 1]^T - result|^2 + ridge |A without its last column|^2

Maps of pixels that are close to one another and alike in the photo are averaged,

    weight of k for i = exp(-|place_i - place_k|^2 / (2 (radius / 3)^2))
                        exp(-mean over r, g, b of (photo_i - photo_k)^2 / (2 edge^2))

over a square of (2 radius + 1)^2 pixels, and applied to the photo. What does not follow from the
photo by an affine map, such as brushwork and distortions, does not come through.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxstyle.images.guided_filter import affine_applied, local_affine, window_pixels

Picture = Array | np.ndarray

RIDGE, RADIUS, EDGE = 1e-3, 15, 0.01
"""The ridge of the authors' code; radius (f_radius) and edge (f_edge) of their examples."""

_WINDOW = 1  # the radius of 3 x 3 pixels
_STRIP = 8  # rows at a time, with which a CPU works in its cache: several times as fast


def fit(
    photo: Float[Picture, "h w 3"], result: Float[Picture, "h w 3"], ridge: float = RIDGE
) -> Float[Array, "h w 3 4"]:
    """The map of each pixel: its rows are the result's r, g, b, its columns the photo's r, g, b, 1.

    Args:
      ridge: how much slopes cost; more than 0. Where a window of the photo varies less, as a sum
        of squares, the map tends to the window's mean color: weak detail gets weaker.

    Raises:
      ValueError: if the ridge is not more than 0.
    """
    if not ridge > 0:
        raise ValueError(f"ridge must be more than 0: {ridge}")
    height, width, _ = photo.shape
    return local_affine(photo, result, _WINDOW, ridge / window_pixels(height, width, _WINDOW))


def smoothed(
    maps: Float[Picture, "h w 3 4"],
    photo: Float[Picture, "h w 3"],
    radius: int = RADIUS,
    edge: float = EDGE,
) -> Float[Array, "h w 3 4"]:
    """The maps, each averaged with those around it: a joint bilateral filter guided by the photo.

    Raises:
      ValueError: if the radius is less than 1 or the edge not more than 0.
    """
    if radius < 1:
        raise ValueError(f"radius must be at least 1: {radius}")
    if not edge > 0:
        raise ValueError(f"edge must be more than 0: {edge}")
    strip = _STRIP if jax.default_backend() == "cpu" else len(photo)
    return _smoothed(maps, photo, radius, edge, strip)


def applied(
    maps: Float[Picture, "h w 3 4"], photo: Float[Picture, "h w 3"]
) -> Float[Array, "h w 3"]:
    """The photo's colors under the map of each pixel; may leave [0, 1]."""
    return affine_applied(maps, photo)


@jax.jit(static_argnames=("radius", "strip"))
def _smoothed(maps, photo, radius, edge, strip):
    height, width, _ = photo.shape
    strips = -(-height // strip)
    rows = (radius, radius + strips * strip - height)

    def planes(values):
        """Each with a border of zeros, so that a pixel's whole square can be read."""
        padded = jnp.pad(values.reshape(height, width, -1), (rows, (radius, radius), (0, 0)))
        return jnp.moveaxis(padded, -1, 0)

    colors, entries = planes(jnp.asarray(photo, jnp.float32)), planes(jnp.asarray(maps))
    inside = planes(jnp.ones((height, width)))

    def average(index):
        def part(planes):
            sides = (len(planes), strip + 2 * radius, width + 2 * radius)
            return list(lax.dynamic_slice(planes, (0, index * strip, 0), sides))

        return _average(part(colors), part(entries), part(inside)[0], radius, edge)

    averages = lax.map(average, jnp.arange(strips))  # strips, entries, strip, width
    whole = jnp.moveaxis(averages, 1, -1).reshape(strips * strip, width, *maps.shape[2:])
    return whole[:height]


def _average(colors, entries, inside, radius, edge):
    """Of one strip. All planes apart: stacked, they would be copied at every step."""
    height, width = (side - 2 * radius for side in inside.shape)
    side, sigma = 2 * radius + 1, radius / 3
    here = [lax.slice(plane, (radius,) * 2, (radius + height, radius + width)) for plane in colors]

    def add(step, totals):
        down, right = step // side, step % side

        def there(plane):
            return lax.dynamic_slice(plane, (down, right), (height, width))

        apart = (down - radius) ** 2 + (right - radius) ** 2
        unlike = sum((a - there(b)) ** 2 for a, b in zip(here, colors, strict=True)) / len(here)
        weight = there(inside) * jnp.exp(-apart / (2 * sigma**2) - unlike / (2 * edge**2))
        total, *sums = totals
        sums = [s + weight * there(plane) for s, plane in zip(sums, entries, strict=True)]
        return [total + weight, *sums]

    zeros = [jnp.zeros((height, width))] * (1 + len(entries))
    total, *sums = lax.fori_loop(0, side**2, add, zeros)
    return jnp.stack(sums) / total
