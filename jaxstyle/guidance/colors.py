"""Classes of color segmentations: their palette, and the class of each pixel.

The nine named colors are those of Deep Photo Style Transfer (Luan et al., CVPR 2017; ExtractMask of
its published code). A pixel belongs to a color if every channel differs by less than a tenth of the
range, so that blended pixels at soft edges belong to none.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int, UInt8

Levels = UInt8[np.ndarray, "_ _ 3"]
Mask = Bool[np.ndarray, "_ _"]
Colors = UInt8[np.ndarray, "_ 3"]
Palette = dict[str, tuple[float, ...]]

DEEP_PHOTO: Palette = {
    "blue": (0.0, 0.0, 255.0),
    "green": (0.0, 255.0, 0.0),
    "black": (0.0, 0.0, 0.0),
    "white": (255.0, 255.0, 255.0),
    "red": (255.0, 0.0, 0.0),
    "yellow": (255.0, 255.0, 0.0),
    "grey": (127.5, 127.5, 127.5),
    "lightblue": (0.0, 255.0, 255.0),
    "purple": (255.0, 0.0, 255.0),
}
NEAR = 25.5
"""Difference in a channel from which on a pixel is not of a color: a tenth of 255 levels."""

FEW = 32
"""Up to this number of colors, each is a class; more come from soft edges or JPEG."""

STRAY = 1e-4
"""Fraction of a picture below which a color is noise, if there are more than `FEW` colors."""

SMOOTH = 8
"""Maximum range of 3x3 pixels of one color, which allows for JPEG artifacts."""

MOST = 0.9
"""Fraction of each picture that Deep Photo's colors must cover to be used as the classes."""


def palette_of(pictures: Sequence[Levels], visible: Sequence[Mask]) -> tuple[Palette, bool]:
    """Determine the colors that are the classes of segmentations.

    Args:
      pictures: The segmentations.
      visible: The pixels of each segmentation to consider.

    Returns:
      The classes, as a dictionary from name to color, and whether they are exact. Exact classes are
      all colors that occur, even in a single pixel. If there are more than `FEW` colors, or if the
      colors that fill an area are Deep Photo's but others are not, the classes are the colors that
      fill an area. They have Deep Photo's names if all match, and else names like "#rrggbb".
    """
    both = list(zip(pictures, visible, strict=True))
    seen = [distinct(picture[where]) for picture, where in both]
    present, _ = distinct(np.concatenate([colors for colors, _ in seen]))
    exact = len(present) <= FEW
    if exact and _named(present).min(initial=0) >= 0:
        return _deep_photo(present), True
    solid = _merged(np.concatenate([_solid(picture, where) for picture, where in both]))
    shares = [counts[_named(colors) >= 0].sum() / max(1, counts.sum()) for colors, counts in seen]
    if len(solid) and _named(solid).min() >= 0 and min(shares) >= MOST:
        return _deep_photo(solid), False
    colors = (present if exact else solid).tolist()
    return {"#{:02x}{:02x}{:02x}".format(*c): tuple(map(float, c)) for c in colors}, exact


def classified(picture: Levels, palette: Palette) -> Int[np.ndarray, "_ _"]:
    """Return the index of the class of each pixel, the nearest in color; -1 for none."""
    colors, _ = distinct(picture)
    table = np.zeros(1 << 24, np.int8)  # indexed by color: faster than per pixel
    table[_codes(colors)] = _nearest(colors, np.array(list(palette.values())))
    return table[_codes(picture)].reshape(picture.shape[:2])


def distinct(
    colors: UInt8[np.ndarray, "*pixels 3"],
) -> tuple[Colors, Int[np.ndarray, " _"]]:
    """Return the distinct colors and their numbers of pixels, the most frequent first."""
    codes, counts = np.unique(_codes(colors), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return _colors(codes[order]), counts[order]


def _codes(colors: UInt8[np.ndarray, "*pixels 3"]) -> np.ndarray:
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return (red << 16 | green << 8 | blue).reshape(-1)


def _colors(codes: np.ndarray) -> Colors:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)


def _nearest(colors: Colors, classes: Float64[np.ndarray, "k 3"]) -> Int[np.ndarray, " _"]:
    """Return the index of the nearest class within `NEAR` in every channel, or -1."""
    best = np.full(len(colors), NEAR)
    index = np.full(len(colors), -1)
    for i, color in enumerate(classes):
        distance = np.abs(colors - color).max(axis=-1)
        index[distance < best] = i
        best = np.minimum(best, distance)
    return index


def _named(colors: Colors) -> Int[np.ndarray, " _"]:
    return _nearest(colors, np.array(list(DEEP_PHOTO.values())))


def _deep_photo(colors: Colors) -> Palette:
    found = set(_named(colors).tolist())
    return {name: color for i, (name, color) in enumerate(DEEP_PHOTO.items()) if i in found}


def _solid(picture: Levels, visible: Mask) -> Colors:
    """Return the colors that fill an area: frequent ones away from edges."""
    colors, counts = distinct(picture[_smooth(picture) & visible])
    return _merged(colors, counts, least=STRAY * visible.size)


def _merged(colors: Colors, counts: np.ndarray | None = None, least: float = 1.0) -> Colors:
    """Merge similar colors into the most frequent one, and drop those of few pixels.

    Args:
      colors: Distinct colors.
      counts: The number of pixels of each color; one each if None.
      least: The minimum number of pixels of a merged color.
    """
    left = np.ones(len(colors), int) if counts is None else counts.copy()
    found = []
    while left.any():
        color = colors[left.argmax()]
        alike = _nearest(colors, color[None].astype(np.float64)) >= 0
        if left[alike].sum() >= least:
            found.append(color)
        left[alike] = 0
    return np.array(found, np.uint8).reshape(-1, 3)


def _smooth(picture: Levels) -> Mask:
    """Return a mask of the pixels whose 3x3 neighborhood has about one color."""
    low = high = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    low = np.minimum(np.minimum(low[:-2], low[1:-1]), low[2:])
    low = np.minimum(np.minimum(low[:, :-2], low[:, 1:-1]), low[:, 2:])
    high = np.maximum(np.maximum(high[:-2], high[1:-1]), high[2:])
    high = np.maximum(np.maximum(high[:, :-2], high[:, 1:-1]), high[:, 2:])
    return (high - low).max(axis=-1) <= SMOOTH
