"""Masks from what was painted on a picture: each color of the brush is a region."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from jaxstyle import images

BRUSHES = ("#2f6fb0", "#d9822b", "#3f9a56", "#c23b6b", "#7a55b8")
"""Colors of the brush: blue, orange, green, pink, violet. What is not painted is a region too."""

OPACITY = 0.7
"""Opacity of the brush, so that the picture is seen through it."""

PAINTED = 64
"""Alpha, of 255, from which a pixel is painted: the rims of strokes fade out."""

MOST_SIDE = 2048
"""Longest side of a mask in pixels."""

CANVAS = 720
"""Longest side of a picture to paint on, in pixels."""


def painted(editor: Mapping[str, Any] | None) -> PillowImage.Image | None:
    """Return what was painted in an editor, RGBA; None if nothing was."""
    layers = (editor or {}).get("layers") or []
    whole = None
    for layer in layers:
        image = layer.convert("RGBA")
        whole = image if whole is None else PillowImage.alpha_composite(whole, image)
    if whole is None or not np.asarray(whole)[..., 3].any():
        return None
    return whole


def write_mask(paint: PillowImage.Image | None, picture: Path, mask: Path) -> None:
    """Write the mask of a picture: the nearest color of the brush, black where there is none.

    Args:
      paint: what was painted; None for nothing.
      picture: the picture it was painted on.
      mask: the file to write, a PNG.
    """
    height, width = images.read_sides(picture)
    share = min(1.0, MOST_SIDE / max(height, width))
    sides = max(1, round(width * share)), max(1, round(height * share))
    labels = np.zeros((sides[1], sides[0]), np.uint8)
    if paint is not None:
        pixels = np.asarray(paint.resize(sides, PillowImage.Resampling.NEAREST), np.int32)
        away = ((pixels[..., None, :3] - palette()) ** 2).sum(axis=-1)
        labels = np.where(pixels[..., 3] >= PAINTED, 1 + away.argmin(axis=-1), 0).astype(np.uint8)
    colors = np.concatenate([np.zeros((1, 3), np.uint8), palette().astype(np.uint8)])
    PillowImage.fromarray(colors[labels]).save(mask, "PNG")


def palette() -> np.ndarray:
    """Return the colors of the brush as rows of red, green and blue from 0 to 255."""
    return np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in BRUSHES], np.int32)


def canvas(picture: Path) -> PillowImage.Image:
    """Return a picture to paint on: upright, in sRGB, over white, and not too large."""
    shown = images.read(picture).over_white()
    height, width = shown.shape[:2]
    share = min(1.0, CANVAS / max(height, width))
    if share < 1:
        shown = images.resize(shown, max(1, round(height * share)), max(1, round(width * share)))
    return PillowImage.fromarray(images.to_levels(shown))
