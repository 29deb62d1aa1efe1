"""Pictures that ask for more than they hold, than there is, or than can be done in time."""

import io
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images import _limits as limits
from jaxstyle.machine import resources
from tests.cases import for_each
from tests.images.conftest import png


@pytest.fixture
def path(tmp_path):
    return tmp_path / "picture"


@pytest.fixture
def undecoded(monkeypatch):
    """Let every attempt to decode a picture fail the test."""

    def decode(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(Image.Image, "load", decode)


def refusal(path) -> str:
    """Return the one line by which both reading and planning refuse a picture."""
    messages = []
    for read in (images.read, images.read_sides):
        with pytest.raises(ImageError) as caught:
            read(path)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert messages[0].startswith(f"{path}: ")
    return messages[0]


def png_of(width, height, depth, color, data: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return png(header, (b"IDAT", zlib.compress(data, 9)))


def run_length_bmp(width, height, data: bytes, bits: int = 8) -> bytes:
    method = {8: 1, 4: 2}[bits]
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, method, len(data), 0, 0, 16, 0)
    palette = bytes(64)
    start = 14 + len(head) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + head + palette + data


def with_png_sides(data: bytes, width: int, height: int) -> bytes:
    kind = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + kind + struct.pack(">I", zlib.crc32(kind)) + data[33:]


def encoded(kind: str, size=(64, 64), **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (9, 80, 200)).save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(encoded("JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_of(width: int, height: int) -> bytes:
    """Return the few bytes of a WebP of one color, of any sides."""
    data = bytearray(encoded("WEBP", lossless=True))
    place = data.index(b"VP8L") + 9
    (bits,) = struct.unpack_from("<I", data, place)
    struct.pack_into("<I", data, place, bits >> 28 << 28 | (height - 1) << 14 | (width - 1))
    return bytes(data)


# --- what a file cannot hold ----------------------------------------------------------------------

IMPOSSIBLE = {
    "a JPEG": jpeg_of(30_000, 30_000),
    "a PNG": with_png_sides(encoded("PNG"), 30_000, 30_000),
    "a GIF": b"GIF89a" + struct.pack("<HH", 30_000, 30_000) + encoded("GIF")[10:],
    "a run-length BMP": run_length_bmp(4_194_085, 29, b"\x25\0\0\0" * 24),
    "a run-length BMP of 4 bits": run_length_bmp(1_000_000, 100, b"\x25\0\0\0" * 24, bits=4),
}


@for_each("kind", IMPOSSIBLE)
def test_what_a_file_cannot_hold_is_refused_from_its_header(path, undecoded, kind):
    path.write_bytes(IMPOSSIBLE[kind])
    assert re.search(r"damaged: \d+ bytes cannot hold \d+x\d+ pixels", refusal(path))


def test_the_densest_picture_of_each_format_is_read(path):
    flat = {
        "PNG": png_of(4096, 512, 1, 0, bytes(512 * 513)),
        "GIF": encoded("GIF", (1000, 900)),
        "JPEG": encoded("JPEG", (1000, 900), progressive=True, optimize=True, quality=1),
        "BMP": run_length_bmp(255, 3, b"\xff\0\0\0" * 3),
        "a blank BMP": run_length_bmp(640, 480, b"\1\0\0\0" * 480),
        "WEBP": encoded("WEBP", (1000, 900), lossless=True),
        "TIFF": encoded("TIFF", (1000, 900), compression="tiff_adobe_deflate"),
        "LZW": encoded("TIFF", (1000, 900), compression="tiff_lzw"),
        "packbits": encoded("TIFF", (1000, 900), compression="packbits"),
    }
    for data in flat.values():
        path.write_bytes(data)
        assert images.read(path).rgb.shape[:2] == images.read_sides(path)


# --- what needs too much memory -------------------------------------------------------------------


@for_each(
    "data",
    [webp_of(16_383, 16_383), png_of(20_000, 20_000, 1, 0, bytes(20_000 * 2501))],
)
def test_few_bytes_may_not_ask_for_gigabytes(path, undecoded, data):
    path.write_bytes(data)
    assert re.search(r"\d+ bytes that need \d\.\d GB of memory as pixels", refusal(path))


@pytest.mark.parametrize(("free", "fits"), [(None, True), (10**12, True), (10**6, False)])
def test_memory_is_asked_before_decoding(path, monkeypatch, free, fits):
    monkeypatch.setattr(resources, "free_memory", lambda: free)
    path.write_bytes(encoded("PNG", (300, 200)))
    with Image.open(path) as lazy:
        if fits:
            assert images.read_sides(path) == images.read(lazy).rgb.shape[:2] == (200, 300)
            return
        needs = r"needs 3\.4 MB of memory to be read \(300x200 pixels\), and 1\.0 MB are free"
        assert re.search(needs, refusal(path))
        with pytest.raises(ImageError, match=f"the PIL image: {needs}"):
            images.read(lazy)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@for_each("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF"])
def test_reading_takes_no_more_than_is_asked_for(path, kind):
    """Its peak is measured by the system, in a process of its own: decoders are libraries in C."""
    path.write_bytes(encoded(kind, (3000, 2500)))
    code = (
        "import re, sys\n"
        "from PIL import Image\n"
        "from jaxstyle import images\n"
        "from jaxstyle.images import _limits\n"
        "Image.new('RGB', (64, 64)).save('small', sys.argv[2]); images.read('small')\n"
        "with Image.open(sys.argv[1]) as image:\n"
        "    asked = _limits.decoding_bytes(image)\n"
        "def peak():\n"
        "    told = open('/proc/self/status').read()\n"
        "    return 1024 * int(re.search(r'VmHWM:\\s+(\\d+)', told)[1])\n"
        "before = peak()\n"
        "images.read(sys.argv[1])\n"
        "print(asked, peak() - before)"
    )
    command = [sys.executable, "-c", code, str(path), kind]
    told = subprocess.run(command, capture_output=True, check=True, cwd=path.parent).stdout
    asked, taken = map(int, told.split())
    assert 0.5 * asked < taken < asked


def test_a_side_of_millions_of_pixels_is_refused(path, undecoded):
    for width, height in ((1, 2**20 + 1), (2**20 + 1, 1)):
        path.write_bytes(png_of(width, height, 1, 0, bytes(2 * 2**20 + 2)))
        assert "its side of 1048577 pixels is too long: crop it first" in refusal(path)


# --- what takes too long --------------------------------------------------------------------------


def with_scans(data: bytes, count: int) -> bytes:
    """Return a progressive JPEG whose last scan is repeated."""
    starts = [match.start() for match in re.finditer(rb"\xff\xda", data)]
    tables = [match.start() for match in re.finditer(rb"\xff\xc4", data)]
    last = max(start for start in (*starts, *tables) if start > starts[-2])
    last = min(last, starts[-1]) if last < starts[-1] else starts[-1]
    return data[:-2] + data[last:-2] * (count - len(starts)) + b"\xff\xd9"


def test_scans_of_a_jpeg_are_counted(path, monkeypatch):
    data = encoded("JPEG", progressive=True)
    for count, fits in ((10, True), (100, True), (101, False), (5000, False)):
        path.write_bytes(with_scans(data, count))
        if fits:
            assert images.read(path).rgb.shape == (64, 64, 3)
        else:
            assert "has more than 100 scans: save it again as a plain JPEG" in refusal(path)
    monkeypatch.setattr(limits, "SCANNED", 30 * 64 * 64)  # as if it were larger
    path.write_bytes(with_scans(data, 31))
    assert "has more than 30 scans" in refusal(path)
    monkeypatch.setattr(limits, "SCANNED", 0)
    path.write_bytes(with_scans(data, 20))
    images.read(path)


def test_scans_are_not_hidden_by_a_marker_without_a_segment(path):
    data = with_scans(encoded("JPEG", progressive=True), 200)
    place = data.rindex(b"\xff\xda", 0, len(data) // 4)
    path.write_bytes(data[:place] + b"\xff\x01\xff\xff" + data[place:])
    assert "has more than 100 scans" in refusal(path)


def test_scans_are_not_counted_in_metadata_and_after_the_end(path):
    data = encoded("JPEG", comment=b"\xff\xda" * 500) + b"\xff\xda" * 500
    path.write_bytes(data)
    assert images.read(path).rgb.shape == (64, 64, 3)


def test_rows_of_a_run_length_bmp_may_end_early_but_not_without_limit(path, monkeypatch):
    monkeypatch.setattr(limits, "_BLANK_BMP", 2**13)
    path.write_bytes(run_length_bmp(2**12, 2, b"\1\0\0\0" * 2))
    assert not images.read(path).rgb.any()
    path.write_bytes(run_length_bmp(2**14, 3, b"\1\0\0\0" * 3))
    assert "cannot hold" in refusal(path)


def test_in_words():
    assert limits.in_words(1_340_000_000) == "1.3 GB"
    assert limits.in_words(34_000_000) == "34.0 MB"
    assert np.isclose(limits.MEMORY_PER_BYTE * 100_000, 7e8)  # of a file of 100 kB
