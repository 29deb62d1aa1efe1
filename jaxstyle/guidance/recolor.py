"""Color transfer: gives each region of a photo the mean color and covariance of the style.

Each region is recolored by an affine map (`jaxstyle.images.color.map_between`), and the results are
blended by soft masks. This serves as a baseline, and as an initialization that has the light of the
style and all of the photo's structure.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32
from PIL import Image as Image8
from PIL import ImageFilter

from jaxstyle import images
from jaxstyle.guidance.masks import EVERYWHERE, Regions
from jaxstyle.images import color
from jaxstyle.images.guided_filter import guided_filter
from jaxstyle.images.transparency import split

Image = Float[np.ndarray, "_ _ _"]

REACH = 0.006
"""Radius, relative to the longest side, of the opening that finds gaps between masks; half the
radius of the guided filter."""

EDGES = 1e-4
"""Epsilon of the guided filter: masks follow edges of the photo of a larger variance."""

FAINT = 0.05
"""Weight of pixels outside all regions below which it is set to zero."""

LARGE = 768
"""Longest side in pixels for the refinement of masks; enough for a photo of 24 megapixels."""

SMALL = 256
"""Longest side in pixels for color statistics, which hardly depend on it."""

RIDGE = 5e-4
"""Variance added to photo and style, so that small variations, such as the noise and banding of a
clear sky, are not amplified."""


def recolored(
    photo: Image,
    styles: Sequence[Image],
    regions: Regions | None = None,
    method: str = "symmetric",
    ridge: float = RIDGE,
    shares: Sequence[float] = (),
) -> Float32[np.ndarray, "_ _ 3"]:
    """Transfer the colors of the style pictures to the photo, region by region.

    Args:
      photo: The photo to recolor, RGB, or RGB and alpha: the weights of the pixels.
      styles: The style pictures, whose pixels are pooled; likewise.
      regions: The regions of photo and styles; None: the whole pictures.
      method: One of `jaxstyle.images.color.COLOR_MATCHES`.
      ridge: Variance added to the colors of photo and style.
      shares: Weight of each style picture; equal if empty.

    Returns:
      The recolored photo, clipped to [0, 1]. Pixels outside all regions are unchanged.
    """
    if regions is None or regions.names == (EVERYWHERE,):
        everywhere = [None] * len(styles)
        return _mapped(photo, None, styles, everywhere, method, ridge, shares).clip(0, 1)
    height, width, _ = photo.shape
    small, _ = split(_small(photo, LARGE))
    rows, columns, _ = small.shape
    masks = np.stack([images.resize(mask, rows, columns, "area") for mask in regions.content])
    *visible, left = (images.resize(s, height, width, "bilinear") for s in _soft(small, masks))
    result = left[..., None] * photo[..., :3]
    for index, (mask, share) in enumerate(zip(masks, visible, strict=True)):
        of_styles = [of[index] for of in regions.styles]
        result += share[..., None] * _mapped(photo, mask, styles, of_styles, method, ridge, shares)
    return result.clip(0, 1)


def _soft(photo: Image, masks: Float32[np.ndarray, "k h w"]) -> Float32[np.ndarray, "_ h w"]:
    """Compute soft masks of the regions and of the rest, which sum to one.

    They follow the edges of the photo. Thin gaps between masks are filled from the adjacent masks.
    """
    outside = (1 - masks.sum(axis=0)).clip(0, 1)
    radius = max(1, round(max(photo.shape) * REACH))
    lines = outside - np.asarray(_opened(outside, radius))
    every = np.concatenate([masks, (outside - lines)[None]]).transpose(1, 2, 0)
    soft = np.asarray(guided_filter(photo, every, 2 * radius, EDGES)).clip(1e-4, 1)
    soft[..., -1] *= soft[..., -1] > FAINT
    return np.moveaxis(soft / soft.sum(axis=-1, keepdims=True), -1, 0)


def _opened(mask: Float32[np.ndarray, "h w"], radius: int) -> Float32[np.ndarray, "h w"]:
    """Remove structures narrower than a square of this radius: a morphological opening."""
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
    given: Sequence[float],
) -> Float32[np.ndarray, "_ _ 3"]:
    """Recolor the whole photo by the map of one region."""
    shares = given or [1.0] * len(styles)
    each = [(*_reduced(x, of), w) for x, of, w in zip(styles, masks, shares, strict=True) if w]
    seen = [(style, of, share) for style, of, share in each if of is None or of.any()]
    # Where nothing of the region is visible, the whole styles stand for it.
    seen = seen or [(*_reduced(x, None), w) for x, w in zip(styles, shares, strict=True) if w]
    pixels = np.concatenate([style.reshape(-1, 3) for style, _, _ in seen])[None]
    counts = np.concatenate([share * _weights(style, of) for style, of, share in seen])[None]
    before = color.statistics(*_reduced(photo, mask))
    matrix, shift = color.map_between(before, color.statistics(pixels, counts), method, ridge)
    return photo[..., :3] @ matrix.T.astype(np.float32) + shift.astype(np.float32)


def _weights(style: Image, mask: np.ndarray | None) -> Float32[np.ndarray, " n"]:
    """Return the weights of the pixels of a style picture, which sum to one."""
    each = np.ones(style.shape[:2], np.float32) if mask is None else mask
    return each.ravel() / each.sum()


def _reduced(picture: Image, mask: np.ndarray | None) -> tuple[Image, np.ndarray | None]:
    """Reduce a picture and its mask to the size used for statistics."""
    small, alpha = split(_small(picture, SMALL))
    if mask is None:
        return small, alpha
    height, width, _ = small.shape
    resized = images.resize(mask, height, width, "area")
    return small, resized if alpha is None else resized * alpha


def _small(picture: Image, longest: int) -> Image:
    factor = min(1.0, longest / max(picture.shape))
    height, width = (max(1, round(side * factor)) for side in picture.shape[:2])
    return images.resize(picture, height, width, "area")
