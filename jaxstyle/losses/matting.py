"""Photorealism: how far an image is from an affine map of the photo's colors, place by place.

The cost of Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting", PAMI 2008,
for color images, of which Luan, Paris, Shechtman, Bala, "Deep Photo Style Transfer", CVPR 2017,
make a loss. With v a channel of the image and I the photo's colors, over every window of 3 x 3
pixels inside the picture:

    energy = sum over windows and channels of min over (a, b) of
             sum over the window's pixels i of (v_i - a . I_i - b)^2 + epsilon |a|^2

which is the sum over channels of v^T L v, L the matting Laplacian. No matrix is built: each window
is a least-squares problem, solved by QR. With J and u the 9 x 3 and 9 x 1 matrices of the window's
I_i and v_i less their means,

    [J; epsilon^1/2 1] = Q R,     c = Q^T [u; 0],     r = [u; 0] - Q c,     energy = |r|^2

Q depends on the photo alone, and comes from float64: in a gray window one singular value of J is
far above epsilon^1/2 and two are far below. The rest is well conditioned. r is least for that c, so
that an error in c enters the energy squared, and the slope is that with c held fixed: 2 r_i for
each pixel i.
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
"""That of both papers, for colors in [0, 1]: what keeps the map of a flat window at zero."""

WINDOW = tuple(product(range(3), range(3)))
CENTER = WINDOW.index((1, 1))

STRIP = 16
"""Rows of windows worked on at once: few enough for a processor's cache."""


class LocalColors(NamedTuple):
    """What the energy needs of a photo: 37 planes, a dozen times the photo itself.

    Planes have a place for every window that shares a pixel with the picture; all is zero in those
    that are not wholly inside it.
    """

    axes: Float[Array | np.ndarray, "12 3 y x"]
    """Q of each window."""
    inside: Float[Array | np.ndarray, "y x"]
    """One where the window is inside the picture."""


def target(photo: Float[Array | np.ndarray, "h w 3"]) -> LocalColors:
    """Local colors of a photo in [0, 1], of its own precision; worked out by the host."""
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
    """A tile's part of the energy: of the windows in the middle of which is a pixel of its own.

    ``target`` has planes of the piece of the photo that ``image`` is a piece of.
    """
    # A window has its place one further than its middle pixel.
    rows = cut.own_rows & (cut.rows >= 1) & (cut.rows <= cut.height - 2)
    columns = cut.own_columns & (cut.columns >= 1) & (cut.columns <= cut.width - 2)
    own = both(jnp.pad(rows, 1), jnp.pad(columns, 1))
    return energy(image, LocalColors(target.axes * own, target.inside * own))


def blank_target(height: int, width: int) -> LocalColors:
    """Local colors that have a shape and take no memory."""
    zero, places = np.float32(0), (height + 2, width + 2)
    return LocalColors(*(np.broadcast_to(zero, (*of, *places)) for of in ((12, 3), ())))


def _axes(colors: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "12 3 y x"]:
    """Q of every window inside, by Gram and Schmidt's method as modified."""
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
    """The energy above, in the precision of its arguments; zero if there is no room for a window.

    Its gradient is for the image; to the photo's local colors it is given as zero.
    """
    return _forward(image, target)[0]


def _forward(image: Float[Array, "h w c"], target: LocalColors):
    """The energy, and what its gradient needs: the image, c, and u's mean, in each window."""
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
    """Twice the sum of the residuals of each pixel, gathered from the windows it is in."""
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
    """Planes with room for every window that shares a pixel with them."""
    return jnp.pad(image.transpose(2, 0, 1), ((0, 0), (2, 2), (2, 2)))


def _cut(
    planes: Float[Array, "*n y x"], top: int, left: int, height: int, width: int
) -> Float[Array, "*n h w"]:
    """The rectangle of that size with its corner there."""
    return planes[..., top : top + height, left : left + width]


def _explained(q: Float[Array, "3 y x"], fit: Float[Array, "3 c y x"]) -> Float[Array, "c y x"]:
    """q . c, written out: one loop with all around it, where a product of matrices is its own."""
    return q[0] * fit[0] + q[1] * fit[1] + q[2] * fit[2]


def _sum(terms: Iterable[Float[Array, "*n"]]) -> Float[Array, "*n"]:
    return reduce(add, terms)


def _total(energies: Float[Array, "c y x"]) -> Float[Array, ""]:
    """Their sum, rows first.

    As a product with ones: before a plain sum XLA's CPU compiler stores 36 terms one by one, which
    takes six times as long and ten times the memory.
    """
    ones = jnp.ones(energies.shape[-1], energies.dtype)
    return jnp.sum(jnp.matmul(energies, ones, precision=jax.lax.Precision.HIGHEST))
