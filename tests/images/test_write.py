"""Tests of the contents of files from `jaxstyle.images.write`."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images import Picture
from jaxstyle.images import _encode as image_encode
from jaxstyle.images import _icc as image_color
from jaxstyle.images import _strips as strips
from tests.cases import for_each
from tests.images.conftest import peak_memory, png_levels

RGB = np.random.default_rng(0).random((61, 34, 3), dtype=np.float32)
ALPHA = np.random.default_rng(1).random((61, 34), dtype=np.float32)
ALPHA[:5] = 0
BOTH = np.dstack([RGB, ALPHA])
NAMES = ["a.png", "a.jpg", "a.jpeg", "a.webp", "a.tif", "a.tiff", "a.PNG"]
JSON = '{"style_weight": 1.5, "note": "\\u00fc"}'


# --- pixels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["small", "large"])
@for_each("name", ["a.png", "a.tif"])
@for_each("bits", [8, 16])
@for_each("alpha", [None, ALPHA])
def test_png_and_tiff_lose_nothing(tmp_path, request, size, name, bits, alpha):
    if size == "large":
        request.getfixturevalue("short_strips")
    top = np.float32(2**bits - 1)
    images.write(tmp_path / name, Picture(RGB, alpha), bits=bits, description=JSON)
    back = images.read(tmp_path / name)
    np.testing.assert_array_equal(back.rgb, np.rint(RGB * top) / top)
    assert (back.alpha is None) == (alpha is None)
    if alpha is not None:
        np.testing.assert_array_equal(back.alpha, np.rint(alpha * top) / top)
    assert images.read_description(tmp_path / name) == JSON
    again = images.encoded(name, back, bits=bits, description=JSON)
    assert again == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("size", ["small", "large"])
@for_each(("alpha", "values"), [(None, RGB), (ALPHA, BOTH)])
def test_sixteen_bits_are_as_other_readers_see_them(tmp_path, request, size, alpha, values):
    if size == "large":
        request.getfixturevalue("short_strips")
    levels = np.rint(values * np.float32(65535)).astype(np.uint16)
    images.write(tmp_path / "a.png", Picture(RGB, alpha), bits=16)
    found, chunks = png_levels((tmp_path / "a.png").read_bytes())
    np.testing.assert_array_equal(found, levels)
    assert (chunks > 1) == (size == "large")
    with Image.open(tmp_path / "a.png") as pil:  # in 8 bits: the high bytes
        np.testing.assert_array_equal(np.asarray(pil), levels >> 8)
    images.write(tmp_path / "a.tif", Picture(RGB, alpha), bits=16)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), levels)


@pytest.mark.parametrize("size", ["small", "large"])
@for_each("name", NAMES)
@for_each("bits", [8, 16])
def test_resolution_is_kept(tmp_path, request, size, name, bits):
    if bits == 16 and not name.lower().endswith(("png", "tif", "tiff")):
        return
    if size == "large":
        request.getfixturevalue("short_strips")
    images.write(tmp_path / name, Picture(RGB, dpi=(300, 150)), bits=bits, description=JSON)
    np.testing.assert_allclose(images.read(tmp_path / name).dpi, (300, 150), rtol=1e-4)
    assert images.read_description(tmp_path / name) == JSON
    images.write(tmp_path / name, Picture(RGB), bits=bits)
    assert images.read(tmp_path / name).dpi is None


def test_values_are_clipped_and_rounded_to_the_nearest(tmp_path):
    values = np.array([[[-0.5, 2.0, 0.5], [0.4999 / 255, 0.5001 / 255, 254.6 / 255]]], np.float32)
    images.write(tmp_path / "a.png", Picture(values))
    with Image.open(tmp_path / "a.png") as pil:
        np.testing.assert_array_equal(np.asarray(pil), [[[0, 255, 128], [0, 1, 255]]])


Y, X = np.mgrid[0:64, 0:96].astype(np.float32)
SMOOTH = Picture(np.stack([X / 95, Y / 63, 1 - X / 95], axis=-1), Y / 63)


@for_each(("name", "within"), [("a.jpg", 0.025), ("a.webp", 0.05)])
def test_lossy_formats_are_close(tmp_path, name, within):
    images.write(tmp_path / name, Picture(SMOOTH.rgb))
    np.testing.assert_allclose(images.read(tmp_path / name).rgb, SMOOTH.rgb, atol=within)


def test_jpeg_keeps_all_chroma_and_lays_alpha_over_white(tmp_path):
    images.write(tmp_path / "a.jpg", SMOOTH)
    with Image.open(tmp_path / "a.jpg") as pil:
        assert [layer[1:3] for layer in pil.layer] == [(1, 1)] * 3
    back, alpha = images.read(tmp_path / "a.jpg"), SMOOTH.alpha[..., None]
    assert back.alpha is None
    np.testing.assert_allclose(back.rgb, SMOOTH.rgb * alpha + (1 - alpha), atol=0.03)


def test_webp_keeps_alpha(tmp_path):
    images.write(tmp_path / "a.webp", SMOOTH)
    np.testing.assert_allclose(images.read(tmp_path / "a.webp").alpha, SMOOTH.alpha, atol=0.003)


# --- large pictures -------------------------------------------------------------------------------


def test_strips_cover_every_row_once(short_strips):
    rows = list(strips.strips(61, 34))
    assert [row for each in rows for row in range(each.start, each.stop)] == list(range(61))
    assert {each.stop - each.start for each in rows} == {7, 5}
    assert len(list(strips.strips(3, 10**9))) == 3


@for_each("name", ["a.jpg", "a.webp"])
def test_strips_change_no_byte_of_what_pillow_encodes(name, monkeypatch):
    whole = images.encoded(name, Picture(RGB, ALPHA))
    with monkeypatch.context() as patch:
        patch.setattr(strips, "STRIP_PIXELS", 7 * 34)
        assert images.encoded(name, Picture(RGB, ALPHA)) == whole


def test_a_large_png_holds_the_same_as_a_small_one_of_pillow(short_strips, monkeypatch):
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


@for_each("name", ["a.png", "a.tif"])
@for_each("bits", [8, 16])
def test_writing_takes_a_few_strips(tmp_path, short_strips, monkeypatch, name, bits):
    monkeypatch.setattr(strips, "STRIP_PIXELS", 2**13)
    picture = Picture(np.random.default_rng(0).random((900, 800, 3), np.float32))
    peak = peak_memory(lambda: images.write(tmp_path / name, picture, bits=bits))
    assert peak < 0.3 * picture.rgb.nbytes


@for_each("bits", [8, 16])
@for_each("alpha", [None, ALPHA])
def test_a_tiff_that_may_pass_4_gb_is_a_big_one(tmp_path, short_strips, monkeypatch, bits, alpha):
    small, big = tmp_path / "a.tif", tmp_path / "b.tif"
    images.write(small, Picture(RGB, alpha), bits=bits)
    with monkeypatch.context() as patch:
        patch.setattr(image_encode, "CLASSIC_BYTES", 3 * 61 * 34 * bits // 8 - 1)
        images.write(big, Picture(RGB, alpha), bits=bits, description="{}")
    with tifffile.TiffFile(small) as one, tifffile.TiffFile(big) as two:
        assert (one.is_bigtiff, two.is_bigtiff) == (False, True)
        np.testing.assert_array_equal(one.asarray(), two.asarray())
    np.testing.assert_array_equal(images.read(small).rgb, images.read(big).rgb)
    assert images.read_sides(big) == (61, 34)
    assert images.read_description(big) == "{}"


def test_the_largest_results_have_their_tiff():
    assert image_encode.CLASSIC_BYTES < 2**32
    assert 32768 * 32768 * 3 * 2 > image_encode.CLASSIC_BYTES > 16384 * 16384 * 4 * 2


# --- profile, description, determinism ------------------------------------------------------------


@for_each(("name", "bits"), [*((name, 8) for name in NAMES), ("a.png", 16), ("a.tif", 16)])
def test_profile_and_metadata_are_embedded(tmp_path, name, bits):
    images.write(tmp_path / name, Picture(RGB, ALPHA), bits=bits, description=JSON)
    assert images.read_description(tmp_path / name) == JSON
    with Image.open(tmp_path / name) as pil:
        assert pil.info["icc_profile"] == image_color.srgb_profile()
        exif = dict(pil.getexif())
    assert exif[0x010E] == JSON
    assert exif[0x0131] == "jaxstyle"
    assert 0x0132 not in exif  # DateTime
    images.write(tmp_path / name, Picture(RGB), bits=bits)
    with Image.open(tmp_path / name) as pil:
        assert 0x010E not in pil.getexif()


def test_a_file_without_our_description_is_refused(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    images.write(paths[0], Picture(RGB))
    Image.new("RGB", (4, 4)).save(paths[1])
    camera = Image.Exif()
    camera[0x010E], camera[0x0131] = "OLYMPUS DIGITAL CAMERA", "Version 1.0"
    Image.new("RGB", (4, 4)).save(paths[2], exif=camera)
    for path in paths:
        with pytest.raises(ImageError, match=f"{path.name}: there are no jaxstyle settings"):
            images.read_description(path)
    with pytest.raises(ImageError, match="No such file"):
        images.read_description(tmp_path / "none.png")


def test_bytes_do_not_depend_on_the_date(monkeypatch):
    before = {name: images.encoded(name, Picture(RGB, ALPHA), description=JSON) for name in NAMES}
    tobytes = ImageCms.ImageCmsProfile.tobytes

    def another_day(profile):
        data = tobytes(profile)
        return data[:24] + struct.pack(">6H", 2031, 7, 5, 11, 30, 59) + data[36:]

    monkeypatch.setattr(ImageCms.ImageCmsProfile, "tobytes", another_day)
    image_color.srgb_profile.cache_clear()
    for name, data in before.items():
        assert images.encoded(name, Picture(RGB, ALPHA), description=JSON) == data, name
