"""A streaming PNG writer for 8 or 16 bits per channel.

Pillow cannot write 16-bit color, and needs the whole image in memory. The format follows the PNG
specification, third edition (W3C, 2025).
"""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8, UInt16

_UP = 2  # PNG filter type Up: each byte minus the byte above it

Levels = UInt8[np.ndarray, "rows width channels"] | UInt16[np.ndarray, "rows width channels"]


def write_png(
    file: BinaryIO | io.BytesIO,
    strips: Iterable[Levels],
    shape: tuple[int, int, int],
    *,
    bits: int,
    icc_profile: bytes,
    exif: bytes,
) -> None:
    """Write a PNG file with 3 (RGB) or 4 (RGBA) channels, one data chunk per strip.

    Args:
      file: A file open for writing.
      strips: The rows of the image, from top to bottom.
      shape: Height, width and channels of the whole image.
      bits: 8 or 16, matching the type of the strips.
      icc_profile: The ICC profile to embed.
      exif: The EXIF data, without the "Exif" marker that precedes it in JPEG.
    """
    height, width, channels = shape
    color_type = {3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", header)
    _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc_profile))
    _chunk(file, b"eXIf", exif)
    stream = zlib.compressobj()
    above, row = np.zeros(width * channels * bits // 8, np.uint8), 0
    for strip in strips:
        # Big-endian bytes, each row preceded by its filter type; uint8 subtraction wraps as needed.
        rows = np.ascontiguousarray(strip, f">u{bits // 8}").reshape(len(strip), -1).view(np.uint8)
        filtered = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
        filtered[:, 0] = _UP
        np.subtract(rows[0], above, out=filtered[0, 1:])
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
        above, row = rows[-1], row + len(rows)
        data = stream.compress(filtered.data)
        data = data if row < height else data + stream.flush()
        if data:
            _chunk(file, b"IDAT", data)
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO | io.BytesIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
