"""A 16-bit PNG writer: Pillow has none for color. PNG specification, third edition (W3C, 2025)."""

import struct
import zlib

import numpy as np
from jaxtyping import UInt16

_UP = 2  # the filter that stores each byte as its difference from the byte above


def encode_png16(
    levels: UInt16[np.ndarray, "height width channels"], icc_profile: bytes, exif: bytes
) -> bytes:
    """The bytes of a 16-bit PNG file with 3 (RGB) or 4 (RGBA) channels.

    `exif` is bare TIFF data, without the "Exif" marker that JPEG puts before it.
    """
    height, width, channels = levels.shape
    color_type = {3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    # Big-endian rows of bytes, each behind the number of its filter; uint8 arithmetic wraps.
    rows = np.ascontiguousarray(levels, dtype=">u2").reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc_profile)),
            _chunk(b"eXIf", exif),
            _chunk(b"IDAT", zlib.compress(filtered.tobytes())),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
