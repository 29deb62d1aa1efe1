"""Tests of `jaxstyle.images.read` on bad input: one-line errors, and no other exceptions."""

import io
import os
import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
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
from tests.images.conftest import png

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
FORMATS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"]


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind)
    return buffer.getvalue()


def refusal(path) -> str:
    """Return the error message for a path, checking that it is one line and names the path."""
    with pytest.raises(ImageError) as caught:
        pytest.fail(f"{path} is read as {images.read(path)}")
    message = str(caught.value)
    assert "\n" not in message
    assert os.fspath(path) in message
    return message


@pytest.fixture
def path(tmp_path):
    """The path of a readable file."""
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    return tmp_path / "a.png"


# --- files ----------------------------------------------------------------------------------------

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"


@for_each(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"This is not a picture.\n" * 50, "is a text file, not a readable"),
        (POSTSCRIPT, "is a PostScript document"),  # and not run
    ],
)
def test_other_files_are_refused(path, content, message):
    path.write_bytes(content)
    assert message in refusal(path)


def test_paths_without_a_readable_file_are_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "none.png")
    assert "No such file" in refusal(str(tmp_path / "none.png"))
    assert "directory" in refusal(tmp_path)
    with pytest.raises(ImageError, match="null"):
        images.read("a\0.png")


def test_a_file_without_permission_is_refused(unprivileged):
    path = os.path.join(unprivileged, "a.png")
    Image.fromarray(PIXELS).save(path)
    os.chmod(path, 0)
    assert "Permission denied" in refusal(path)


@for_each("kind", FORMATS)
@for_each("share", [0.02, 0.3, 0.7, 0.97])
def test_truncated_files_are_refused(path, kind, share):
    data = encoded(kind)
    path.write_bytes(data[: int(len(data) * share)])
    refusal(path)


@pytest.mark.parametrize("times", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", FORMATS)
def test_random_damage_never_leaks_another_exception(path, kind, times, capfd):
    data = np.frombuffer(encoded(kind), np.uint8)
    random = np.random.default_rng(1)
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


@for_each(
    "error", [SyntaxError("a\nb"), struct.error("short"), KeyError(7), EOFError(), IndexError()]
)
def test_any_exception_of_pillow_is_converted(path, monkeypatch, error):
    monkeypatch.setattr(Image, "open", Mock(side_effect=error))
    assert "damaged or unsupported" in refusal(path)


def test_a_picture_too_large_for_the_memory_is_refused(path, monkeypatch):
    monkeypatch.setattr(np, "empty", Mock(side_effect=MemoryError))
    assert "does not fit in memory" in refusal(path)


@for_each("compression", [None, "zlib"])
def test_a_planar_sixteen_bit_tiff_is_refused_and_not_misread(path, compression):
    planes = np.zeros((3, 9, 8), np.uint16)
    options = {"photometric": "rgb", "planarconfig": "separate", "compression": compression}
    tifffile.imwrite(path, planes, **options)
    assert "interleaved" in refusal(path)


@for_each(("dtype", "message"), [(np.float32, "floats"), (np.int32, "32-bit")])
def test_a_float_or_32_bit_tiff_is_refused_and_not_clipped(path, dtype, message):
    tifffile.imwrite(path, np.full((9, 8), 70_000, dtype))
    assert message in refusal(path)


def test_a_truncated_pil_image_that_is_lazily_opened_is_refused():
    with pytest.raises(ImageError, match=r"the PIL image: .*truncated"):
        images.read(Image.open(io.BytesIO(encoded("PNG")[:2000])))


# --- sizes ----------------------------------------------------------------------------------------


def resized_header(kind: str, offset: int, packed: bytes) -> bytes:
    data = encoded(kind)
    return data[:offset] + packed + data[offset + len(packed) :]


PNG_HEADER = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
BOMBS = {
    "png": png(PNG_HEADER, (b"IDAT", zlib.compress(bytes(1000)))),
    "bmp": resized_header("BMP", 18, struct.pack("<ii", 50_000, 50_000)),
    "gif": resized_header("GIF", 6, struct.pack("<HH", 50_000, 50_000)),
}


@for_each("kind", BOMBS)
def test_a_decompression_bomb_is_refused_from_its_header(path, monkeypatch, kind):
    monkeypatch.setattr(Image, "_getdecoder", Mock(side_effect=AssertionError("decoded")))
    path.write_bytes(BOMBS[kind])
    assert "1073 million pixels" in refusal(path)


def test_the_limit_of_pixels_is_ours_and_pillows_is_left_alone(path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow would refuse
    filters = list(warnings.filters)
    assert images.read(path).rgb.shape == PIXELS.shape
    monkeypatch.setattr(image_read, "MAX_PIXELS", 60 * 80)
    images.read(path)
    monkeypatch.setattr(image_read, "MAX_PIXELS", 60 * 80 - 2)
    assert "downscale it first" in refusal(path)
    assert Image.MAX_IMAGE_PIXELS == 10
    assert warnings.filters == filters


def test_the_limit_admits_the_largest_photographs_and_results():
    assert image_read.MAX_PIXELS >= 16_320 * 12_240
    assert image_read.MAX_PIXELS == MAX_SIZE**2


def test_threads_take_turns_and_restore_global_state(path, tmp_path, monkeypatch):
    opened, inside, together = Image.open, [], []

    def watched(*arguments, **options):
        inside.append(1)
        time.sleep(0.002)  # lets the other threads in, if anything does
        together.append(len(inside))
        inside.pop()
        return opened(*arguments, **options)

    def work(_):
        assert images.read(path).rgb.shape == PIXELS.shape
        with pytest.raises(ImageError):
            images.read(tmp_path / "bad.png")

    monkeypatch.setattr(Image, "open", watched)
    (tmp_path / "bad.png").write_bytes(encoded("PNG")[:900])
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(40)))
    assert set(together) == {1}
    assert limit == Image.MAX_IMAGE_PIXELS
    assert warnings.filters == filters


# --- arrays ---------------------------------------------------------------------------------------


@for_each(
    ("array", "message"),
    [
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
    ],
)
def test_arrays_that_are_not_images_are_refused(array, message):
    with pytest.raises(ImageError, match=message) as caught:
        pytest.fail(f"{array!r} is read as {images.read(array)}")
    assert "\n" not in str(caught.value)
