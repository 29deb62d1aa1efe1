"""A figure of the regions of content and styles, to be checked before a long run."""

import colorsys
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from jaxstyle import images
from jaxstyle.guidance.masks import Regions
from jaxstyle.images.grid import INK

Image = Float32[np.ndarray, "_ _ _"]
Masks = Float32[np.ndarray, "k _ _"]
Color = tuple[float, float, float]

HEIGHT = 400
WIDEST = 1600
"""Height and maximum width of the pictures in pixels; wide ones reduce the height of all."""

GAP, LETTERS, LINE, SWATCH, INDENT = 12, 16, 26, 15, 7
HUES = (0.58, 0.08, 0.36, 0.93, 0.76, 0.15, 0.49, 0.0)
"""Blue, orange, green, pink, violet, yellow, turquoise, red."""

TINT = 0.6
"""Opacity of a region's color where its mask is one, over the picture in gray."""

LUMA = np.array((0.299, 0.587, 0.114), np.float32)


class Entry(NamedTuple):
    """An entry of the legend.

    Attributes:
      left: Left edge in pixels.
      top: Top edge in pixels.
      text: The text.
      color: The color of the region, RGB in [0, 1].
    """

    left: int
    top: int
    text: str
    color: Color

    @property
    def right(self) -> int:
        """Right edge in pixels."""
        return self.left + SWATCH + INDENT + math.ceil(_font().getlength(self.text))


def of_regions(regions: Regions, content: Image, styles: Sequence[Image]) -> Image:
    """Draw content and style pictures side by side, and below each its regions in colors.

    The legend gives the fraction of the content that each region covers.
    """
    pictures = [picture[..., :3] for picture in (content, *styles)]
    planes = [regions.content, *regions.styles]
    height = min(HEIGHT, *(max(1, WIDEST * p.shape[0] // p.shape[1]) for p in pictures))
    shown = [_at_height(picture, height) for picture in pictures]
    marked = [tinted(picture, masks) for picture, masks in zip(shown, planes, strict=True)]
    lefts = np.cumsum([GAP, *(picture.shape[1] + GAP for picture in shown)]).tolist()
    tops = GAP + LINE, 2 * GAP + LINE + height
    legend = _legend(regions, tops[1] + height + GAP, lefts[-1])
    width = max(lefts[-1], *(entry.right + GAP for entry in legend))
    sheet = PillowImage.new("RGB", (width, legend[-1].top + LINE + GAP // 2), "white")
    draw, font = ImageDraw.Draw(sheet), _font()
    for label, left in zip(_labels(len(styles)), lefts, strict=False):
        draw.text((left, GAP + LINE // 2), label, fill=INK, font=font, anchor="lm")
    for left, top, text, color in legend:
        middle, fill = top + LINE // 2, tuple(round(255 * c) for c in color)
        box = left, middle - SWATCH // 2, left + SWATCH, middle + SWATCH // 2
        draw.rectangle(box, fill=fill)
        draw.text((left + SWATCH + INDENT, middle), text, fill=INK, font=font, anchor="lm")
    pixels = np.asarray(sheet, np.float32) / 255
    for row, top in zip((shown, marked), tops, strict=True):
        for picture, left in zip(row, lefts, strict=False):
            pixels[top : top + height, left : left + picture.shape[1]] = picture
    return pixels


def tinted(picture: Image, masks: Masks) -> Image:
    """Return the picture in gray, with each region tinted in its color as strongly as its mask."""
    height, width = picture.shape[:2]
    planes = np.stack([images.resize(mask, height, width, "bilinear") for mask in masks], axis=-1)
    # Overlapping masks are normalized, so that opacities sum to at most TINT.
    shares = TINT * planes / np.maximum(1, planes.sum(-1, keepdims=True))
    paints = np.array([paint(k) for k in range(len(masks))], np.float32)
    gray = (picture @ LUMA)[..., None]
    return shares @ paints + (1 - shares.sum(-1, keepdims=True)) * gray


def paint(region: int) -> Color:
    """Return the color of a region: the hues in order, then darker ones, then lighter ones."""
    cycle, hue = divmod(region, len(HUES))
    saturation, value = ((0.75, 0.9), (0.9, 0.55), (0.35, 1.0))[cycle % 3]
    return colorsys.hsv_to_rgb(HUES[hue], saturation, value)


def _at_height(picture: Image, height: int) -> Image:
    width = max(1, round(height * picture.shape[1] / picture.shape[0]))
    return images.resize(picture, height, width)


def _labels(styles: int) -> list[str]:
    return ["content", *(["style"] if styles == 1 else [f"style {i + 1}" for i in range(styles)])]


def _legend(regions: Regions, top: int, width: int) -> list[Entry]:
    """Arrange the entries in lines of this width; a single longer entry may exceed it."""
    entries, left = [], GAP
    for k, (name, mask) in enumerate(zip(regions.names, regions.content, strict=True)):
        entry = Entry(left, top, f"{name}: {_percent(float(mask.mean()))}", paint(k))
        if left > GAP and entry.right > width - GAP:
            top += LINE
            entry = entry._replace(left=GAP, top=top)
        entries.append(entry)
        left = entry.right + 2 * GAP
    return entries


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "under 1%"


def _font() -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(LETTERS)
    assert isinstance(font, ImageFont.FreeTypeFont)  # always, if a size is given
    return font
