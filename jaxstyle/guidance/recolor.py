"""Colors alone: the photo with the mean color and covariance of the style, region by region.

Each region of the photo is changed by one affine map of its colors
(`jaxstyle.images.color.map_between`), and where masks are soft the results are mixed. A baseline by
itself, and a start for a run that has the light of the style already, and all of the photo's
structure.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32
from PIL import Image as Image8
from PIL import ImageFilter

from jaxstyle import images
from jaxstyle.guidance.masks import Regions
from jaxstyle.images import color
from jaxstyle.images.guided_filter import guided_filter

Image = Float[np.ndarray, "_ _ 3"]

REACH = 0.006
"""Of the longest side: half the width of lines between masks, and half the reach of their edges."""

EDGES = 1e-4
"""The guided filter's epsilon: masks follow edges of the photo whose variance is more."""

FAINT = 0.05
"""A share of no region that is less is none."""

LARGE = 768
"""Longest side at which masks are made to follow edges: a photo of 24 megapixels needs no more."""

SMALL = 256
"""Longest side of the pictures that statistics are taken from: they hardly depend on it."""

RIDGE = 5e-4
"""Added to the variances of both: what varies by less is not made to vary much more, as the noise
and the bands of a clear sky would be."""


def recolored(
    photo: Image,
    styles: Sequence[Image],
    regions: Regions | None = None,
    method: str = "symmetric",
    ridge: float = RIDGE,
) -> Float32[np.ndarray, "_ _ 3"]:
    """The photo, each region with the colors of its region in the style pictures; what is in no
    region stays as it is. Clipped to [0, 1]."""
    if regions is None:
        return _mapped(photo, None, styles, [None] * len(styles), method, ridge).clip(0, 1)
    height, width, _ = photo.shape
    small = _small(photo, LARGE)
    rows, columns, _ = small.shape
    masks = np.stack([images.resize(mask, rows, columns, "area") for mask in regions.content])
    *shares, left = (images.resize(s, height, width, "bilinear") for s in _soft(small, masks))
    result = left[..., None] * photo
    for index, (mask, share) in enumerate(zip(masks, shares, strict=True)):
        of_styles = [of[index] for of in regions.styles]
        result += share[..., None] * _mapped(photo, mask, styles, of_styles, method, ridge)
    return result.clip(0, 1)


def _soft(photo: Image, masks: Float32[np.ndarray, "k h w"]) -> Float32[np.ndarray, "_ h w"]:
    """Shares that add up to one and follow the edges of the photo, of each mask and of what is in
    none. Lines between masks that are in none go to those beside them."""
    outside = (1 - masks.sum(axis=0)).clip(0, 1)
    radius = max(1, round(max(photo.shape) * REACH))
    lines = outside - np.asarray(_opened(outside, radius))
    every = np.concatenate([masks, (outside - lines)[None]]).transpose(1, 2, 0)
    soft = np.asarray(guided_filter(photo, every, 2 * radius, EDGES)).clip(1e-4, 1)
    soft[..., -1] *= soft[..., -1] > FAINT
    return np.moveaxis(soft / soft.sum(axis=-1, keepdims=True), -1, 0)


def _opened(mask: Float32[np.ndarray, "h w"], radius: int) -> Float32[np.ndarray, "h w"]:
    """The mask without what is narrower than a square of this radius."""
    size = 2 * radius + 1
    image = Image8.fromarray(np.rint(mask * 255).astype(np.uint8))
    opened = image.filter(ImageFilter.MinFilter(size)).filter(ImageFilter.MaxFilter(size))
    return np.minimum(mask, np.asarray(opened, np.float32) / 255)


def _mapped(
    photo: Image,
    mask: np.ndarray | None,
    styles: Sequence[Image],
    masks: Sequence[np.ndarray | None],
    method: str,
    ridge: float,
) -> Float32[np.ndarray, "_ _ 3"]:
    """The whole photo under the map of one region."""
    pairs = [_counted(style, of) for style, of in zip(styles, masks, strict=True)]
    seen = [(style, of) for style, of in pairs if of is None or of.any()]
    pixels = np.concatenate([style.reshape(-1, 3) for style, _ in seen])[None]
    counts = np.concatenate([_weights(style, of) for style, of in seen])[None]
    before = color.statistics(*_counted(photo, mask))
    matrix, shift = color.map_between(before, color.statistics(pixels, counts), method, ridge)
    return photo @ matrix.T.astype(np.float32) + shift.astype(np.float32)


def _weights(style: Image, mask: np.ndarray | None) -> Float32[np.ndarray, " n"]:
    """Of each pixel, adding up to one."""
    each = np.ones(style.shape[:2], np.float32) if mask is None else mask
    return each.ravel() / each.sum()


def _counted(picture: Image, mask: np.ndarray | None) -> tuple[Image, np.ndarray | None]:
    """A picture and the mask of what counts in it, as small as statistics can be."""
    small = _small(picture, SMALL)
    height, width, _ = small.shape
    return small, None if mask is None else images.resize(mask, height, width, "area")


def _small(picture: Image, longest: int) -> Image:
    factor = min(1.0, longest / max(picture.shape))
    height, width = (max(1, round(side * factor)) for side in picture.shape[:2])
    return images.resize(picture, height, width, "area")
