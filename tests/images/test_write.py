"""Tests of the contents of files from `jaxstyle.images.write`."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images import Picture
from jaxstyle.images import _icc as image_color
from tests.cases import for_each

RGB = np.random.default_rng(0).random((21, 34, 3), dtype=np.float32)
ALPHA = np.random.default_rng(1).random((21, 34), dtype=np.float32)
ALPHA[:5] = 0
NAMES = ["a.png", "a.jpg", "a.jpeg", "a.webp", "a.tif", "a.tiff", "a.PNG"]
JSON = '{"style_weight": 1.5, "note": "\\u00fc"}'


def chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the chunks of a PNG file, after checking their checksums."""
    found, offset = {}, 8
    while offset < len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        kind, body = data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + length]
        assert struct.unpack_from(">I", data, offset + 8 + length)[0] == zlib.crc32(kind + body)
        assert kind not in found
        found[kind] = body
        offset += 12 + length
    return found


def png_levels(data: bytes) -> np.ndarray:
    """Decode the levels of a 16-bit PNG whose rows have filter Up, by the specification."""
    found = chunks(data)
    width, height, depth, color = struct.unpack_from(">IIBB", found[b"IHDR"])
    channels = {2: 3, 6: 4}[color]
    assert depth == 16
    rows = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 2).all()
    summed = np.cumsum(rows[:, 1:].astype(np.uint64), axis=0).astype(np.uint8)
    return summed.view(">u2").reshape(height, width, channels)


# --- what is written ------------------------------------------------------------------------------


@for_each("name", ["a.png", "a.tif"])
@for_each("bits", [8, 16])
@for_each("alpha", [None, ALPHA])
def test_lossless_round_trip(tmp_path, name, bits, alpha):
    top = np.float32(2**bits - 1)
    images.write(tmp_path / name, Picture(RGB, alpha), bits=bits)
    back = images.read(tmp_path / name)
    np.testing.assert_array_equal(back.rgb, np.rint(RGB * top) / top)
    assert (back.alpha is None) == (alpha is None)
    if alpha is not None:
        np.testing.assert_array_equal(back.alpha, np.rint(alpha * top) / top)
    images.write(tmp_path / f"again-{name}", back, bits=bits)
    assert (tmp_path / f"again-{name}").read_bytes() == (tmp_path / name).read_bytes()


@for_each("alpha", [None, ALPHA])
def test_sixteen_bits_as_other_readers_see_them(tmp_path, alpha):
    values = RGB if alpha is None else np.dstack([RGB, alpha])
    levels = np.rint(values * np.float32(65535)).astype(np.uint16)
    images.write(tmp_path / "a.png", Picture(RGB, alpha), bits=16)
    np.testing.assert_array_equal(png_levels((tmp_path / "a.png").read_bytes()), levels)
    with Image.open(tmp_path / "a.png") as pil:  # in 8 bits: the high bytes
        np.testing.assert_array_equal(np.asarray(pil), levels >> 8)
    images.write(tmp_path / "a.tif", Picture(RGB, alpha), bits=16)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), levels)


def test_values_are_clipped_and_rounded_to_the_nearest(tmp_path):
    values = np.array([[[-0.5, 2.0, 0.5], [0.4999 / 255, 0.5001 / 255, 254.6 / 255]]], np.float32)
    images.write(tmp_path / "a.png", Picture(values))
    with Image.open(tmp_path / "a.png") as pil:
        np.testing.assert_array_equal(np.asarray(pil), [[[0, 255, 128], [0, 1, 255]]])


def smooth_picture() -> Picture:
    y, x = np.mgrid[0:64, 0:96].astype(np.float32)
    return Picture(np.stack([x / 95, y / 63, 1 - x / 95], axis=-1), y / 63)


@for_each(("name", "within"), [("a.jpg", 0.025), ("a.webp", 0.05)])
def test_lossy_formats_are_close(tmp_path, name, within):
    picture = Picture(smooth_picture().rgb)
    images.write(tmp_path / name, picture)
    np.testing.assert_allclose(images.read(tmp_path / name).rgb, picture.rgb, atol=within)


def test_jpeg_keeps_all_chroma(tmp_path):
    images.write(tmp_path / "a.jpg", smooth_picture())
    with Image.open(tmp_path / "a.jpg") as pil:
        assert [layer[1:3] for layer in pil.layer] == [(1, 1)] * 3


def test_jpeg_lays_alpha_over_white(tmp_path):
    picture = smooth_picture()
    images.write(tmp_path / "a.jpg", picture)
    expected = picture.rgb * picture.alpha[..., None] + (1 - picture.alpha[..., None])
    back = images.read(tmp_path / "a.jpg")
    assert back.alpha is None
    np.testing.assert_allclose(back.rgb, expected, atol=0.03)


@for_each("name", ["a.png", "a.webp", "a.tif"])
def test_alpha_is_kept(tmp_path, name):
    picture = smooth_picture()
    images.write(tmp_path / name, picture)
    np.testing.assert_allclose(images.read(tmp_path / name).alpha, picture.alpha, atol=0.003)


# --- profile, description, determinism ------------------------------------------------------------


@for_each(("name", "bits"), [*((name, 8) for name in NAMES), ("a.png", 16), ("a.tif", 16)])
def test_profile_and_metadata(tmp_path, name, bits):
    images.write(tmp_path / name, Picture(RGB, ALPHA), bits=bits, description=JSON)
    assert images.read_description(tmp_path / name) == JSON
    with Image.open(tmp_path / name) as pil:
        assert pil.info["icc_profile"] == image_color.srgb_profile()
        exif = dict(pil.getexif())
    assert exif[0x010E] == JSON
    assert exif[0x0131] == "jaxstyle"
    assert 0x0132 not in exif  # DateTime


def test_no_description_is_written_by_default(tmp_path):
    for name in NAMES:
        images.write(tmp_path / name, Picture(RGB))
        with Image.open(tmp_path / name) as pil:
            assert 0x010E not in pil.getexif(), name


def test_no_description(tmp_path):
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
