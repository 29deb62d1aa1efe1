"""Splitting of large images into strips of rows, which keeps intermediate arrays small."""

from collections.abc import Iterator

from PIL import Image

STRIP_PIXELS = 2**20
"""Maximum number of pixels in a strip; a single row may exceed it."""


def strips(height: int, width: int) -> Iterator[slice]:
    """Return the row slices of the strips of an image, from top to bottom.

    >>> list(strips(3, STRIP_PIXELS // 2))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    rows = max(1, STRIP_PIXELS // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def cut(image: Image.Image, rows: slice) -> Image.Image:
    """Return the given rows of an image, at full width."""
    return image.crop((0, rows.start, image.width, rows.stop))
