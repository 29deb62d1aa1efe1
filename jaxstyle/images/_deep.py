"""Decoding of images with 16 bits per channel, which Pillow supports for gray images only."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt16
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin

from jaxstyle.errors import ImageError
from jaxstyle.images._color_space import Convert
from jaxstyle.images._quiet import load
from jaxstyle.images._strips import cut, strips
from jaxstyle.images._types import FORMATS_READ
from jaxstyle.machine.files import BinaryFile

Strip = tuple[slice, np.ndarray, np.ndarray | None]
"""The rows of a strip, their color in 1 or 3 channels (levels or floats), their alpha or None."""


def is_deep(image: Image.Image, low: Image.Image | None) -> bool:
    """Return whether the levels of an image have 16 bits."""
    return low is not None or image.mode == "I" or image.mode.startswith("I;16")


def low_bytes(image: ImageFile.ImageFile, file: BinaryFile, name: str) -> Image.Image | None:
    """Return the low bytes of 16-bit RGB or RGBA, or None for other images.

    Pillow keeps only the high byte: the first of each pair in "RGB;16B", the second in "RGB;16L".
    Decoding once more with the opposite byte order gives the low byte.

    Raises:
      ImageError: The image is a 16-bit TIFF with separate color planes.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode in ("RGB", "RGBA", "CMYK"):
        tags = image.tag_v2
        if tags.get(ExifTags.Base.PlanarConfiguration) == 2 and max(_bits_per_sample(tags)) > 8:
            raise ImageError(  # Pillow would silently misread it
                f"{name}: 16-bit TIFF with separate color planes is not supported; "
                "save it interleaved"
            )
    # As straight alpha: Pillow would divide by alpha in 8 bits. `deep_strips` does so in 16.
    image.tile = [tile._replace(args=_straight(tile.args)) for tile in image.tile]
    tiles = [tile._replace(args=_other_byte_order(tile.args)) for tile in image.tile]
    if not tiles or any(tile.args is None for tile in tiles):
        return None
    load(image)  # must finish before the file is read again
    with Image.open(file, formats=FORMATS_READ) as again:
        again.tile = tiles
        load(again)
        return again


def _bits_per_sample(tags: Any) -> tuple[int, ...]:
    return tags.get(ExifTags.Base.BitsPerSample) or (1,)


def _straight(args: Any) -> Any:
    """Return decoder arguments with 16-bit premultiplied color read as it is stored."""
    rawmode, *rest = (args,) if isinstance(args, str) else args or ("",)
    if not str(rawmode).startswith("RGBa;16"):
        return args
    plain = str(rawmode).replace("RGBa", "RGBA")
    return plain if isinstance(args, str) else (plain, *rest)


def _other_byte_order(args: Any) -> Any:
    """Return decoder arguments with the byte order swapped, or None if not of 16-bit color."""
    rawmode, *rest = (args,) if isinstance(args, str) else args or ("",)
    color, order = str(rawmode)[:-1], str(rawmode)[-1:]
    if color not in ("RGB;16", "RGBX;16", "RGBA;16"):
        return None
    little = order == "L" or (order == "N" and sys.byteorder == "little")
    swapped = color + ("B" if little else "L")
    return swapped if isinstance(args, str) else (swapped, *rest)


def deep_strips(
    image: Image.Image, low: Image.Image | None, convert: Convert | None, name: str
) -> Iterator[Strip]:
    """Yield the strips of a 16-bit image, converted to sRGB.

    Args:
      image: A gray image of 16 bits, or the high bytes of a color image.
      low: The low bytes of a color image; None for a gray one.
      convert: The conversion to sRGB, if one is needed.
      name: The name of the image in messages.

    Raises:
      ImageError: A gray image has values of more than 16 bits.
    """
    gray, transparent = low is None, image.info.get("transparency")
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    # PhotometricInterpretation is WhiteIsZero, which Pillow handles in 8 bits only.
    inverted = gray and tags.get(262) == 0
    twelve = gray and _bits_per_sample(tags) == (12,)
    premultiplied = tags.get(ExifTags.Base.ExtraSamples) == (1,)
    for rows in strips(image.height, image.width):
        levels = _levels(cut(image, rows), low and cut(low, rows), name)
        levels = levels << 4 | levels >> 8 if twelve else levels
        color, opacity = (65535 - levels if inverted else levels)[..., :3], None
        if levels.shape[2] == 4:
            opacity = levels[..., 3]
            color = _divided(color, opacity) if premultiplied else color
        elif transparent is not None:  # a single color marked as transparent
            opacity = np.uint16(65535) * np.any(color != np.asarray(transparent), axis=-1)
        yield rows, convert(color) if convert else color, opacity


def _divided(
    color: UInt16[np.ndarray, "h w 3"], alpha: UInt16[np.ndarray, "h w"]
) -> UInt16[np.ndarray, "h w 3"]:
    """Divide premultiplied color by alpha; without alpha there is none."""
    straight = color * np.float64(65535) / np.maximum(alpha, 1)[..., None]
    return np.rint(straight).clip(0, 65535).astype(np.uint16)


def _levels(
    high: Image.Image, low: Image.Image | None, name: str
) -> UInt16[np.ndarray, "height width channels"]:
    """Return the 16-bit levels of a strip, combining high and low bytes of color."""
    if low is not None:
        return (np.asarray(high).astype(np.uint16) << 8) | np.asarray(low)
    levels = np.asarray(high)
    if levels.min() < 0 or levels.max() > 65535:
        raise ImageError(
            f"{name}: 32-bit integer pixels are not supported; save it with 8 or 16 bits"
        )
    return levels.astype(np.uint16)[..., None]
