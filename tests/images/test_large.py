"""Tests of strips: unchanged pixels, little memory, and files beyond the usual limits."""

import io
import resource
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images import Picture
from jaxstyle.images import _encode as image_encode
from jaxstyle.images import _strips as strips
from tests.cases import for_each

RGB = np.random.default_rng(0).random((61, 34, 3), dtype=np.float32)
ALPHA = np.random.default_rng(1).random((61, 34), dtype=np.float32)
LEVELS = np.random.default_rng(2).integers(0, 65536, (61, 34, 4), dtype=np.uint16)


@pytest.fixture
def short_strips(monkeypatch):
    """Use strips of seven rows, and encode no PNG by Pillow."""
    monkeypatch.setattr(strips, "STRIP_PIXELS", 7 * 34 + 5)
    monkeypatch.setattr(image_encode, "PILLOW_PIXELS", 0)
    monkeypatch.setattr(image_encode, "TIFF_STRIP_BYTES", 900)


def test_strips_cover_every_row_once(short_strips):
    rows = list(strips.strips(61, 34))
    assert [row for each in rows for row in range(each.start, each.stop)] == list(range(61))
    assert {each.stop - each.start for each in rows} == {7, 5}
    assert len(list(strips.strips(3, 10**9))) == 3


# --- written --------------------------------------------------------------------------------------


@for_each("name", ["a.png", "a.tif"])
@for_each("bits", [8, 16])
@for_each("alpha", [None, ALPHA])
def test_lossless_round_trip(tmp_path, short_strips, name, bits, alpha):
    top = np.float32(2**bits - 1)
    images.write(tmp_path / name, Picture(RGB, alpha), bits=bits, description="{}")
    back = images.read(tmp_path / name)
    np.testing.assert_array_equal(back.rgb, np.rint(RGB * top) / top)
    if alpha is not None:
        np.testing.assert_array_equal(back.alpha, np.rint(alpha * top) / top)
    assert images.read_description(tmp_path / name) == "{}"
    again = images.encoded(tmp_path / name, back, bits=bits, description="{}")
    assert again == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_strips_change_no_byte_of_what_pillow_encodes(name, short_strips, monkeypatch):
    small = images.encoded(name, Picture(RGB, ALPHA))
    monkeypatch.setattr(strips, "STRIP_PIXELS", 10**6)
    assert images.encoded(name, Picture(RGB, ALPHA)) == small


def test_a_png_of_ours_is_as_pillows(short_strips, monkeypatch):
    ours = images.encoded("a.png", Picture(RGB, ALPHA), description="{}")
    monkeypatch.setattr(image_encode, "PILLOW_PIXELS", 10**6)
    theirs = images.encoded("a.png", Picture(RGB, ALPHA), description="{}")
    assert ours != theirs
    with Image.open(io.BytesIO(ours)) as one, Image.open(io.BytesIO(theirs)) as other:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        assert dict(one.getexif()) == dict(other.getexif())
        assert one.info["icc_profile"] == other.info["icc_profile"]


def test_a_flat_png_has_no_empty_chunk(short_strips):
    data = images.encoded("a.png", Picture(np.zeros((61, 34, 3), np.float32)), bits=16)
    assert struct.pack(">I", 0) + b"IDAT" not in data
    with Image.open(io.BytesIO(data)) as flat:
        assert not np.asarray(flat).any()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_writing_takes_a_few_strips(tmp_path, monkeypatch, name, bits):
    monkeypatch.setattr(strips, "STRIP_PIXELS", 2**13)
    monkeypatch.setattr(image_encode, "PILLOW_PIXELS", 0)
    picture = Picture(np.random.default_rng(0).random((900, 800, 3), np.float32))
    images.write(tmp_path / name, Picture(RGB), bits=bits)  # what is imported stays
    tracemalloc.start()
    try:
        images.write(tmp_path / name, picture, bits=bits)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.3 * picture.rgb.nbytes


@for_each("name", ["a.png", "a.tif"])
def test_a_full_disk_in_the_middle_leaves_what_was_there(tmp_path, short_strips, name):
    (tmp_path / name).write_bytes(b"the old file")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(ImageError, match="cannot be written: File too large") as caught:
            images.write(tmp_path / name, Picture(RGB), bits=16)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the old file"]
    (tmp_path / name).unlink()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", [None, ALPHA])
def test_a_tiff_that_may_pass_4_gb_is_a_big_one(tmp_path, short_strips, monkeypatch, bits, alpha):
    images.write(tmp_path / "a.tif", Picture(RGB, alpha), bits=bits)
    monkeypatch.setattr(image_encode, "CLASSIC_BYTES", 3 * 61 * 34 * bits // 8 - 1)
    images.write(tmp_path / "b.tif", Picture(RGB, alpha), bits=bits, description="{}")
    with tifffile.TiffFile(tmp_path / "a.tif") as one, tifffile.TiffFile(tmp_path / "b.tif") as two:
        assert (one.is_bigtiff, two.is_bigtiff) == (False, True)
        np.testing.assert_array_equal(one.asarray(), two.asarray())
    small, big = images.read(tmp_path / "a.tif"), images.read(tmp_path / "b.tif")
    np.testing.assert_array_equal(small.rgb, big.rgb)
    assert images.read_sides(tmp_path / "b.tif") == (61, 34)
    assert images.read_description(tmp_path / "b.tif") == "{}"


def test_the_largest_results_have_their_tiff():
    assert image_encode.CLASSIC_BYTES < 2**32
    assert 32768 * 32768 * 3 * 2 > image_encode.CLASSIC_BYTES > 16384 * 16384 * 4 * 2


# --- read -----------------------------------------------------------------------------------------


@for_each("layout", [{"rowsperstrip": 8}, {"tile": (16, 16)}])
@for_each("compression", [None, "zlib"])
def test_big_tiffs(tmp_path, short_strips, layout, compression):
    for channels in (1, 3, 4):
        levels = LEVELS[..., 0] if channels == 1 else LEVELS[..., :channels]
        options = {"photometric": "minisblack" if channels == 1 else "rgb", **layout}
        if channels == 4:
            options["extrasamples"] = ["unassalpha"]
        options |= {"bigtiff": True, "byteorder": "<", "compression": compression}
        for dtype, path in ((np.uint16, tmp_path / "a.tif"), (np.uint8, tmp_path / "b.tif")):
            stored = levels if dtype == np.uint16 else (levels >> 8).astype(np.uint8)
            tifffile.imwrite(path, stored, predictor=compression == "zlib", **options)
            unit = stored / np.float32(np.iinfo(dtype).max)
            back = images.read(path)
            color = unit[..., :3] if channels > 1 else np.repeat(unit[..., None], 3, axis=-1)
            told = f"{channels} channels of {dtype.__name__}"
            np.testing.assert_allclose(back.rgb, color, atol=1e-6, err_msg=told)
            assert (back.alpha is None) == (channels < 4), told


def test_a_big_endian_big_tiff_is_refused(tmp_path):
    """Pillow does not recognize it: it looks for the BigTIFF version in the wrong byte."""
    tifffile.imwrite(tmp_path / "a.tif", LEVELS[..., :3], bigtiff=True, byteorder=">")
    for read in (images.read, images.read_sides, images.read_description):
        with pytest.raises(
            ImageError, match="big-endian BigTIFF is not supported; save it as little-endian"
        ):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["L", "1", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "I;16"])
def test_strips_change_no_pixel(mode, monkeypatch):
    eight = (LEVELS >> 8).astype(np.uint8)
    if mode == "I;16":
        source = Image.fromarray(LEVELS[..., 0])
    elif mode in ("CMYK", "LAB"):
        source = Image.frombytes(mode, (34, 61), eight[..., : len(mode)].tobytes())
    else:
        source = Image.fromarray(eight if "A" in mode else eight[..., :3]).convert(mode)
    for orientation in range(1, 9):
        source.getexif()[ExifTags.Base.Orientation] = orientation
        whole = images.read(source)
        with monkeypatch.context() as patch:
            patch.setattr(strips, "STRIP_PIXELS", 7 * 34)
            parts = images.read(source)
        assert whole.rgb.shape == ((34, 61, 3) if orientation > 4 else (61, 34, 3))
        np.testing.assert_array_equal(parts.rgb, whole.rgb, f"orientation {orientation}")
        assert (parts.alpha is None) == (whole.alpha is None) == (mode not in ("LA", "RGBA"))
        if whole.alpha is not None and parts.alpha is not None:
            np.testing.assert_array_equal(parts.alpha, whole.alpha, f"orientation {orientation}")


@pytest.mark.parametrize("bits", [8, 16])
def test_reading_takes_the_floats_and_a_few_strips(tmp_path, monkeypatch, bits):
    monkeypatch.setattr(strips, "STRIP_PIXELS", 2**13)
    picture = Picture(np.random.default_rng(0).random((900, 800, 3), np.float32))
    images.write(tmp_path / "a.png", picture, bits=bits)
    images.read(tmp_path / "a.png")
    tracemalloc.start()  # which does not see what Pillow decodes
    try:
        images.read(tmp_path / "a.png")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.3 * picture.rgb.nbytes


def test_a_sixteen_bit_png_in_many_chunks(tmp_path, short_strips):
    path = tmp_path / "a.png"
    images.write(path, Picture(RGB), bits=16)
    data, offset, packed = path.read_bytes(), 8, []
    while offset < len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        if data[offset + 4 : offset + 8] == b"IDAT":
            packed.append(data[offset + 8 : offset + 8 + length])
        offset += 12 + length
    rows = np.frombuffer(zlib.decompress(b"".join(packed)), np.uint8).reshape(61, -1)
    summed = np.cumsum(rows[:, 1:].astype(np.uint64), axis=0).astype(np.uint8)
    levels = summed.view(">u2").reshape(61, 34, 3)
    np.testing.assert_array_equal(levels, np.rint(RGB * np.float32(65535)))
    assert len(packed) > 1
