"""Tests of `jaxstyle.images.read` on every kind of picture that can be read."""

import io
import struct
import zlib

import jax.numpy as jnp
import numpy as np
import tifffile
from PIL import ExifTags, Image

from jaxstyle import images
from jaxstyle.images import Picture
from tests.cases import for_each

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
ALPHA = np.random.default_rng(1).integers(0, 256, (6, 9), dtype=np.uint8)
RGBA = np.dstack([PIXELS, ALPHA])
DEEP = np.random.default_rng(2).integers(0, 65536, (6, 9, 4), dtype=np.uint16)


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
    return images.read(path)


def grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels[..., None], 3, axis=-1)


def png(levels: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a 16-bit PNG of 1 to 4 channels, unfiltered, with chunks before its pixels."""
    height, width, channels = levels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, (None, 0, 4, 2, 6)[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    all_chunks = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in all_chunks
    )


# --- formats and modes ----------------------------------------------------------------------------


def test_lossless_formats(tmp_path):
    for name, options in (
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.webp", {"lossless": True}),
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.TIFF", {"compression": "tiff_adobe_deflate"}),
    ):
        same(saved(tmp_path / name, Image.fromarray(PIXELS), **options), PIXELS)


def test_jpeg(tmp_path):
    smooth = np.repeat(np.linspace(20, 230, 64).astype(np.uint8)[None], 48, axis=0)
    same(saved(tmp_path / "a.jpg", Image.fromarray(smooth), quality=95), grey(smooth), within=0.01)


def test_formats_are_detected_by_content_and_not_by_extension(tmp_path):
    same(saved(tmp_path / "a.jpg", Image.fromarray(PIXELS), format="PNG"), PIXELS)
    same(saved(tmp_path / "noextension", Image.fromarray(PIXELS), format="BMP"), PIXELS)


@for_each("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_first_frame(tmp_path, name):
    first, second = Image.new("RGB", (5, 4), (255, 0, 0)), Image.new("RGB", (5, 4), (0, 0, 255))
    options = {"lossless": True} if name == "a.webp" else {}
    picture = saved(tmp_path / name, first, save_all=True, append_images=[second], **options)
    same(picture, np.asarray(first))


def test_extreme_shapes(tmp_path):
    for size in ((1, 1), (3, 5000), (5000, 3)):
        pixels = np.full((*size, 3), 77, np.uint8)
        same(saved(tmp_path / "a.png", Image.fromarray(pixels)), pixels)


@for_each("mode", ["L", "1", "LA", "RGBA", "P"])
def test_modes(tmp_path, mode):
    pil = Image.fromarray(RGBA if "A" in mode else PIXELS).convert(mode)
    rgb = np.asarray(pil.convert("RGBA"))[..., :3]
    for name in ("a.png", "a.tif"):
        same(saved(tmp_path / name, pil), rgb, ALPHA if mode in ("LA", "RGBA") else None)


def test_webp_alpha_and_the_colors_under_it(tmp_path):
    same(
        saved(tmp_path / "a.webp", Image.fromarray(RGBA), lossless=True, exact=True), PIXELS, ALPHA
    )


@for_each("mode", ["YCbCr", "HSV", "RGBX", "RGBa", "La", "PA"])
def test_pil_images_of_uncommon_modes(mode):
    opaque = Image.fromarray(np.dstack([PIXELS, np.full((6, 9), 255, np.uint8)]))
    source = opaque.convert({"La": "LA", "PA": "P"}.get(mode, "RGBA" if "a" in mode else "RGB"))
    expected = np.asarray(source.convert("RGB"))
    alpha = np.ones((6, 9)) if mode in ("RGBa", "La", "PA") else None
    same(images.read(source.convert(mode)), expected, alpha, within=0.05)  # HSV is coarse


def test_palette_transparency(tmp_path):
    pil = Image.new("P", (3, 1))
    pil.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    pil.putdata([0, 1, 2])
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    by_entry = np.array([[10, 200, 255]], np.uint8)
    same(saved(tmp_path / "a.png", pil, transparency=bytes([10, 200])), rgb, by_entry)
    single = np.array([[255, 0, 255]], np.uint8)
    same(saved(tmp_path / "b.png", pil, transparency=1), rgb, single)
    same(saved(tmp_path / "c.gif", pil, transparency=1), rgb, single)


@for_each(("mode", "key"), [("L", 7), ("RGB", (7, 8, 9)), ("1", 0)])
def test_transparent_color(tmp_path, mode, key):
    pil = Image.new(mode, (2, 1), 255 if mode != "RGB" else (1, 2, 3))
    pil.putpixel((0, 0), key)
    picture = saved(tmp_path / "a.png", pil, transparency=key)
    np.testing.assert_array_equal(picture.alpha, [[0, 1]])
    same(Picture(picture.rgb), np.asarray(pil.convert("RGB")))


def test_cmyk_without_a_profile(tmp_path):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, :8] = (255, 0, 0, 0)
    inks[:, 8:] = (0, 0, 128, 0)
    pil = Image.frombytes("CMYK", (16, 16), inks.tobytes())
    for name in ("a.tif", "a.jpg"):  # Pillow stores JPEGs inverted, as Adobe does
        picture = saved(tmp_path / name, pil)
        np.testing.assert_allclose(picture.rgb[8, 2], (0, 1, 1), atol=0.03)
        np.testing.assert_allclose(picture.rgb[8, 13], (1, 1, 0.5), atol=0.03)
        assert picture.alpha is None


def test_lab(tmp_path):
    lab = Image.frombytes("LAB", (1, 1), bytes([137, 80, 67]))  # about (53.7, 80, 67): sRGB red
    np.testing.assert_allclose(saved(tmp_path / "a.tif", lab).rgb[0, 0], (1, 0, 0), atol=0.06)


# --- 16 bits --------------------------------------------------------------------------------------


def test_sixteen_bit_png(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(DEEP))
    same(images.read(path), DEEP[..., :3], DEEP[..., 3])
    path.write_bytes(png(DEEP[..., :3]))
    same(images.read(path), DEEP[..., :3])
    path.write_bytes(png(DEEP[..., :1]))
    same(images.read(path), grey(DEEP[..., 0]))
    path.write_bytes(png(DEEP[..., :2]))  # grey and alpha: Pillow has 8 bits of these
    same(images.read(path), grey(DEEP[..., 0]), DEEP[..., 1], within=1 / 255)


def test_sixteen_bit_png_transparent_color(tmp_path):
    levels = np.array([[[256, 300, 65535], [257, 300, 65535]]], np.uint16)  # alike in 8 bits
    (tmp_path / "a.png").write_bytes(png(levels, (b"tRNS", struct.pack(">HHH", *levels[0, 0]))))
    same(images.read(tmp_path / "a.png"), levels, np.array([[0.0, 1.0]]))
    (tmp_path / "b.png").write_bytes(png(levels[..., :1], (b"tRNS", struct.pack(">H", 256))))
    same(images.read(tmp_path / "b.png"), grey(levels[..., 0]), np.array([[0.0, 1.0]]))


@for_each("order", ["<", ">"])
@for_each("compression", [None, "zlib"])
def test_sixteen_bit_tiff(tmp_path, order, compression):
    path, options = tmp_path / "a.tif", {"byteorder": order, "compression": compression}
    tifffile.imwrite(path, DEEP, photometric="rgb", extrasamples=["unassalpha"], **options)
    same(images.read(path), DEEP[..., :3], DEEP[..., 3])
    rgb, black, white = DEEP[..., :3], DEEP[..., 0], 65535 - DEEP[..., 0]
    tifffile.imwrite(path, rgb, photometric="rgb", **options)
    same(images.read(path), rgb)
    tifffile.imwrite(path, black, photometric="minisblack", **options)
    same(images.read(path), grey(black))
    if order == "<":  # Pillow does not know the other
        tifffile.imwrite(path, white, photometric="miniswhite", **options)
        same(images.read(path), grey(black))


def test_sixteen_bit_tiff_in_tiles(tmp_path):
    big = np.random.default_rng(3).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", big, photometric="rgb", tile=(16, 16))
    same(images.read(tmp_path / "a.tif"), big)


def test_sixteen_bit_pil_images():
    levels = DEEP[..., 0]
    same(images.read(Image.fromarray(levels)), grey(levels))
    same(images.read(Image.fromarray(levels.astype(np.int32))), grey(levels))


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
def test_orientation_of_color_and_alpha(tmp_path, orientation):
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](RGBA)))
    webp = {"lossless": True, "exact": True}
    for name, options in {"a.png": {}, "a.tif": {}, "a.webp": webp}.items():
        picture = saved(tmp_path / name, stored, exif=oriented(orientation), **options)
        same(picture, PIXELS, ALPHA)


@for_each("orientation", STORED)
def test_orientation_of_jpeg(tmp_path, orientation):
    upright = np.full((16, 32), 255, np.uint8)
    upright[:8, :16] = 0  # one dark corner
    upright[:8, 16:] = 90
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    picture = saved(tmp_path / "a.jpg", stored, quality=95, exif=oriented(orientation))
    same(picture, grey(upright), within=0.03)


@for_each("orientation", STORED)
def test_orientation_of_sixteen_bits(tmp_path, orientation):
    stored = np.ascontiguousarray(STORED[orientation](DEEP))
    exif = (b"eXIf", oriented(orientation).removeprefix(b"Exif\0\0"))
    (tmp_path / "a.png").write_bytes(png(stored, exif))
    same(images.read(tmp_path / "a.png"), DEEP[..., :3], DEEP[..., 3])
    tag = (274, "H", 1, orientation, True)
    options = {"extrasamples": ["unassalpha"], "extratags": [tag]}
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", **options)
    same(images.read(tmp_path / "a.tif"), DEEP[..., :3], DEEP[..., 3])


def test_damaged_exif_is_ignored(tmp_path):
    for exif in (b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", oriented(99)):
        same(saved(tmp_path / "a.png", Image.fromarray(PIXELS), exif=exif), PIXELS)


# --- arrays ---------------------------------------------------------------------------------------


def test_arrays():
    same(images.read(PIXELS), PIXELS)
    same(images.read(RGBA), PIXELS, ALPHA)
    same(images.read(ALPHA), grey(ALPHA))
    same(images.read(ALPHA[..., None]), grey(ALPHA))
    same(images.read(DEEP), DEEP[..., :3], DEEP[..., 3])
    same(images.read(PIXELS / 255), PIXELS)  # float64
    same(images.read((PIXELS / 255).astype(np.float16)), PIXELS, within=1e-3)
    same(images.read([[0.0, 0.5], [1.0, 0.25]]), grey(np.array([[0.0, 0.5], [1.0, 0.25]])))


def test_jax_arrays():
    same(images.read(jnp.asarray(RGBA)), PIXELS, ALPHA)
    same(images.read(jnp.asarray(PIXELS / 255, jnp.bfloat16)), PIXELS, within=1 / 256)


def test_a_float32_array_is_copied_and_writable():
    values = np.zeros((2, 2, 3), np.float32)
    picture = images.read(values)
    picture.rgb[0] = 1
    assert values.max() == 0


def test_pil_image_in_memory_and_lazily_opened():
    buffer = io.BytesIO()
    Image.fromarray(RGBA).save(buffer, "PNG")
    same(images.read(Image.fromarray(RGBA)), PIXELS, ALPHA)
    same(images.read(Image.open(buffer)), PIXELS, ALPHA)
