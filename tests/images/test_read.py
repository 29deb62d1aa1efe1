"""Tests of `jaxstyle.images.read` on every kind of picture that can be read."""

import io
import struct
import zlib
from unittest.mock import Mock

import jax.numpy as jnp
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images import Picture
from jaxstyle.images import _read as image_read
from jaxstyle.images import _strips as strips
from tests.cases import for_each
from tests.images.conftest import peak_memory, png

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
ALPHA = np.random.default_rng(1).integers(0, 256, (6, 9), dtype=np.uint8)
RGBA = np.dstack([PIXELS, ALPHA])
DEEP = np.random.default_rng(2).integers(0, 65536, (6, 9, 4), dtype=np.uint16)
LARGE = np.random.default_rng(2).integers(0, 65536, (61, 34, 4), dtype=np.uint16)


def same(picture: Picture, rgb: np.ndarray, alpha: np.ndarray | None = None, within: float = 1e-6):
    """Check a picture against levels, given as integers or as floats in [0, 1]."""

    def unit(levels):
        return levels if levels.dtype.kind == "f" else levels / np.iinfo(levels.dtype).max

    assert picture.rgb.dtype == np.float32
    np.testing.assert_allclose(picture.rgb, unit(rgb), atol=within)
    assert (picture.alpha is None) == (alpha is None)
    if alpha is not None:
        assert picture.alpha.dtype == np.float32
        np.testing.assert_allclose(picture.alpha, unit(alpha), atol=within)


def saved(path, pil, **options):
    pil.save(path, **options)
    return planned(path)


def planned(path) -> Picture:
    """Read a picture, checking that its sides are those that are planned."""
    picture = images.read(path)
    assert images.read_sides(path) == picture.rgb.shape[:2]
    return picture


def gray(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels[..., None], 3, axis=-1)


def deep_png(path, levels: np.ndarray, *chunks: tuple[bytes, bytes]) -> Picture:
    """Read a 16-bit PNG of 1 to 4 channels, unfiltered, with chunks before its pixels."""
    height, width, channels = levels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, (None, 0, 4, 2, 6)[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    path.write_bytes(png(header, *chunks, (b"IDAT", zlib.compress(rows))))
    return planned(path)


def tiff(path, levels: np.ndarray, **options) -> Picture:
    """Read a TIFF of RGB, with alpha if there are four channels, or of gray."""
    if levels.ndim == 3:
        options = {"photometric": "rgb", **options}
        options |= {"extrasamples": ["unassalpha"]} if levels.shape[2] == 4 else {}
    tifffile.imwrite(path, levels, **{"photometric": "minisblack", **options})
    return planned(path)


# --- formats and modes ----------------------------------------------------------------------------


@for_each(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.webp", {"lossless": True}),
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.TIFF", {"compression": "tiff_adobe_deflate"}),
        ("a.jpg", {"format": "PNG"}),  # formats are told by content
        ("noextension", {"format": "BMP"}),
    ],
)
def test_lossless_formats(tmp_path, name, options):
    same(saved(tmp_path / name, Image.fromarray(PIXELS), **options), PIXELS)


def test_jpeg(tmp_path):
    smooth = np.repeat(np.linspace(20, 230, 64).astype(np.uint8)[None], 48, axis=0)
    same(saved(tmp_path / "a.jpg", Image.fromarray(smooth), quality=95), gray(smooth), within=0.01)


ANIMATION = "is an animation: its first picture is taken"


@for_each(
    ("name", "options"),
    [("a.gif", {}), ("a.webp", {"lossless": True}), ("a.png", {}), ("a.tif", {})],
)
def test_an_animation_is_read_as_its_first_frame(tmp_path, name, options):
    first, second = Image.new("RGB", (5, 4), (255, 0, 0)), Image.new("RGB", (5, 4), (0, 0, 255))
    picture = saved(tmp_path / name, first, save_all=True, append_images=[second], **options)
    same(picture, np.asarray(first))
    several = "has 2 pictures: the first is taken (5x4)" if name == "a.tif" else ANIMATION
    assert picture.notes == (f"{tmp_path / name}: {several}",)
    assert saved(tmp_path / name, first, **options).notes == ()


@for_each("size", [(1, 1), (3, 5000), (5000, 3)])
def test_extreme_shapes(tmp_path, size):
    pixels = np.full((*size, 3), 77, np.uint8)
    same(saved(tmp_path / "a.png", Image.fromarray(pixels)), pixels)


@for_each("mode", ["L", "1", "LA", "RGBA", "P"])
@for_each("name", ["a.png", "a.tif"])
def test_modes(tmp_path, mode, name):
    pil = Image.fromarray(RGBA if "A" in mode else PIXELS).convert(mode)
    rgb = np.asarray(pil.convert("RGBA"))[..., :3]
    same(saved(tmp_path / name, pil), rgb, ALPHA if mode in ("LA", "RGBA") else None)


@for_each("mode", ["YCbCr", "HSV", "RGBX", "RGBa", "La", "PA"])
def test_pil_images_of_uncommon_modes(mode):
    opaque = Image.fromarray(np.dstack([PIXELS, np.full((6, 9), 255, np.uint8)]))
    source = opaque.convert({"La": "LA", "PA": "P"}.get(mode, "RGBA" if "a" in mode else "RGB"))
    expected = np.asarray(source.convert("RGB"))
    alpha = np.ones((6, 9)) if mode in ("RGBa", "La", "PA") else None
    same(images.read(source.convert(mode)), expected, alpha, within=0.05)  # HSV is coarse


@for_each(
    ("name", "transparency", "alpha"),
    [
        ("a.png", bytes([10, 200]), [10, 200, 255]),
        ("a.png", 1, [255, 0, 255]),
        ("a.gif", 1, [255, 0, 255]),
    ],
)
def test_transparency_of_a_palette(tmp_path, name, transparency, alpha):
    pil = Image.new("P", (3, 1))
    pil.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    pil.putdata([0, 1, 2])
    picture = saved(tmp_path / name, pil, transparency=transparency)
    same(picture, np.eye(3)[None], np.array([alpha], np.uint8))


@for_each(("mode", "key"), [("L", 7), ("RGB", (7, 8, 9)), ("1", 0)])
def test_a_color_marked_as_transparent(tmp_path, mode, key):
    pil = Image.new(mode, (2, 1), 255 if mode != "RGB" else (1, 2, 3))
    pil.putpixel((0, 0), key)
    picture = saved(tmp_path / "a.png", pil, transparency=key)
    same(picture, np.asarray(pil.convert("RGB")), np.array([[0.0, 1.0]]))


@for_each("name", ["a.tif", "a.jpg"])  # Pillow stores JPEGs inverted, as Adobe does
def test_cmyk_without_a_profile(tmp_path, name):
    inks = np.full((16, 16, 4), (0, 0, 128, 0), np.uint8)
    inks[:, :8] = (255, 0, 0, 0)
    picture = saved(tmp_path / name, Image.frombytes("CMYK", (16, 16), inks.tobytes()))
    np.testing.assert_allclose(picture.rgb[8, [2, 13]], [(0, 1, 1), (1, 1, 0.5)], atol=0.03)
    assert picture.alpha is None


# --- 16 bits --------------------------------------------------------------------------------------


@for_each("channels", [1, 2, 3, 4])
def test_sixteen_bit_png(tmp_path, channels):
    picture = deep_png(tmp_path / "a.png", DEEP[..., :channels])
    rgb = gray(DEEP[..., 0]) if channels < 3 else DEEP[..., :3]
    alpha = DEEP[..., channels - 1] if channels in (2, 4) else None
    same(picture, rgb, alpha, within=1 / 255 if channels == 2 else 1e-6)  # Pillow has 8 bits of LA


def test_a_color_of_sixteen_bits_marked_as_transparent(tmp_path):
    levels = np.array([[[256, 300, 65535], [257, 300, 65535]]], np.uint16)  # alike in 8 bits
    alpha = np.array([[0.0, 1.0]])
    color, shade = struct.pack(">HHH", *levels[0, 0]), struct.pack(">H", 256)
    same(deep_png(tmp_path / "a.png", levels, (b"tRNS", color)), levels, alpha)
    one = levels[..., :1]
    same(deep_png(tmp_path / "a.png", one, (b"tRNS", shade)), gray(one[..., 0]), alpha)


@for_each("order", ["<", ">"])
@for_each("compression", [None, "zlib"])
def test_sixteen_bit_tiff(tmp_path, order, compression):
    path, options = tmp_path / "a.tif", {"byteorder": order, "compression": compression}
    black, white = DEEP[..., 0], 65535 - DEEP[..., 0]
    same(tiff(path, DEEP, **options), DEEP[..., :3], DEEP[..., 3])
    same(tiff(path, DEEP[..., :3], **options), DEEP[..., :3])
    same(tiff(path, black, **options), gray(black))
    if order == "<":  # Pillow does not know the other
        same(tiff(path, white, photometric="miniswhite", **options), gray(black))


# --- large pictures -------------------------------------------------------------------------------


@for_each("dtype", [np.uint8, np.uint16])
@for_each("levels", [LARGE[..., 0], LARGE[..., :3], LARGE])
@for_each("layout", [{"rowsperstrip": 8}, {"tile": (16, 16)}])
@for_each("compression", [None, "zlib"])
def test_big_tiffs(tmp_path, short_strips, dtype, levels, layout, compression):
    stored = levels if dtype == np.uint16 else (levels >> 8).astype(np.uint8)
    options = {"bigtiff": True, "byteorder": "<", "compression": compression, **layout}
    picture = tiff(tmp_path / "a.tif", stored, predictor=compression == "zlib", **options)
    rgb = gray(stored) if stored.ndim == 2 else stored[..., :3]
    same(picture, rgb, stored[..., 3] if stored.shape[2:] == (4,) else None)


@for_each("read", [images.read, images.read_sides, images.read_description])
def test_a_big_endian_big_tiff_is_refused(tmp_path, read):
    """Pillow does not recognize it: it looks for the BigTIFF version in the wrong byte."""
    tifffile.imwrite(tmp_path / "a.tif", LARGE[..., :3], bigtiff=True, byteorder=">")
    with pytest.raises(ImageError, match="big-endian BigTIFF is not supported; save it as little"):
        read(tmp_path / "a.tif")


@for_each("mode", ["L", "1", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "I;16"])
@for_each("orientation", range(1, 9))
def test_strips_change_no_pixel(mode, orientation, monkeypatch):
    eight = (LARGE >> 8).astype(np.uint8)
    if mode == "I;16":
        source = Image.fromarray(LARGE[..., 0])
    elif mode in ("CMYK", "LAB"):
        source = Image.frombytes(mode, (34, 61), eight[..., : len(mode)].tobytes())
    else:
        source = Image.fromarray(eight if "A" in mode else eight[..., :3]).convert(mode)
    source.getexif()[ExifTags.Base.Orientation] = orientation
    whole = images.read(source)
    with monkeypatch.context() as patch:
        patch.setattr(strips, "STRIP_PIXELS", 7 * 34)
        parts = images.read(source)
    assert whole.rgb.shape == ((34, 61, 3) if orientation > 4 else (61, 34, 3))
    assert (whole.alpha is None) == (mode not in ("LA", "RGBA"))
    same(parts, whole.rgb, whole.alpha, within=0)


@for_each("bits", [8, 16])
def test_reading_takes_the_floats_and_a_few_strips(tmp_path, monkeypatch, bits):
    monkeypatch.setattr(strips, "STRIP_PIXELS", 2**13)
    picture = Picture(np.random.default_rng(0).random((900, 800, 3), np.float32))
    images.write(tmp_path / "a.png", picture, bits=bits)
    assert peak_memory(lambda: images.read(tmp_path / "a.png")) < 1.3 * picture.rgb.nbytes


# --- EXIF orientation -----------------------------------------------------------------------------

# How an upright picture is stored under each orientation (TIFF 6.0, section 8, Orientation).
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: np.rot90(upright, 2),
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif.tobytes()


@for_each("orientation", STORED)
@for_each(
    ("name", "options"),
    [("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True, "exact": True})],
)
def test_orientation_of_color_and_alpha(tmp_path, orientation, name, options):
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](RGBA)))
    picture = saved(tmp_path / name, stored, exif=oriented(orientation), **options)
    same(picture, PIXELS, ALPHA)


@for_each("orientation", STORED)
def test_orientation_of_jpeg(tmp_path, orientation):
    upright = np.full((16, 32), 255, np.uint8)
    upright[:8, :16] = 0  # one dark corner
    upright[:8, 16:] = 90
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    picture = saved(tmp_path / "a.jpg", stored, quality=95, exif=oriented(orientation))
    same(picture, gray(upright), within=0.03)


@for_each("orientation", STORED)
def test_orientation_of_sixteen_bits(tmp_path, orientation):
    stored = np.ascontiguousarray(STORED[orientation](DEEP))
    exif = (b"eXIf", oriented(orientation).removeprefix(b"Exif\0\0"))
    same(deep_png(tmp_path / "a.png", stored, exif), DEEP[..., :3], DEEP[..., 3])
    tag = (274, "H", 1, orientation, True)
    same(tiff(tmp_path / "a.tif", stored, extratags=[tag]), DEEP[..., :3], DEEP[..., 3])


@for_each("orientation", STORED)
@for_each("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}])
def test_orientation_of_tiff_is_its_tag(tmp_path, orientation, options):
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](PIXELS)))
    same(saved(tmp_path / "a.tif", stored, tiffinfo={274: orientation}, **options), PIXELS)


XMP = '<x:xmpmeta><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'


@for_each("orientation", STORED)
@for_each("kind", ["a.png", "a.tif", "a.webp"])
def test_orientation_may_be_in_xmp(tmp_path, orientation, kind):
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](PIXELS)))
    text = XMP.format(orientation)
    about = PngImagePlugin.PngInfo()
    about.add_itxt("XML:com.adobe.xmp", text)
    options = {
        "a.png": {"pnginfo": about},
        "a.tif": {"tiffinfo": {700: text.encode()}},
        "a.webp": {"xmp": text.encode(), "lossless": True},
    }
    same(saved(tmp_path / kind, stored, **options[kind]), PIXELS)


@for_each("orientation", STORED)
def test_orientation_at_the_end_of_a_png(tmp_path, orientation):
    stored = np.ascontiguousarray(STORED[orientation](PIXELS))
    rows = b"".join(b"\0" + row.tobytes() for row in stored)
    header = struct.pack(">IIBBBBB", stored.shape[1], stored.shape[0], 8, 2, 0, 0, 0)
    exif = (b"eXIf", oriented(orientation).removeprefix(b"Exif\0\0"))
    (tmp_path / "a.png").write_bytes(png(header, (b"IDAT", zlib.compress(rows)), exif))
    same(planned(tmp_path / "a.png"), PIXELS)


@for_each("orientation", STORED)
def test_orientation_of_several_pictures_in_a_file(tmp_path, orientation):
    upright = np.full((16, 32), 90, np.uint8)
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    options = {"save_all": True, "append_images": [stored], "exif": oriented(orientation)}
    picture = saved(tmp_path / "a.jpg", stored, format="MPO", **options)
    same(picture, gray(upright), within=0.03)
    assert picture.notes == (f"{tmp_path / 'a.jpg'}: has several pictures: the main one is taken",)


def test_a_png_is_not_decoded_for_its_sides(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "_getdecoder", Mock(side_effect=AssertionError("decoded")))
    assert images.read_sides(tmp_path / "a.png") == (6, 9)


def test_a_picture_that_is_not_as_large_as_its_header_says_is_refused(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    monkeypatch.setattr(image_read, "_upright_sides", lambda image: (9, 6))
    with pytest.raises(ImageError, match="is decoded as 9x6 pixels, but its header says 6x9"):
        images.read(tmp_path / "a.png")


@for_each("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", oriented(99)])
def test_damaged_exif_is_ignored(tmp_path, exif):
    same(saved(tmp_path / "a.png", Image.fromarray(PIXELS), exif=exif), PIXELS)


# --- metadata -------------------------------------------------------------------------------------


def plain_png(path, *chunks: tuple[bytes, bytes], after: tuple[tuple[bytes, bytes], ...] = ()):
    """Read a PNG of ``PIXELS`` with further chunks before and after its pixels."""
    rows = b"".join(b"\0" + row.tobytes() for row in PIXELS)
    header = struct.pack(">IIBBBBB", 9, 6, 8, 2, 0, 0, 0)
    path.write_bytes(png(header, *chunks, (b"IDAT", zlib.compress(rows)), *after))
    return planned(path)


LONG = b"a" * 2_700_000
UNNEEDED = {
    "a long compressed text": (b"zTXt", b"Comment\0\0" + zlib.compress(LONG)),
    "a very long one": (b"zTXt", b"Comment\0\0" + zlib.compress(LONG * 40)),
    "a long text": (b"tEXt", b"Comment\0" + LONG),
    "a long international text": (b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(LONG)),
    "long XMP": (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(LONG * 10)),
    "a long EXIF profile": (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(LONG * 10)),
    "a text that is not compressed as it says": (b"zTXt", b"Comment\0\0" + b"garbage"),
    "an unknown chunk": (b"vpAg", bytes(9)),
    "a short pHYs": (b"pHYs", bytes(3)),
    "a short gAMA": (b"gAMA", b"\0"),
    "an empty sRGB": (b"sRGB", b""),
}


@for_each("what", UNNEEDED)
def test_metadata_that_nobody_needs_are_no_reason_to_refuse_the_pixels(tmp_path, what):
    same(plain_png(tmp_path / "a.png", UNNEEDED[what]), PIXELS)
    same(plain_png(tmp_path / "a.png", after=(UNNEEDED[what],)), PIXELS)


def test_damaged_metadata_are_ignored_with_a_note_if_they_matter(tmp_path):
    for kind, data in (
        (b"tEXt", b"Comment\0hello"),
        (b"pHYs", bytes(9)),
        (b"eXIf", bytes(20)),
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"iCCP", b"a\0\0" + zlib.compress(bytes(200))),
    ):
        plain_png(tmp_path / "a.png", (kind, data))
        stored = (tmp_path / "a.png").read_bytes()
        place = stored.index(kind) + 4 + len(data)  # of the checksum
        (tmp_path / "a.png").write_bytes(stored[:place] + bytes(4) + stored[place + 4 :])
        picture = planned(tmp_path / "a.png")
        same(picture, PIXELS)
        said = f"{tmp_path / 'a.png'}: its {kind.decode()} chunk is damaged, and is ignored"
        assert picture.notes == (() if kind == b"tEXt" else (said,))


@for_each("packed", [b"garbage", zlib.compress(bytes(2**25)), zlib.compress(bytes(200))[:-9], b""])
def test_a_profile_that_cannot_be_unpacked_is_ignored_with_a_note(tmp_path, packed):
    picture = plain_png(tmp_path / "a.png", (b"iCCP", b"a\0\0" + packed))
    same(picture, PIXELS)
    assert picture.notes == (f"{tmp_path / 'a.png'}: its iCCP chunk is damaged, and is ignored",)


def test_a_large_profile_is_used(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(2_000_000)
    chunk = (b"iCCP", b"a\0\0" + zlib.compress(profile))
    same(plain_png(tmp_path / "a.png", chunk), PIXELS)


@for_each(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.jpg", {}),
        ("a.tif", {}),
        ("a.tif", {"compression": "jpeg"}),
    ],
)
def test_resolution(tmp_path, name, options):
    pil = Image.new("RGB", (8, 8))
    np.testing.assert_allclose(
        saved(tmp_path / name, pil, dpi=(300, 240), **options).dpi, (300, 240), 1e-3
    )
    assert saved(tmp_path / name, pil, **options).dpi is None


def test_resolution_in_exif_and_in_centimeters(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 100.0
    exif[ExifTags.Base.ResolutionUnit] = 3
    picture = saved(tmp_path / "a.webp", Image.new("RGB", (8, 8)), exif=exif)
    np.testing.assert_allclose(picture.dpi, (254, 254), rtol=1e-3)


@for_each("dpi", [(0, 0), (1e9, 1e9)])
def test_a_resolution_without_sense_is_ignored(tmp_path, dpi):
    tag = [(282, 5, 1, (int(dpi[0]), 1), True), (283, 5, 1, (0, 0), True)]
    tiff(tmp_path / "a.tif", PIXELS, extratags=tag[1:])
    assert planned(tmp_path / "a.tif").dpi is None


# --- arrays and PIL images ------------------------------------------------------------------------


def lazily(levels: np.ndarray) -> Image.Image:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG")
    return Image.open(buffer)


@for_each(
    ("source", "rgb", "alpha", "within"),
    [
        (PIXELS, PIXELS, None, 1e-6),
        (RGBA, PIXELS, ALPHA, 1e-6),
        (ALPHA, gray(ALPHA), None, 1e-6),
        (ALPHA[..., None], gray(ALPHA), None, 1e-6),
        (DEEP, DEEP[..., :3], DEEP[..., 3], 1e-6),
        (PIXELS / 255, PIXELS, None, 1e-6),
        ((PIXELS / 255).astype(np.float16), PIXELS, None, 1e-3),
        ([[0.0, 0.5], [1.0, 0.25]], gray(np.array([[0.0, 0.5], [1.0, 0.25]])), None, 1e-6),
        (Image.fromarray(RGBA), PIXELS, ALPHA, 1e-6),
        (lazily(RGBA), PIXELS, ALPHA, 1e-6),
        (Image.fromarray(DEEP[..., 0]), gray(DEEP[..., 0]), None, 1e-6),
        (Image.fromarray(DEEP[..., 0].astype(np.int32)), gray(DEEP[..., 0]), None, 1e-6),
    ],
)
def test_arrays_and_pil_images(source, rgb, alpha, within):
    same(images.read(source), rgb, alpha, within)


def test_jax_arrays():
    same(images.read(jnp.asarray(RGBA)), PIXELS, ALPHA)
    same(images.read(jnp.asarray(PIXELS / 255, jnp.bfloat16)), PIXELS, within=1 / 256)


def test_a_float32_array_is_copied_and_writable():
    values = np.zeros((2, 2, 3), np.float32)
    picture = images.read(values)
    picture.rgb[0] = 1
    assert values.max() == 0
