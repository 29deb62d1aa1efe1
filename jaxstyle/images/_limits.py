"""Limits of what a picture may ask for, checked before it is decoded.

A header of a few bytes can claim any number of pixels. These checks compare the claim with the size
of the file and with the memory there is.
"""

import re

from PIL import ExifTags, Image, ImageFile

from jaxstyle.errors import ImageError
from jaxstyle.images._strips import STRIP_PIXELS
from jaxstyle.machine import resources
from jaxstyle.machine.files import BinaryFile

SMALL = 500_000_000
"""Bytes of memory that any file may ask for."""

MEMORY_PER_BYTE = 7000
"""Bytes of memory that larger pictures may ask for, by each byte of the file. Where a photo or a
drawing of that size needs so much, it has hardly any content."""

MOST_SCANS, USUAL_SCANS, SCANNED = 100, 20, 2**30
"""Maximum number of scans of a JPEG, each of which goes through the whole picture: that of small
pictures, that of any, and the pixels of all scans together in between. Encoders use up to 14."""

LONGEST = 2**20
"""Pixels of the longest side. What takes time by the row would take too much beyond."""

_RESULT = 12
"""Bytes a pixel of the picture that is returned: three floats. Its alpha takes 4 more."""

_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes a pixel of Pillow's modes; 4 for the others."""

_DECODER = {"WEBP": 10, "AVIF": 6, "HEIF": 10}
"""Bytes a pixel of decoders that hold the picture, too, until the file is closed."""

_STRIP = 40
"""Bytes a pixel of the strip that is converted at a time."""

_DENSEST = {
    "JPEG": 512,  # a bit for each block of 64 pixels
    "MPO": 512,
    "PNG": 8256,  # Deflate writes at most 258 bytes with 2 bits, and a pixel takes at least 1 bit
    "GIF": 4096,  # a code of 9 bits or more stands for at most 4096 pixels
}
"""Maximum number of pixels that a byte of a file can stand for, by format."""

_RUN_LENGTH_BMP = 128
"""The same for a run-length BMP: two bytes for 255 pixels. Rows may be left out, however."""

_BLANK_BMP = 2**22
"""Pixels up to which a run-length BMP may be blank."""


def check_claim(image: ImageFile.ImageFile, file: BinaryFile, name: str) -> None:
    """Check that a file can hold the picture its header claims, and can be decoded in time.

    Args:
      image: The picture, opened but not decoded.
      file: The file.
      name: Its name in messages.

    Raises:
      ImageError: It cannot, or takes too much time or memory for its size.
    """
    size, pixels = file.seek(0, 2), image.width * image.height
    if pixels > _most_pixels(image, size):
        raise ImageError(
            f"{name}: damaged: {size} bytes cannot hold {image.width}x{image.height} pixels"
        )
    if max(image.size) > LONGEST:
        raise ImageError(f"{name}: its side of {max(image.size)} pixels is too long: crop it first")
    needed = decoding_bytes(image)
    if needed > max(SMALL, size * MEMORY_PER_BYTE):
        raise ImageError(
            f"{name}: {size} bytes that need {in_words(needed)} of memory as pixels "
            f"({image.width}x{image.height}) are not read: downscale it first"
        )
    if image.format in ("JPEG", "MPO"):
        most = max(USUAL_SCANS, min(MOST_SCANS, SCANNED // max(1, pixels)))
        if _has_more_scans(file, most):
            raise ImageError(f"{name}: has more than {most} scans: save it again as a plain JPEG")


def check_memory(image: Image.Image, name: str, free: int | None = None) -> None:
    """Check that there is memory enough to decode a picture.

    Args:
      image: The picture.
      name: Its name in messages.
      free: Bytes of memory that are free; None to find out, which takes a millisecond.

    Raises:
      ImageError: There is not.
    """
    needed, free = decoding_bytes(image), resources.free_memory() if free is None else free
    if free is not None and needed > free:
        raise ImageError(
            f"{name}: needs {in_words(needed)} of memory to be read "
            f"({image.width}x{image.height} pixels), and {in_words(free)} are free: "
            "downscale it first"
        )


def decoding_bytes(image: Image.Image) -> int:
    """Return the bytes of memory that reading a picture takes at most, with the result."""
    pixels, stored = image.width * image.height, _STORED.get(image.mode, 4)
    deep = stored if _is_deep(image) else 0  # its low bytes are another image
    alpha = 4 if image.has_transparency_data else 0
    each = stored + deep + _DECODER.get(image.format or "", 0) + _RESULT + alpha
    return pixels * each + min(pixels, STRIP_PIXELS) * _STRIP


def in_words(count: int) -> str:
    """Return a number of bytes in words: ``1.3 GB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _is_deep(image: Image.Image) -> bool:
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _most_pixels(image: ImageFile.ImageFile, size: int) -> float:
    """Return the number of pixels that a file of this many bytes can hold."""
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        bits = max(1, min(tags.get(ExifTags.Base.BitsPerSample) or (1,)))  # a pixel takes at least
        compression = str(image.info.get("compression"))
        bytes_each = {"raw": 1, "packbits": 64, "tiff_adobe_deflate": 1032, "tiff_deflate": 1032}
        return size * 8 // bits * bytes_each.get(compression, float("inf"))
    if image.format == "BMP" and any(tile[0] == "bmp_rle" for tile in image.tile):
        return max(_BLANK_BMP, size * _RUN_LENGTH_BMP)
    return size * _DENSEST.get(image.format or "", float("inf"))


# --- scans of a JPEG ------------------------------------------------------------------------------

_MARKER = re.compile(rb"\xff+([^\0\1\xff\xd0-\xd7])")  # not those without a segment
_START_OF_SCAN, _END, _START = 0xDA, 0xD9, 0xD8


def _has_more_scans(file: BinaryFile, most: int) -> bool:
    """Return whether a JPEG has more than so many scans."""
    file.seek(0)
    data, place, scans = file.read(), 0, 0
    if data.count(b"\xff\xda") <= most:  # true of almost every picture, and fast
        return False
    while scans <= most:
        found = _MARKER.search(data, place)
        if not found or found[1][0] == _END:
            return False
        place = found.end()
        if found[1][0] != _START:
            scans += found[1][0] == _START_OF_SCAN
            place += int.from_bytes(data[place : place + 2], "big")
    return True
