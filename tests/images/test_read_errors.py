"""Tests of `jaxstyle.images.read` on bad input: one-line errors, and no other exceptions."""

import io
import os
import shutil
import struct
import tempfile
import threading
import time
import warnings
import zlib
from unittest.mock import Mock

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images import _read as image_read
from jaxstyle.settings.checks import MAX_SIZE
from tests.cases import for_each

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
FORMATS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"]


def encoded(kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(path) -> str:
    """Return the error message for a path, checking that it is one line and names the path."""
    with pytest.raises(ImageError) as caught:
        pytest.fail(f"{path} is read as {images.read(path)}")
    message = str(caught.value)
    assert "\n" not in message
    assert os.fspath(path) in message
    return message


def test_missing(tmp_path):
    assert "No such file" in refusal(tmp_path / "none.png")
    assert "No such file" in refusal(str(tmp_path / "none.png"))


def test_directory(tmp_path):
    assert "directory" in refusal(tmp_path)


def test_empty(tmp_path):
    (tmp_path / "a.png").touch()
    assert "empty" in refusal(tmp_path / "a.png")


def test_text_called_png(tmp_path):
    (tmp_path / "a.png").write_text("This is not a picture.\n" * 50)
    assert "not a readable" in refusal(tmp_path / "a.png")


def test_postscript_is_not_run(tmp_path):
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    assert "not a readable" in refusal(tmp_path / "a.png")


def test_nul_in_the_name():
    with pytest.raises(ImageError, match="null"):
        images.read("a\0.png")


@pytest.fixture
def unprivileged():
    """Create a temporary directory and run the test without root privileges."""
    directory = tempfile.mkdtemp()
    os.chmod(directory, 0o755)
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(65534)
    try:
        yield directory
    finally:
        if superuser:
            os.seteuid(0)
        shutil.rmtree(directory)


def test_unreadable(unprivileged):
    path = os.path.join(unprivileged, "a.png")
    effective = os.geteuid()
    os.seteuid(os.getuid())
    try:
        Image.fromarray(PIXELS).save(path)
        os.chmod(path, 0)
    finally:
        os.seteuid(effective)
    assert "Permission denied" in refusal(path)


@for_each("kind", FORMATS)
def test_truncated(tmp_path, kind):
    data = encoded(kind)
    for share in (0.02, 0.3, 0.7, 0.97):
        path = tmp_path / f"{share}.{kind.lower()}"
        path.write_bytes(data[: int(len(data) * share)])
        refusal(path)


@pytest.mark.parametrize("times", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", FORMATS)
def test_random_damage_never_leaks_another_exception(tmp_path, kind, times, capfd):
    data = np.frombuffer(encoded(kind), np.uint8)
    random = np.random.default_rng(1)
    path = tmp_path / "a"
    for _ in range(times):
        damaged = data.copy()
        places = random.integers(0, min(len(data), 400), 6)
        damaged[places] = random.integers(0, 256, 6)
        path.write_bytes(damaged.tobytes())
        try:
            picture = images.read(path)
        except ImageError as error:
            assert "\n" not in str(error)
        else:
            assert 0 <= picture.rgb.min() <= picture.rgb.max() <= 1
    assert capfd.readouterr() == ("", "")


def test_any_exception_of_pillow_is_converted(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    errors = [SyntaxError("a\nb"), struct.error("short"), KeyError(7), EOFError(), IndexError()]
    monkeypatch.setattr(Image, "open", Mock(side_effect=errors))
    for error in errors:
        assert "damaged or unsupported" in refusal(tmp_path / "a.png"), error


def test_a_picture_too_large_for_the_memory(tmp_path, monkeypatch):
    def too_large(*_, **__):
        raise MemoryError

    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    monkeypatch.setattr(np, "empty", too_large)
    assert "does not fit in memory" in refusal(tmp_path / "a.png")


def png_bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def resized_header(kind: str, offset: int, packed: bytes) -> bytes:
    data = encoded(kind)
    return data[:offset] + packed + data[offset + len(packed) :]


def tiff_bomb() -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, PIXELS, photometric="rgb", metadata=None)
    data = buffer.getvalue()
    for tag, size in ((256, 80), (257, 60)):  # ImageWidth, ImageLength
        for code in (3, 4):
            value = struct.pack("<H" if code == 3 else "<I", size).ljust(4, b"\0")
            entry = struct.pack("<HHI", tag, code, 1)
            data = data.replace(entry + value, struct.pack("<HHII", tag, 4, 1, 50_000))
    return data


def test_decompression_bomb_is_refused_from_its_header(tmp_path, monkeypatch):
    bombs = {
        "png": png_bomb(),
        "bmp": resized_header("BMP", 18, struct.pack("<ii", 50_000, 50_000)),
        "gif": resized_header("GIF", 6, struct.pack("<HH", 50_000, 50_000)),
        "tiff": tiff_bomb(),
    }
    monkeypatch.setattr(Image, "_getdecoder", Mock(side_effect=AssertionError("decoded")))
    for kind, bomb in bombs.items():
        (tmp_path / kind).write_bytes(bomb)
        assert "1073 million pixels" in refusal(tmp_path / kind)


def test_limit_of_pixels_is_ours_and_pillows_is_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow would refuse
    filters = list(warnings.filters)
    assert images.read(path).rgb.shape == PIXELS.shape
    for limit, admitted in ((60 * 80, True), (60 * 80 - 2, False)):
        monkeypatch.setattr(image_read, "MAX_PIXELS", limit)
        if admitted:
            images.read(path)
        else:
            assert "downscale it first" in refusal(path)
    assert Image.MAX_IMAGE_PIXELS == 10
    assert warnings.filters == filters


def test_the_limit_admits_the_largest_photographs_and_results():
    assert image_read.MAX_PIXELS >= 16_320 * 12_240
    assert image_read.MAX_PIXELS == MAX_SIZE**2


def test_threads_restore_global_state(tmp_path, monkeypatch):
    opened, inside, together = Image.open, [], []

    def watched(*arguments, **options):
        inside.append(1)
        time.sleep(0.002)  # lets the other threads in, if anything does
        together.append(len(inside))
        inside.pop()
        return opened(*arguments, **options)

    monkeypatch.setattr(Image, "open", watched)
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    good.write_bytes(encoded("PNG"))
    bad.write_bytes(encoded("PNG")[:900])
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    shapes = []

    def work():
        for _ in range(10):
            shapes.append(images.read(good).rgb.shape)
            with pytest.raises(ImageError):
                images.read(bad)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shapes == [PIXELS.shape] * 40
    assert set(together) == {1}
    assert limit == Image.MAX_IMAGE_PIXELS
    assert warnings.filters == filters


@for_each("compression", [None, "zlib"])
def test_planar_sixteen_bit_tiff_is_refused_and_not_misread(tmp_path, compression):
    planes = np.zeros((3, 9, 8), np.uint16)
    options = {"photometric": "rgb", "planarconfig": "separate", "compression": compression}
    tifffile.imwrite(tmp_path / "a.tif", planes, **options)
    assert "interleaved" in refusal(tmp_path / "a.tif")


def test_float_and_32_bit_tiff_are_refused_and_not_clipped(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((9, 8), 0.5, np.float32))
    assert "mode F" in refusal(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.full((9, 8), 70_000, np.int32))
    assert "32-bit" in refusal(tmp_path / "b.tif")


def test_lazily_opened_pil_image_that_is_truncated():
    with pytest.raises(ImageError, match=r"the PIL image: .*truncated"):
        images.read(Image.open(io.BytesIO(encoded("PNG")[:2000])))


def test_arrays_that_are_not_images():
    for array, message in (
        (np.full((4, 4, 3), np.nan), "NaN"),
        (np.full((4, 4, 3), np.inf), "NaN or infinite"),
        (np.full((4, 4, 3), -0.5), r"from -0.5 to -0.5: scale floats to \[0, 1\]"),
        (np.full((4, 4, 3), 255.0), "to 255"),
        (np.zeros((4, 4, 3), np.int64), "array of int64"),
        (np.zeros((4, 4, 3), bool), "array of bool"),
        (np.zeros((4, 4, 3), complex), "array of complex128"),
        (np.zeros((4, 4, 2)), r"shape \(4, 4, 2\)"),
        (np.zeros((4, 4, 5)), "shape"),
        (np.zeros((1, 4, 4, 3)), "shape"),
        (np.zeros(4), "shape"),
        (np.zeros(()), "shape"),
        (np.zeros((0, 4, 3)), "shape"),
        (None, "array of object"),
        ([[0.0], [0.0, 1.0]], "cannot convert list to an array"),
        (b"a.png", "is not an image"),
    ):
        with pytest.raises(ImageError, match=message) as caught:
            pytest.fail(f"{array!r} is read as {images.read(array)}")
        assert "\n" not in str(caught.value)
