"""A PNG writer that takes a picture strip by strip, of 8 or 16 bits a channel.

Pillow's has no 16-bit color, and holds all of a picture. The format is that of the PNG
specification, third edition (W3C, 2025).
"""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8, UInt16

_UP = 2  # the filter that stores each byte as its difference from the byte above

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
    """Write a PNG file with 3 (RGB) or 4 (RGBA) channels, a data chunk for each strip.

    Args:
      strips: the rows of the picture, from the top.
      shape: height, width and channels of all of it.
      bits: 8 or 16, as the levels have.
      exif: bare TIFF data, without the "Exif" marker that JPEG puts before it.
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
        # Big-endian rows of bytes, each behind the number of its filter; uint8 arithmetic wraps.
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
