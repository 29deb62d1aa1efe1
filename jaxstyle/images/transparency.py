"""Pictures with transparency: arrays of four channels, straight RGB and alpha.

What cannot be seen must not influence what can. So the colors of fully transparent pixels are
replaced by those of the visible pixels around them (`filled`): the receptive fields of the network
and the kernels of filters reach over the border, and should find nothing new there. And a picture
with alpha is resized with premultiplied colors (`jaxstyle.images.resize`).
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from jaxstyle.images.resample import resample

LEAST_VISIBLE = 1e-6
"""Alpha below which a pixel counts as fully transparent, less than a level of 16 bits."""


def filled(
    rgb: Float[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Replace the colors of fully transparent pixels by those of the visible pixels around them.

    The picture is halved, weighted by alpha, until every pixel has a color; then the gaps are
    filled from coarse to fine.

    Args:
      rgb: The colors.
      alpha: The alpha, at least `LEAST_VISIBLE` in one pixel.
    """
    return _filled(rgb, np.where(alpha < LEAST_VISIBLE, np.float32(0), alpha))


TINY = np.finfo(np.float32).tiny
ROWS = 128  # at once, to save memory


def _filled(rgb: np.ndarray, alpha: np.ndarray) -> Float[np.ndarray, "h w 3"]:
    hidden = alpha == 0
    if not hidden.any():
        return rgb
    weights = _halved(alpha)
    colors = np.empty((*weights.shape, 3), np.float32)
    for top in range(0, len(alpha), 2 * ROWS):
        rows, half = slice(top, top + 2 * ROWS), slice(top // 2, top // 2 + ROWS)
        seen = _halved(rgb[rows] * alpha[rows, :, None])
        colors[half] = seen / np.maximum(weights[half], TINY)[..., None]
    shown = rgb.copy()
    coarse, (height, width) = _filled(colors, weights), alpha.shape
    for channel in range(3):
        larger = resample(coarse[..., channel], height, width, "bilinear")
        shown[..., channel][hidden] = larger[hidden]
    return shown


def _halved(values: Float[np.ndarray, "h w *c"]) -> Float[np.ndarray, "_ _ *c"]:
    """Return the means of 2 x 2 pixels, where an odd side is extended by zeros."""
    height, width = values.shape[:2]
    even = np.pad(values, [(0, height % 2), (0, width % 2), *[(0, 0)] * (values.ndim - 2)])
    rows = even[::2] + even[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) / 4


def have_alpha(pictures: Iterable[np.ndarray]) -> bool:
    """Return whether any of these pictures has transparency."""
    return any(pixels.shape[2] == 4 for pixels in pictures)


def split(
    pixels: Float[np.ndarray, "h w c"],
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"] | None]:
    """Split the pixels of a picture, of three or four channels, into RGB and alpha."""
    if pixels.shape[2] == 3:
        return pixels, None
    return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])


def joined(
    rgb: Float[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"] | None
) -> Float[np.ndarray, "h w c"]:
    """Join RGB and alpha to four channels; without alpha, return the RGB as it is."""
    return rgb if alpha is None else np.dstack([rgb, alpha])
