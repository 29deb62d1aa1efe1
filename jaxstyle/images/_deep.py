"""16 bits a channel, of which Pillow knows gray alone."""

import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import UInt16
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin

from jaxstyle.errors import ImageError
from jaxstyle.images._icc import to_srgb
from jaxstyle.images._strips import cut, strips
from jaxstyle.images._types import FORMATS_READ

Strip = tuple[slice, np.ndarray, np.ndarray | None]
"""Which rows, the levels of their color in 1 or 3 channels, and of their alpha, if there is any."""


def low_bytes(image: ImageFile.ImageFile, file: BinaryIO, name: str) -> Image.Image | None:
    """The low bytes of 16-bit RGB or RGBA, of which Pillow keeps the high ones only.

    Pillow unpacks "RGB;16B" by taking the first byte of each pair and "RGB;16L" by taking the
    second, so decoding once more with the opposite byte order gives the other half.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode in ("RGB", "RGBA", "CMYK"):
        tags = image.tag_v2
        if tags.get(ExifTags.Base.PlanarConfiguration) == 2 and max(_bits_per_sample(tags)) > 8:
            raise ImageError(  # Pillow would misread it without a word
                f"{name}: a 16-bit TIFF with separate color planes; save it interleaved"
            )
    tiles = [tile._replace(args=_other_byte_order(tile.args)) for tile in image.tile]
    if not tiles or any(tile.args is None for tile in tiles):
        return None
    image.load()  # done with the file before it is read a second time
    with Image.open(file, formats=FORMATS_READ) as again:
        again.tile = tiles
        again.load()
        return again


def _bits_per_sample(tags: Any) -> tuple[int, ...]:
    return tags.get(ExifTags.Base.BitsPerSample) or (1,)


def _other_byte_order(args: Any) -> Any:
    """A decoder's arguments with the other byte order; None unless they tell of 16-bit color."""
    rawmode, *rest = (args,) if isinstance(args, str) else args or ("",)
    color, order = str(rawmode)[:-1], str(rawmode)[-1:]
    if color not in ("RGB;16", "RGBX;16", "RGBA;16"):
        return None
    little = order == "L" or (order == "N" and sys.byteorder == "little")
    swapped = color + ("B" if little else "L")
    return swapped if isinstance(args, str) else (swapped, *rest)


def deep_strips(image: Image.Image, low: Image.Image | None, name: str) -> Iterator[Strip]:
    """A 16-bit image, gray or with its `low` bytes, in sRGB: in 8 bits where a profile says so."""
    gray, transparent = low is None, image.info.get("transparency")
    convert = to_srgb(image.info.get("icc_profile"), "L" if gray else "RGB", name)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    inverted = gray and tags.get(262) == 0  # "white is zero", which Pillow heeds in 8 bits only
    for rows in strips(image.height, image.width):
        levels = _levels(cut(image, rows), low and cut(low, rows), name)
        color, opacity = (65535 - levels if inverted else levels)[..., :3], None
        if levels.shape[2] == 4:
            opacity = levels[..., 3]
        elif transparent is not None:  # the one color that is
            opacity = np.uint16(65535) * np.any(color != np.asarray(transparent), axis=-1)
        if convert:
            shallow = np.rint(color * np.float32(255 / 65535)).astype(np.uint8)
            three = np.broadcast_to(shallow, (*shallow.shape[:2], 3))
            color = np.asarray(convert(Image.fromarray(np.ascontiguousarray(three))))
        yield rows, color, opacity


def _levels(
    high: Image.Image, low: Image.Image | None, name: str
) -> UInt16[np.ndarray, "height width channels"]:
    """The levels of a 16-bit strip: of color its high bytes and its low ones."""
    if low is not None:
        return (np.asarray(high).astype(np.uint16) << 8) | np.asarray(low)
    levels = np.asarray(high)
    if levels.min() < 0 or levels.max() > 65535:
        raise ImageError(f"{name}: a picture of 32-bit integers; save it with 8 or 16 bits")
    return levels.astype(np.uint16)[..., None]
