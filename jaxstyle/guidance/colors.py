"""Segmentations by color: which colors are classes, and which pixels belong to which.

The nine colors are those of Deep Photo Style Transfer (Luan et al., CVPR 2017; ExtractMask of its
published code): a pixel belongs to one if each channel is nearer to it than a tenth of the range,
so that the blended pixels of soft edges belong to none.
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
"""How far from a class's color a channel may not be: a tenth of 255 levels."""

FEW = 32
"""Up to so many colors, all of them are meant; more are the work of soft edges or of JPEG."""

STRAY = 1e-4
"""The share of a picture that nobody painted on purpose, where colors are many."""

SMOOTH = 8
"""By how much 3x3 pixels of one painted color may differ: what JPEG does to it."""

MOST = 0.9
"""The share of each picture that must be of Deep Photo's colors for them to be the classes."""


def palette_of(pictures: Sequence[Levels], visible: Sequence[Mask]) -> tuple[Palette, bool]:
    """The colors that are classes in these segmentations by name, and whether they are exact.

    Exact ones are all that occur, be it in one pixel. Colors are not exact where there are more
    than `FEW`: the classes are then those that fill any area, not only its edge. Either way they
    have Deep Photo's names where these fit, and else are named "#rrggbb".

    Args:
      visible: the pixels of each picture that count.
    """
    both = list(zip(pictures, visible, strict=True))
    seen = [distinct(picture[where]) for picture, where in both]
    present, _ = distinct(np.concatenate([colors for colors, _ in seen]))
    exact = len(present) <= FEW
    if exact and _named(present).min(initial=0) >= 0:
        return _deep_photo(present), True
    solid = _apart(np.concatenate([_solid(picture, where) for picture, where in both]))
    shares = [counts[_named(colors) >= 0].sum() / max(1, counts.sum()) for colors, counts in seen]
    if len(solid) and _named(solid).min() >= 0 and min(shares) >= MOST:
        return _deep_photo(solid), False
    colors = (present if exact else solid).tolist()
    return {"#{:02x}{:02x}{:02x}".format(*c): tuple(map(float, c)) for c in colors}, exact


def classified(picture: Levels, palette: Palette) -> Int[np.ndarray, "_ _"]:
    """The index of the class that each pixel belongs to, the nearest in color; -1 for none."""
    colors, _ = distinct(picture)
    table = np.zeros(1 << 24, np.int8)  # by color: quicker than pixel by pixel
    table[_codes(colors)] = _nearest(colors, np.array(list(palette.values())))
    return table[_codes(picture)].reshape(picture.shape[:2])


def distinct(
    colors: UInt8[np.ndarray, "*pixels 3"],
) -> tuple[Colors, Int[np.ndarray, " _"]]:
    """The different colors there are and how many pixels have each, the most frequent first."""
    codes, counts = np.unique(_codes(colors), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return _colors(codes[order]), counts[order]


def _codes(colors: UInt8[np.ndarray, "*pixels 3"]) -> np.ndarray:
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return (red << 16 | green << 8 | blue).reshape(-1)


def _colors(codes: np.ndarray) -> Colors:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)


def _nearest(colors: Colors, classes: Float64[np.ndarray, "k 3"]) -> Int[np.ndarray, " _"]:
    """Index of the nearest class that is near enough in every channel, -1 where there is none."""
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
    """The colors of areas: what is left of a picture without its edges, in no stray numbers."""
    colors, counts = distinct(picture[_smooth(picture) & visible])
    return _apart(colors, counts, least=STRAY * visible.size)


def _apart(colors: Colors, counts: np.ndarray | None = None, least: float = 1.0) -> Colors:
    """One color in place of all that are near it, the most frequent first; those that stand for
    fewer pixels than ``least`` are left out."""
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
    """Where a pixel and the eight around it are of about the same color."""
    low = high = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    low = np.minimum(np.minimum(low[:-2], low[1:-1]), low[2:])
    low = np.minimum(np.minimum(low[:, :-2], low[:, 1:-1]), low[:, 2:])
    high = np.maximum(np.maximum(high[:-2], high[1:-1]), high[2:])
    high = np.maximum(np.maximum(high[:, :-2], high[:, 1:-1]), high[:, 2:])
    return (high - low).max(axis=-1) <= SMOOTH
