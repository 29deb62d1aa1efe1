"""Local affine color maps, which make a stylized result photorealistic again.

Luan, Paris, Shechtman, Bala, "Deep Photo Style Transfer", CVPR 2017, and the last step of the
authors' code, SmoothLocalAffine. For each pixel k, an affine map A_k from the photo's colors to the
result's is fitted in a window of 3 x 3 pixels, cropped at the image border:

    least sum over the window of |A [r g b 1]^T - result|^2 + ridge |A without its last column|^2

The maps are averaged with those of nearby pixels of similar color in the photo,

    weight of k for i = exp(-|place_i - place_k|^2 / (2 (radius / 3)^2))
                        exp(-mean over r, g, b of (photo_i - photo_k)^2 / (2 edge^2))

over a square of (2 radius + 1)^2 pixels, and applied to the photo. This removes whatever is not
locally an affine function of the photo's colors, such as brushwork and distortions.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxstyle.images.guided_filter import affine_applied, local_affine, window_pixels
from jaxstyle.machine.programs import jit

Picture = Array | np.ndarray

RIDGE, RADIUS, EDGE = 1e-3, 15, 0.01
"""The ridge of the authors' code; radius (f_radius) and edge (f_edge) of their examples."""

_WINDOW = 1  # the radius of 3 x 3 pixels
_STRIP = 8  # rows per strip on a CPU: fits into its cache, which is several times faster


def fit(
    photo: Float[Picture, "h w 3"], result: Float[Picture, "h w 3"], ridge: float = RIDGE
) -> Float[Array, "h w 3 4"]:
    """Fit the affine map of each pixel.

    Args:
      photo: The photo.
      result: The stylized photo.
      ridge: The penalty on slopes, more than 0. Where the squared deviations of a window of the
        photo sum to less, the map tends to the window's mean color: weak detail is weakened.

    Returns:
      For each pixel, rows for the result's r, g, b and columns for the photo's r, g, b, 1.

    Raises:
      ValueError: The ridge is not positive.
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
    """Average each map with those around it: a joint bilateral filter guided by the photo.

    Args:
      maps: The map of each pixel, from `fit`.
      photo: The photo, the guide of the filter.
      radius: Radius of the square in pixels, at least 1; three standard deviations in space.
      edge: Standard deviation of the color weight, more than 0, for colors in [0, 1].

    Raises:
      ValueError: The radius is less than 1, or the edge is not positive.
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
    """Apply the map of each pixel to the photo's colors; the result may leave [0, 1]."""
    return affine_applied(maps, photo)


@jit(static_argnames=("radius", "strip"))
def _smoothed(maps, photo, radius, edge, strip):
    height, width, _ = photo.shape
    strips = -(-height // strip)
    rows = (radius, radius + strips * strip - height)

    def planes(values):
        """Move channels first, with a border of zeros so that every pixel has its whole square."""
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
    """Average one strip; planes are separate, since a stack would be copied at every step."""
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
