"""Photorealism loss: distance of an image from local affine maps of the photo's colors.

This is the matting energy of Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image
Matting", PAMI 2008, for color images, which Luan, Paris, Shechtman, Bala, "Deep Photo Style
Transfer", CVPR 2017, use as a loss. With v a channel of the image and I the photo's colors, over
every window of 3 x 3 pixels inside the picture:

    energy = sum over windows and channels of min over (a, b) of
             sum over the window's pixels i of (v_i - a . I_i - b)^2 + epsilon |a|^2

This equals the sum over channels of v^T L v, with L the matting Laplacian. L is never built: each
window is a least-squares problem, solved by QR. With J and u the 9 x 3 and 9 x 1 matrices of the
window's I_i and v_i minus their means,

    [J; epsilon^1/2 1] = Q R,     c = Q^T [u; 0],     r = [u; 0] - Q c,     energy = |r|^2

Q depends on the photo alone and is computed in float64, because J is ill-conditioned: in a gray
window one singular value is far above epsilon^1/2 and two are far below. The rest is well
conditioned. |r| is minimal for this c, so an error in c changes the energy only to second order,
and the gradient is that with c held fixed: 2 r_i for each pixel i.
"""

from collections.abc import Iterable
from functools import reduce
from itertools import product
from operator import add
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.losses.tile_mask import TileMask, both

EPSILON = 1e-7
"""Regularization of both papers, for colors in [0, 1]: makes ``a`` zero in a flat window."""

WINDOW = tuple(product(range(3), range(3)))
"""Row and column in a window of each of its pixels."""

CENTER = WINDOW.index((1, 1))

STRIP = 16
"""Rows of windows that ``target`` works on at once: few enough to fit in a CPU cache."""


class LocalColors(NamedTuple):
    """Precomputed data of a photo for the energy: 37 planes, twelve times the photo itself.

    The planes have an entry for every window that shares a pixel with the picture, so they are two
    rows and columns larger; entries of windows that are not wholly inside the picture are zero.

    Attributes:
      axes: Q of each window.
      inside: 1 where the window is inside the picture, else 0.
    """

    axes: Float[Array | np.ndarray, "12 3 y x"]
    inside: Float[Array | np.ndarray, "y x"]


def target(photo: Float[Array | np.ndarray, "h w 3"]) -> LocalColors:
    """Compute the local colors of a photo, on the host.

    Args:
      photo: colors in [0, 1].

    Returns:
      Arrays on the device, in the photo's precision.
    """
    colors = np.asarray(photo, np.float64)
    height, width, _ = colors.shape
    places, dtype = (height + 2, width + 2), jnp.result_type(photo)
    axes, inside = np.zeros((12, 3, *places), dtype), np.zeros(places, dtype)
    for top in range(0, height - 2, STRIP):
        bottom = min(top + STRIP, height - 2)
        at = np.s_[..., top + 2 : bottom + 2, 2:width]
        axes[at] = _axes(colors[top : bottom + 2])
        inside[at] = 1
    return jax.device_put(LocalColors(axes, inside))


def of_tile(image: Float[Array, "h w c"], target: LocalColors, cut: TileMask) -> Float[Array, ""]:
    """Compute a tile's contribution to the energy: windows whose center is the tile's own pixel.

    Args:
      image: the tile with its halo.
      target: local colors of the same part of the photo.
      cut: position of the tile in the whole image.
    """
    # The window centered on pixel (i, j) is at (i + 1, j + 1) in the planes.
    rows = cut.own_rows & (cut.rows >= 1) & (cut.rows <= cut.height - 2)
    columns = cut.own_columns & (cut.columns >= 1) & (cut.columns <= cut.width - 2)
    own = both(jnp.pad(rows, 1), jnp.pad(columns, 1))
    return energy(image, LocalColors(target.axes * own, target.inside * own))


def blank_target(height: int, width: int) -> LocalColors:
    """Return all-zero local colors as broadcast views, which have a shape but use no memory."""
    zero, places = np.float32(0), (height + 2, width + 2)
    return LocalColors(*(np.broadcast_to(zero, (*of, *places)) for of in ((12, 3), ())))


def _axes(colors: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "12 3 y x"]:
    """Compute Q of every window inside, by the modified Gram-Schmidt process."""
    planes = colors.transpose(2, 0, 1)
    rows, columns = colors.shape[0] - 2, colors.shape[1] - 2
    near = np.stack([planes[:, i : rows + i, j : columns + j] for i, j in WINDOW])
    axes = np.concatenate([near - near.mean(axis=0), np.zeros_like(near[:3])])
    for k in range(3):
        axis = axes[:, k]
        axis[9 + k] = np.sqrt(EPSILON)
        for before in axes[:, :k].swapaxes(0, 1):
            axis -= np.einsum("nyx,nyx->yx", before, axis) * before
        axis /= np.sqrt(np.einsum("nyx,nyx->yx", axis, axis))
    return axes


@jax.custom_vjp
def energy(image: Float[Array, "h w c"], target: LocalColors) -> Float[Array, ""]:
    """Compute the energy of an image, in the precision of the arguments.

    It is zero if the image is too small for a window. Only the image has a gradient; that of the
    local colors is taken as zero.
    """
    return _forward(image, target)[0]


def _forward(image: Float[Array, "h w c"], target: LocalColors):
    """Return the energy, and for the gradient: the arguments, and u's mean and c by window."""
    axes, inside = target
    height, width, _ = image.shape
    near = [_cut(_padded(image), i, j, height + 2, width + 2) for i, j in WINDOW]
    steps = [each - near[CENTER] for each in near]  # exact, and zero in a flat window
    mean = _sum(steps) / len(WINDOW)
    fit = _sum(step * q[:, None] for step, q in zip(steps, axes[:9], strict=True))
    residuals = [
        (step - mean) * inside - _explained(q, fit) for step, q in zip(steps, axes[:9], strict=True)
    ]
    residuals += [_explained(q, fit) for q in axes[9:]]
    return _total(_sum(r**2 for r in residuals)), (image, target, mean, fit)


def _backward(saved, slope: Float[Array, ""]):
    """Return, for each pixel, twice the sum of its residuals over the windows that contain it."""
    image, (axes, inside), mean, fit = saved
    height, width, _ = image.shape
    padded = _padded(image)
    here = _cut(padded, 2, 2, height, width)
    total = jnp.zeros_like(here)
    for (i, j), q in zip(WINDOW, axes[:9], strict=True):
        at = (2 - i, 2 - j, height, width)  # of the windows that have the pixel at (i, j)
        step = here - _cut(padded, 3 - i, 3 - j, height, width)
        total += _cut(inside, *at) * (step - _cut(mean, *at))
        total -= _explained(_cut(q, *at), _cut(fit, *at))
    return 2 * slope * total.transpose(1, 2, 0), None


energy.defvjp(_forward, _backward)


def _padded(image: Float[Array, "h w c"]) -> Float[Array, "c h+4 w+4"]:
    """Return the image as planes, padded for every window that shares a pixel with it."""
    return jnp.pad(image.transpose(2, 0, 1), ((0, 0), (2, 2), (2, 2)))


def _cut(
    planes: Float[Array, "*n y x"], top: int, left: int, height: int, width: int
) -> Float[Array, "*n h w"]:
    """Return the rectangle whose upper left corner is at (top, left)."""
    return planes[..., top : top + height, left : left + width]


def _explained(q: Float[Array, "3 y x"], fit: Float[Array, "3 c y x"]) -> Float[Array, "c y x"]:
    """Return q . c, written out so that XLA fuses it; a matrix product would not be fused."""
    return q[0] * fit[0] + q[1] * fit[1] + q[2] * fit[2]


def _sum(terms: Iterable[Float[Array, "*n"]]) -> Float[Array, "*n"]:
    return reduce(add, terms)


def _total(energies: Float[Array, "c y x"]) -> Float[Array, ""]:
    """Return the sum of all energies.

    Rows are summed by a product with ones: before a plain sum XLA's CPU compiler stores 36 terms
    one by one, which takes six times as long and ten times the memory.
    """
    ones = jnp.ones(energies.shape[-1], energies.dtype)
    return jnp.sum(jnp.matmul(energies, ones, precision=jax.lax.Precision.HIGHEST))
