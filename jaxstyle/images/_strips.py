"""Large pictures a few rows at a time, so that what is made on the way is never large itself."""

from collections.abc import Iterator

from PIL import Image

STRIP_PIXELS = 2**20
"""Of a strip, unless one row has more."""


def strips(height: int, width: int) -> Iterator[slice]:
    """The rows of one strip after the other, from the top.

    >>> list(strips(3, STRIP_PIXELS // 2))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    rows = max(1, STRIP_PIXELS // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def cut(image: Image.Image, rows: slice) -> Image.Image:
    """The rows of an image that are a strip."""
    return image.crop((0, rows.start, image.width, rows.stop))
