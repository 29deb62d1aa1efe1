"""Labeled grids of images, as in papers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

Image = Float[np.ndarray, "_ _ 3"]

INK = "#333333"
GRAY = "#dddddd"


@dataclass(frozen=True)
class Layout:
    """The layout of a grid; all lengths are in pixels.

    Attributes:
      height: Height of the whole image.
      width: Width of the whole image.
      tops: Top edge of the cells of each row.
      lefts: Left edge of the cells of each column.
      font: Font of the labels.
      rows: Label of each row, as lines of text.
      columns: Label of each column, as lines of text.
    """

    height: int
    width: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    font: ImageFont.FreeTypeFont
    rows: tuple[list[str], ...]
    columns: tuple[list[str], ...]


def layout(
    size: tuple[int, int], row_labels: Sequence[str], column_labels: Sequence[str]
) -> Layout:
    """Compute the layout of a grid.

    The font size grows with the cells, from a readable minimum. Long labels are wrapped. Rows and
    columns are larger than their cells only where the labels need it.

    Args:
      size: Height and width of a cell in pixels.
      row_labels: One label per row.
      column_labels: One label per column.
    """
    height, width = size
    font = _font(max(13, round(math.sqrt(height * width) / 18)))
    em, gap = round(font.size), max(3, round(math.sqrt(height * width) / 64))
    rows = tuple(wrapped(label, font, max(3 * width // 4, 7 * em)) for label in row_labels)
    columns = _above(column_labels, font, max(width - em, 7 * em))
    across = max(width, _widest(columns, font) + em if any(columns) else 0)
    down = max(height, _line(font) * max(map(len, rows)))
    left = em + (_widest(rows, font) + round(0.6 * em) if any(rows) else 0)
    above = max(map(len, columns))
    top = em + (_capital(font) + (above - 1) * _line(font) + round(0.6 * em) if above else 0)
    tops = tuple(top + i * (down + gap) + (down - height) // 2 for i in range(len(rows)))
    lefts = tuple(left + i * (across + gap) + (across - width) // 2 for i in range(len(columns)))
    bottom, right = (
        start + count * (pitch + gap) - gap + em
        for start, count, pitch in ((top, len(rows), down), (left, len(columns), across))
    )
    return Layout(bottom, right, tops, lefts, font, rows, columns)


def grid(
    images: Sequence[Image | str],
    size: tuple[int, int],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
) -> Float[np.ndarray, "h w 3"]:
    """Draw images as a grid, with labels to the left and above.

    Args:
      images: The cells, row by row. A string stands for a missing image and is drawn in its cell.
      size: Height and width of each image in pixels.
      row_labels: One label per row.
      column_labels: One label per column.
    """
    places = layout(size, row_labels, column_labels)
    (height, width), font = size, places.font
    sheet = PillowImage.new("RGB", (places.width, places.height), "white")
    draw = ImageDraw.Draw(sheet)
    margin = places.lefts[0] - round(0.6 * font.size)
    for lines, top in zip(places.rows, places.tops, strict=True):
        _write(draw, lines, (margin, top + _centered(lines, height, font)), "rs", font)
    for lines, left in zip(places.columns, places.lefts, strict=True):
        baseline = places.tops[0] - round(0.6 * font.size) - (len(lines) - 1) * _line(font)
        _write(draw, lines, (left + width // 2, baseline), "ms", font)
    corners = [(top, left) for top in places.tops for left in places.lefts]
    for image, (top, left) in zip(images, corners, strict=True):
        if isinstance(image, str):
            draw.rectangle((left, top, left + width - 1, top + height - 1), fill=GRAY)
            lines = fitting(image, font, size)
            middle = left + width // 2, top + _centered(lines, height, font)
            _write(draw, lines, middle, "ms", font)
    pixels = np.asarray(sheet, np.float32) / 255
    for image, (top, left) in zip(images, corners, strict=True):
        if not isinstance(image, str):
            pixels[top : top + height, left : left + width] = image
    return pixels


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Wrap text into lines of at most this width in pixels; longer words are truncated."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(_cut(word, font, width))
    return lines


def _above(
    labels: Sequence[str], font: ImageFont.FreeTypeFont, width: int
) -> tuple[list[str], ...]:
    """Wrap column labels; if any is too wide for a line, all get their last word on a new line."""
    if any(font.getlength(label) > width for label in labels):
        width = min(width, _widest([[label.rpartition(" ")[0] for label in labels]], font))
    return tuple(wrapped(label, font, width) for label in labels)


def fitting(text: str, font: ImageFont.FreeTypeFont, size: tuple[int, int]) -> list[str]:
    """Wrap text into the lines that fit into a cell, truncating the rest."""
    height, width = (side - round(font.size) for side in size)
    lines, room = wrapped(text, font, width), max(1, height // _line(font))
    if len(lines) <= room:
        return lines
    return [*lines[: room - 1], _cut(f"{lines[room - 1]} …", font, width)]


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    shorter = [text[:end] + "…" for end in range(len(text) - 1, 0, -1)]
    return next((one for one in shorter if font.getlength(one) <= width), "…")


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # always, if a size is given
    return font


def _widest(labels: Sequence[Sequence[str]], font: ImageFont.FreeTypeFont) -> int:
    return math.ceil(max((font.getlength(line) for lines in labels for line in lines), default=0))


def _capital(font: ImageFont.FreeTypeFont) -> int:
    """Return the height of a capital letter."""
    _, top, _, bottom = font.getbbox("H")
    return round(bottom - top)


def _line(font: ImageFont.FreeTypeFont) -> int:
    """Return the distance between baselines."""
    return round(1.3 * font.size)


def _centered(lines: Sequence[str], height: int, font: ImageFont.FreeTypeFont) -> int:
    """Return the first baseline of lines centered in this height."""
    return round((height + _capital(font) - (len(lines) - 1) * _line(font)) / 2)


def _write(
    draw: ImageDraw.ImageDraw,
    lines: Sequence[str],
    at: tuple[int, int],
    anchor: str,
    font: ImageFont.FreeTypeFont,
) -> None:
    """Draw lines of text; ``at`` is on the baseline of the first."""
    for index, line in enumerate(lines):
        place = at[0], at[1] + index * _line(font)
        draw.text(place, line, fill=INK, font=font, anchor=anchor)
