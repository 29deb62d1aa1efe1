"""The chunks of PNG files: those that a reader needs, and a streaming writer.

Pillow cannot write 16-bit color, and needs the whole image in memory. The format follows the PNG
specification, third edition (W3C, 2025).
"""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8, UInt16

from jaxstyle.machine.files import BinaryFile

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL, _PIXELS = (b"IHDR", b"PLTE"), (b"IDAT", b"IEND")
_FIXED = {b"pHYs": 9, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4}
"""The chunks of a fixed length that matter to how pixels are shown."""
_LARGER = (b"iCCP", b"eXIf")
_TEXTS = (b"XML:com.adobe.xmp", b"Raw profile type exif")
"""The texts that may tell the orientation."""
_LONGEST_TEXT, _LONGEST_COMPRESSED_TEXT = 2**20, 2**13

LARGEST_PROFILE = 2**24
"""Maximum bytes of an ICC profile."""

_UP = 2  # PNG filter type Up: each byte minus the byte above it

Levels = UInt8[np.ndarray, "rows width channels"] | UInt16[np.ndarray, "rows width channels"]


def only_needed(file: BinaryFile) -> tuple[BinaryFile, bool, tuple[str, ...]]:
    """Return a PNG file with only the chunks that its pixels need, and in their usual order.

    Other chunks, such as long texts, are no reason to refuse the pixels, damaged or not. What comes
    after the pixels is moved before them, since readers need not look there.

    Args:
      file: A PNG file.

    Returns:
      The file itself if it is so already, otherwise a copy in memory; whether it is an animation;
      and notes on chunks that would be needed, but are damaged.
    """
    found = list(_chunks(file))
    before = [chunk for chunk in found if chunk.kind not in _PIXELS and chunk.needed]
    lost = dict.fromkeys(chunk.kind.decode() for chunk in found if chunk.damaged)
    notes = tuple(f"its {kind} chunk is damaged, and is ignored" for kind in lost)
    kept = [*before, *(chunk for chunk in found if chunk.kind in _PIXELS)]
    animated = any(chunk.kind == b"acTL" for chunk in found)
    if kept == found:
        file.seek(0)
        return file, animated, notes
    whole = io.BytesIO(_SIGNATURE)
    whole.seek(len(_SIGNATURE))
    for chunk in kept:
        file.seek(chunk.start)
        whole.write(file.read(chunk.length))
    whole.seek(0)
    return whole, animated, notes


class _Chunk(NamedTuple):
    """A chunk, its place in the file and its length, whether it is needed, or damaged."""

    kind: bytes
    start: int
    length: int
    needed: bool
    damaged: bool


def _chunks(file: BinaryFile) -> Iterator[_Chunk]:
    """Yield the chunks of a file up to its end; the last one may be incomplete."""
    end, place, kind = file.seek(0, io.SEEK_END), len(_SIGNATURE), b""
    while kind != b"IEND" and place + 8 <= end:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        length = min(12 + length, end - place)  # a damaged length may be of gigabytes
        if kind in _CRITICAL or kind in _PIXELS or kind == b"tRNS":
            needed, damaged = True, False  # if damaged, no reason to make a picture opaque
        else:
            chunk = file.read(length - 8)
            needed = _matters(kind, chunk[:-4])
            damaged = needed and _is_damaged(kind, chunk)
        yield _Chunk(kind, place, length, needed and not damaged, damaged)
        place += length


def _matters(kind: bytes, data: bytes) -> bool:
    """Return whether an ancillary chunk matters to how pixels are shown."""
    if kind in (b"tEXt", b"zTXt", b"iTXt"):
        word, _, rest = data.partition(b"\0")
        packed = kind == b"zTXt" or (kind == b"iTXt" and rest[:1] != b"\0")
        longest = _LONGEST_COMPRESSED_TEXT if packed else _LONGEST_TEXT
        return word in _TEXTS and len(data) <= longest
    return kind in _LARGER or kind in _FIXED


def _is_damaged(kind: bytes, chunk: bytes) -> bool:
    """Return whether a chunk is damaged, given its data and their checksum."""
    data, check = chunk[:-4], chunk[-4:]
    if zlib.crc32(data, zlib.crc32(kind)).to_bytes(4, "big") != check:
        return True
    if kind == b"iCCP":
        return not _can_be_unpacked(data.partition(b"\0")[2][1:])
    return _FIXED.get(kind, len(data)) != len(data)


def _can_be_unpacked(data: bytes) -> bool:
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(data, LARGEST_PROFILE)
    except zlib.error:
        return False
    return unpacking.eof


def write_png(
    file: BinaryFile,
    strips: Iterable[Levels],
    shape: tuple[int, int, int],
    *,
    bits: int,
    icc_profile: bytes,
    exif: bytes,
    dpi: tuple[float, float] | None = None,
) -> None:
    """Write a PNG file with 3 (RGB) or 4 (RGBA) channels, one data chunk per strip.

    Args:
      file: A file open for writing.
      strips: The rows of the image, from top to bottom.
      shape: Height, width and channels of the whole image.
      bits: 8 or 16, matching the type of the strips.
      icc_profile: The ICC profile to embed.
      exif: The EXIF data, without the "Exif" marker that precedes it in JPEG.
      dpi: Horizontal and vertical dots per inch.
    """
    height, width, channels = shape
    color_type = {3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", header)
    _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc_profile))
    if dpi:
        across, down = (round(each / 0.0254) for each in dpi)
        _chunk(file, b"pHYs", struct.pack(">IIB", across, down, 1))  # dots per meter
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


def _chunk(file: BinaryFile, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
