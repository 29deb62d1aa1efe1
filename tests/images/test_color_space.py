"""Tests of color spaces that files name by other means than an ICC profile."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, features

from jaxstyle import images
from jaxstyle.images._color_space import conversion
from jaxstyle.images._rgb_space import from_primaries, power
from tests.cases import for_each
from tests.images.conftest import png
from tests.images.test_icc import prophoto, saved, srgb

P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
"""White and primaries."""

P3_TO_SRGB = np.array(
    [[1.2249402, -0.2249402, 0], [-0.0420570, 1.0420570, 0], [-0.0196376, -0.0786361, 1.0982736]]
)
"""The product of the matrices of CSS Color 4."""

OF_SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
LEVELS = np.random.default_rng(0).integers(0, 65536, (6, 7, 3), dtype=np.uint16)


def decoded(unit):
    return np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)


def encoded(light):
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def of_p3(unit):
    return encoded(decoded(unit) @ P3_TO_SRGB.T)


def gama(value):
    return b"gAMA", struct.pack(">I", round(value * 1e5))


def chrm(numbers):
    return b"cHRM", struct.pack(">8I", *(round(number * 1e5) for number in numbers))


def cicp(*codes):
    return b"cICP", bytes(codes)


def written(path, levels, *chunks):
    """Write a PNG of 8 or 16 bits with these chunks, and read it."""
    bits, (height, width, channels) = 8 * levels.itemsize, levels.shape
    header = struct.pack(">IIBBBBB", width, height, bits, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = levels.astype(f">u{levels.itemsize}").reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    path.write_bytes(png(header, *chunks, (b"IDAT", zlib.compress(data))))
    return images.read(path)


def unit(levels):
    return levels / np.iinfo(levels.dtype).max


EIGHT = (LEVELS >> 8).astype(np.uint8)


@for_each("levels", [LEVELS, EIGHT])
@for_each(
    ("chunks", "expected"),
    [
        ([gama(1.0)], encoded),
        ([gama(1 / 1.8)], lambda v: encoded(v**1.8)),
        ([gama(0.45455)], lambda v: v),
        ([gama(0.45455), chrm(OF_SRGB)], lambda v: v),
        ([chrm(P3)], of_p3),
        ([gama(0.45455), chrm(P3)], of_p3),
        ([gama(1.0), chrm(P3)], lambda v: encoded(v @ P3_TO_SRGB.T)),
        ([(b"sRGB", b"\0"), gama(1.0), chrm(P3)], lambda v: v),
        ([gama(1.0), (b"sRGB", b"\0")], lambda v: v),
        ([cicp(12, 13, 0, 1), (b"sRGB", b"\0"), gama(1.0)], of_p3),
        ([cicp(1, 13, 0, 1), gama(1.0), chrm(P3)], lambda v: v),
        ([cicp(1, 8, 0, 1)], encoded),
        ([cicp(2, 2, 0, 1)], lambda v: v),
    ],
)
def test_png_chunks(tmp_path, levels, chunks, expected):
    picture = written(tmp_path / "a.png", levels, *chunks)
    np.testing.assert_allclose(picture.rgb, expected(unit(levels)), atol=6e-4)
    assert not picture.notes


def test_an_icc_profile_precedes_gamma_and_follows_code_points(tmp_path):
    iccp = b"iCCP", b"p\0\0" + zlib.compress(prophoto())
    picture = written(tmp_path / "a.png", LEVELS, iccp, gama(1.0))
    np.testing.assert_allclose(picture.rgb, srgb(LEVELS), atol=0.002)
    picture = written(tmp_path / "a.png", LEVELS, iccp, cicp(12, 13, 0, 1))
    np.testing.assert_allclose(picture.rgb, of_p3(unit(LEVELS)), atol=6e-4)


def test_gray_and_palettes_have_a_gamma_too(tmp_path):
    gray = LEVELS[..., :1]
    picture = written(tmp_path / "a.png", gray, gama(1.0), chrm(P3))
    np.testing.assert_allclose(picture.rgb, encoded(unit(gray)).repeat(3, 2), atol=1e-5)
    palette = np.array([[0, 10, 40], [200, 100, 0], [255, 255, 255]], np.uint8)
    indexed = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode="P")
    indexed.putpalette(palette.tobytes())
    data = io.BytesIO()
    indexed.save(data, "PNG", transparency=b"\0\xff")
    whole = data.getvalue()
    path = tmp_path / "b.png"
    path.write_bytes(whole[:33] + png(b"", gama(1.0))[8 + 12 :][:16] + whole[33:])
    picture = images.read(path)
    np.testing.assert_allclose(picture.rgb[0], encoded(palette / 255), atol=1e-5)
    np.testing.assert_array_equal(picture.alpha, [[0, 1, 1]])


def test_alpha_has_no_gamma(tmp_path):
    levels = np.random.default_rng(1).integers(1, 65536, (5, 5, 4), dtype=np.uint16)
    picture = written(tmp_path / "a.png", levels, gama(1.0))
    np.testing.assert_allclose(picture.alpha, unit(levels[..., 3]), atol=1e-6)
    np.testing.assert_allclose(picture.rgb, encoded(unit(levels[..., :3])), atol=1e-5)


@for_each(
    ("chunks", "said"),
    [
        ([gama(0.0)], "a gamma of 0"),
        ([gama(20000.0)], "a gamma of 20000"),
        ([chrm([0.0] * 8)], "its chromaticities are no colors"),
        ([chrm([0.3127, 0.3290] * 4)], "its primaries lie on a line"),
        ([chrm([0.7, 0.25, *P3[2:]])], "its white is not a mixture of its primaries"),
        ([chrm([30000.0] * 8)], "its chromaticities are no colors"),
        ([cicp(9, 16, 0, 1)], "high dynamic range (PQ)"),
        ([cicp(9, 18, 0, 1)], "high dynamic range (HLG)"),
        ([cicp(77, 13, 0, 1)], "codes 77 and 13"),
        ([cicp(12, 13, 0, 0)], "of video range"),
        ([cicp(12)], "is ignored"),
    ],
)
def test_nonsense_is_ignored_with_a_note(tmp_path, chunks, said):
    picture = written(tmp_path / "a.png", EIGHT, *chunks)
    np.testing.assert_allclose(picture.rgb, unit(EIGHT), atol=1e-6)
    [note] = picture.notes
    assert "a.png: " in note
    assert said in note
    assert "\n" not in note


# --- EXIF -----------------------------------------------------------------------------------------


def exif_of(space, index=None):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "camera"  # or Pillow would take it for empty
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = space
    if index:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: index}
    return exif


def of_adobe(pixels):
    adobe = np.array([[1.39836, -0.39836, 0], [0, 1, 0], [0, -0.04293, 1.04293]])
    return encoded((pixels / 255) ** (563 / 256) @ adobe.T)


@for_each("name", ["a.jpg", "a.png", "a.webp"])
@for_each(
    ("exif", "adobe"),
    [
        (exif_of(2), True),
        (exif_of(65535, "R03"), True),
        (exif_of(1, "R98"), False),
        (exif_of(1), False),
    ],
)
def test_adobe_rgb_by_exif(tmp_path, name, exif, adobe):
    pixels = np.full((16, 16, 3), (60, 200, 120), np.uint8)
    options = {"quality": 100, "subsampling": 0} if name == "a.jpg" else {}
    options |= {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(pixels).save(tmp_path / name, exif=exif, **options)
    picture = images.read(tmp_path / name)
    expected = of_adobe(pixels) if adobe else pixels / 255
    np.testing.assert_allclose(picture.rgb, expected, atol=0.012)
    assert not picture.notes


def test_adobe_rgb_by_the_exif_data_of_a_tiff(tmp_path):
    pixels, path, own = np.full((16, 16, 3), (60, 200, 120), np.uint8), tmp_path / "a.tif", 40000
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=[(own, 4, 1, 1, True)])
    data = path.read_bytes()
    pointers = (
        struct.pack("<HHII", *pointer)
        for pointer in ((own, 4, 1, 1), (ExifTags.IFD.Exif, 4, 1, len(data)))
    )
    directory = struct.pack("<HHHIHHI", 1, ExifTags.Base.ColorSpace, 3, 1, 2, 0, 0)
    path.write_bytes(data.replace(*pointers) + directory)
    np.testing.assert_allclose(images.read(path).rgb, of_adobe(pixels), atol=1e-3)


def test_an_uncalibrated_picture_has_a_note(tmp_path):
    Image.fromarray(EIGHT).save(tmp_path / "a.jpg", exif=exif_of(65535))
    assert "uncalibrated" in images.read(tmp_path / "a.jpg").notes[0]


def test_a_profile_precedes_exif(tmp_path):
    picture = saved(tmp_path / "a.png", EIGHT, prophoto(), exif=exif_of(2))
    np.testing.assert_allclose(picture.rgb, srgb(EIGHT), atol=0.012)


# --- TIFF -----------------------------------------------------------------------------------------

WHITE, CHROMATICITIES, TRANSFER = 318, 319, 301


def rationals(numbers):
    return tuple(part for number in numbers for part in (round(number * 1e5), 100000))


@for_each("levels", [LEVELS, EIGHT])
@for_each("transfer", [None, 1.0, 1.8])
@for_each("channels", [1, 3])
def test_tiff_tags(tmp_path, levels, transfer, channels):
    tags = [(WHITE, 5, 2, rationals(P3[:2]), True), (CHROMATICITIES, 5, 6, rationals(P3[2:]), True)]
    if transfer:
        count = 2 ** (8 * levels.itemsize)
        table = np.rint(np.linspace(0, 1, count) ** transfer * 65535).astype(int).tolist()
        tags.append((TRANSFER, 3, channels * count, tuple(table * channels), True))
    kind, shown = ("rgb", levels) if channels == 3 else ("minisblack", levels[..., 0])
    tifffile.imwrite(tmp_path / "a.tif", shown, photometric=kind, extratags=tags)
    values = unit(levels[..., :channels]).repeat(3 // channels, axis=2)
    light = values**transfer if transfer else decoded(values)
    expected = encoded(light @ P3_TO_SRGB.T)
    np.testing.assert_allclose(images.read(tmp_path / "a.tif").rgb, expected, atol=6e-4)


def test_nonsense_in_tiff_tags_is_a_note(tmp_path):
    for tags in (
        [(CHROMATICITIES, 5, 6, (0, 0) * 6, True)],
        [(TRANSFER, 3, 256, (0,) * 256, True)],
        [(WHITE, 5, 2, (1, 1, 1, 1), True)],
        [(CHROMATICITIES, 5, 2, (1, 2, 1, 2), True)],
    ):
        tifffile.imwrite(tmp_path / "a.tif", EIGHT, photometric="rgb", extratags=tags)
        picture = images.read(tmp_path / "a.tif")
        np.testing.assert_allclose(picture.rgb, unit(EIGHT), atol=1e-6)
        assert "is ignored" in picture.notes[0]


@for_each("kind", [np.uint8, np.uint16])
@for_each("compression", [None, "zlib"])
def test_premultiplied_tiff(tmp_path, kind, compression):
    most = np.iinfo(kind).max
    alpha = np.array([[0, most // 4, most // 2, most]], kind)
    color = np.array((0.8, 0.5, 0.2))
    straight = np.broadcast_to(np.rint(color * most), (1, 4, 3)).astype(kind)
    premultiplied = np.rint(straight * (alpha[..., None] / most)).astype(kind)
    for sort, stored in (("assocalpha", premultiplied), ("unassalpha", straight)):
        tifffile.imwrite(
            tmp_path / "a.tif",
            np.dstack([stored, alpha]),
            photometric="rgb",
            extrasamples=[sort],
            compression=compression,
        )
        picture = images.read(tmp_path / "a.tif")
        within = 0.01 if kind == np.uint8 else 1e-4
        np.testing.assert_allclose(picture.rgb[0, 1:], straight[0, 1:] / most, atol=within)
        np.testing.assert_allclose(picture.alpha, alpha / most, atol=1e-6)
        assert not picture.notes


# --- BMP and AVIF ---------------------------------------------------------------------------------


def bitmap(pixels, kind, ends=(0,) * 9, gammas=(0,) * 3, profile=b""):
    """Return a BMP file of version 5."""
    height, width, _ = pixels.shape
    rows = np.pad(pixels[::-1, :, ::-1].reshape(height, -1), ((0, 0), (0, -3 * width % 4)))
    data = rows.astype(np.uint8).tobytes()
    head = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 24, 0, len(data), 0, 0, 0, 0)
    head += bytes(16) + kind + struct.pack("<9I", *(round(number * 2**30) for number in ends))
    head += struct.pack("<3I", *(round(number * 65536) for number in gammas))
    head += struct.pack("<4I", 4, 124 + len(data), len(profile), 0)
    assert len(head) == 124
    size = 14 + len(head) + len(data) + len(profile)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, 138) + head + data + profile


XYZ_OF_P3 = np.array(
    [[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0.0, 0.04511, 1.04394]]
)


@for_each(
    ("given", "expected"),
    [
        ({"kind": b"BGRs"}, lambda v: v),
        ({"kind": b" niW"}, lambda v: v),
        ({"kind": bytes(4)}, lambda v: v),
        (
            {"kind": bytes(4), "ends": XYZ_OF_P3.T.ravel() / 2, "gammas": (2.2,) * 3},
            of_p3,
        ),
        (
            {"kind": bytes(4), "ends": XYZ_OF_P3.T.ravel() / 2, "gammas": (1.0,) * 3},
            lambda v: encoded(v @ P3_TO_SRGB.T),
        ),
        ({"kind": b"DEBM", "profile": prophoto()}, lambda v: srgb(np.uint8(np.rint(v * 255)))),
    ],
)
def test_bmp_headers(tmp_path, given, expected):
    (tmp_path / "a.bmp").write_bytes(bitmap(EIGHT, **given))
    picture = images.read(tmp_path / "a.bmp")
    np.testing.assert_allclose(picture.rgb, expected(unit(EIGHT)), atol=0.012)
    assert not picture.notes


def test_a_bmp_that_names_a_profile_elsewhere_or_damaged_end_points_has_a_note(tmp_path):
    for given in (
        {"kind": b"KNIL", "profile": b"C:\\a.icc\0"},
        {"kind": bytes(4), "ends": (0.1,) * 9, "gammas": (2.2,) * 3},
        {"kind": bytes(4), "ends": XYZ_OF_P3.T.ravel() / 2, "gammas": (1000.0,) * 3},
    ):
        (tmp_path / "a.bmp").write_bytes(bitmap(EIGHT, **given))
        picture = images.read(tmp_path / "a.bmp")
        np.testing.assert_allclose(picture.rgb, unit(EIGHT), atol=1e-6)
        assert len(picture.notes) == 1


def test_a_space_with_its_own_white_keeps_white_white():
    primaries = (0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)
    space = from_primaries(power(1.0), primaries, white=(0.3457, 0.3585))
    np.testing.assert_allclose(space.to_srgb(np.full((1, 1, 3), 255, np.uint8)), 1, atol=2e-4)


def test_sixteen_bits_that_come_down_to_eight_have_a_note(tmp_path):
    levels = np.random.default_rng(0).integers(0, 65536, (4, 5, 2), dtype=np.uint16)
    header = struct.pack(">IIBBBBB", 5, 4, 16, 4, 0, 0, 0)
    data = b"".join(b"\0" + row.tobytes() for row in levels.astype(">u2").reshape(4, -1))
    (tmp_path / "a.png").write_bytes(png(header, (b"IDAT", zlib.compress(data))))
    [note] = images.read(tmp_path / "a.png").notes
    assert note.endswith("a.png: of 16 bits of color 8 are read")


def test_inks_without_a_profile_have_a_note(tmp_path):
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    [note] = images.read(tmp_path / "a.jpg").notes
    assert "no ICC profile" in note


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_the_codes_of_avif(tmp_path):
    path = tmp_path / "a.avif"
    Image.fromarray(np.full((16, 16, 3), 100, np.uint8)).save(path, quality=100)
    data = path.read_bytes()
    place = data.index(b"colrnclx") + 8
    for codes, needed, notes in (
        ((1, 13), False, 0),
        ((1, 1), False, 0),
        ((2, 2), False, 0),
        ((12, 13), True, 0),
        ((9, 16), False, 1),
    ):
        path.write_bytes(data[:place] + struct.pack(">2H", *codes) + data[place + 4 :])
        with path.open("rb") as file, Image.open(file) as image:
            found = conversion(image, file, deep=False)
        assert (found.convert is not None, len(found.notes)) == (needed, notes)
