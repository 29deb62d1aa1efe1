"""Helpers of the tests of images: files made by hand, short strips, and scarce resources."""

import resource
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
import pytest

from jaxstyle.images import _encode as image_encode
from jaxstyle.images import _strips as strips


def png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file of these chunks, given as kind and data, between header and end."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [(b"IHDR", header), *chunks, (b"IEND", b"")]
    )


def png_levels(data: bytes) -> tuple[np.ndarray, int]:
    """Decode a 16-bit PNG whose rows have filter Up by the specification.

    Returns the levels and the number of chunks that they are in.
    """
    header, pixels, offset = b"", [], 8
    while offset < len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        kind, body = data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + length]
        assert struct.unpack_from(">I", data, offset + 8 + length)[0] == zlib.crc32(kind + body)
        header = body if kind == b"IHDR" else header
        pixels += [body] if kind == b"IDAT" else []
        offset += 12 + length
    width, height, depth, color = struct.unpack_from(">IIBB", header)
    assert depth == 16
    rows = np.frombuffer(zlib.decompress(b"".join(pixels)), np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 2).all()
    summed = np.cumsum(rows[:, 1:].astype(np.uint64), axis=0).astype(np.uint8)
    return summed.view(">u2").reshape(height, width, {2: 3, 6: 4}[color]), len(pixels)


@pytest.fixture
def short_strips(monkeypatch):
    """Use strips of seven rows of 34 pixels, and encode no PNG by Pillow."""
    monkeypatch.setattr(strips, "STRIP_PIXELS", 7 * 34 + 5)
    monkeypatch.setattr(image_encode, "PILLOW_PIXELS", 0)
    monkeypatch.setattr(image_encode, "TIFF_STRIP_BYTES", 900)


def peak_memory(call: Callable[[], object]) -> int:
    """Return the most bytes that a call allocates, without what Pillow decodes."""
    call()  # what is imported stays
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@contextmanager
def no_space_beyond(size: int):
    """Let no file grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
