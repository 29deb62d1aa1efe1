"""Tests of ICC profiles, some of them built here from their specification (ICC.1)."""

import struct

import numpy as np
import tifffile
from PIL import Image, ImageCms

from jaxstyle import images
from jaxstyle.images._icc import by_littlecms, curves_and_matrix, srgb_profile
from tests.cases import for_each

# Colorants of ProPhoto RGB and of sRGB, columns R G B, adapted to D50.
PROPHOTO = np.array([[0.79767, 0.13519, 0.03135], [0.28804, 0.71188, 0.00009], [0.0, 0.0, 0.82489]])
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
D50 = (0.9642, 1.0, 0.8249)

RAMP = np.arange(256, dtype=np.uint8)[None]


def xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + b"\0\0"


def profile(device_class: bytes, space: bytes, pcs: bytes, **tags: bytes) -> bytes:
    """Return an ICC version 2 profile of these tags."""
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78 + 1)
    tags = {"desc": text, "cprt": b"text\0\0\0\0free\0\0\0\0", "wtpt": xyz(D50), **tags}
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name.encode() + struct.pack(">II", offset + len(body), len(data))
        body += data
    white = struct.pack(">3i", *(round(value * 65536) for value in D50))
    head = b"\0\0\0\0" + struct.pack(">I", 0x02400000) + device_class + space + pcs
    head += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white
    size = struct.pack(">I", offset + len(body))
    return size + head.ljust(124, b"\0") + struct.pack(">I", len(tags)) + table + body


def prophoto() -> bytes:
    colorants = {f"{name}XYZ": xyz(PROPHOTO[:, i]) for i, name in enumerate("rgb")}
    curves = {f"{name}TRC": gamma(1.8) for name in "rgb"}
    return profile(b"mntr", b"RGB ", b"XYZ ", **colorants, **curves)


def red_cyan_ink() -> bytes:
    """Return a CMYK profile whose cyan ink is red, Lab (55, 70, 50), and other inks only darken."""
    identity = struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    curve = bytes(range(256))
    colors = b""
    for corner in np.ndindex(2, 2, 2, 2):  # C M Y K, black changing fastest
        cyan, *dark = corner
        lab = (55, 70, 50) if cyan else (100, 0, 0)
        lightness = lab[0] if not any(dark) else 0
        colors += bytes([round(lightness * 2.55), lab[1] + 128, lab[2] + 128])
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + curve * 4 + colors + curve * 3
    return profile(b"prtr", b"CMYK", b"Lab ", A2B0=lut)


def encoded(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def saved(path, pixels: np.ndarray, icc: bytes, **options) -> images.Picture:
    Image.fromarray(pixels).save(path, icc_profile=icc, **options)
    return images.read(path)


def srgb(levels: np.ndarray) -> np.ndarray:
    """Convert levels of 8 or 16 bits from ProPhoto RGB."""
    unit = levels / np.iinfo(levels.dtype).max
    return encoded(unit**1.8 @ PROPHOTO.T @ np.linalg.inv(SRGB).T)


@for_each(("name", "options"), [("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True})])
def test_a_wide_gamut_is_converted(tmp_path, name, options):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.abs(srgb(pixels) - pixels / 255).max() > 0.1  # or nothing would be tested
    picture = saved(tmp_path / name, pixels, prophoto(), **options)
    np.testing.assert_allclose(picture.rgb, srgb(pixels), atol=0.012)


def test_alpha_is_not_converted(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    picture = saved(tmp_path / "a.png", pixels, prophoto())
    np.testing.assert_allclose(picture.alpha, pixels[..., 3] / 255, atol=1e-6)
    opaque = saved(tmp_path / "b.png", pixels[..., :3].copy(), prophoto())
    np.testing.assert_array_equal(picture.rgb, opaque.rgb)


def test_sixteen_bits_are_converted_and_stay_so(tmp_path):
    levels = np.random.default_rng(2).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", levels, photometric="rgb", iccprofile=prophoto())
    picture = images.read(tmp_path / "a.tif")
    np.testing.assert_allclose(picture.rgb, srgb(levels), atol=0.002)  # gamma of 1.8 in 1 / 256
    ramp = np.arange(30000, 30100, dtype=np.uint16)[None, :, None].repeat(3, axis=2)
    tifffile.imwrite(tmp_path / "b.tif", ramp, photometric="rgb", iccprofile=prophoto())
    assert len(np.unique(images.read(tmp_path / "b.tif").rgb[..., 0])) == 100
    assert not picture.notes


def para(function: int, *numbers: float) -> bytes:
    fixed = struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))
    return b"para\0\0\0\0" + struct.pack(">HH", function, 0) + fixed


def table(values: np.ndarray) -> bytes:
    levels = np.rint(values * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(levels)) + levels.tobytes()


CURVES = [
    gamma(1.0),
    gamma(2.2),
    b"curv\0\0\0\0" + bytes(4),
    table(np.linspace(0, 1, 1024) ** 1.7),
    para(0, 2.4),
    para(1, 1.8, 1.1, -0.1),
    para(2, 2.0, 1.1, -0.1, 0.0),
    para(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    para(4, 2.2, 0.9, 0.1, 0.2, 0.1, 0.0, 0.0),
]
"""A curve of every kind."""


@for_each("curve", CURVES)
@for_each("colorants", [PROPHOTO, SRGB])
def test_curves_and_matrices_are_those_of_littlecms(tmp_path, curve, colorants):
    each = {f"{name}XYZ": xyz(colorants[:, i]) for i, name in enumerate("rgb")}
    icc = profile(b"mntr", b"RGB ", b"XYZ ", **each, **{f"{name}TRC": curve for name in "rgb"})
    pixels = np.random.default_rng(5).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    space = curves_and_matrix(icc)
    ours = space.to_srgb(pixels) * 255
    theirs = by_littlecms(icc, "RGB")(pixels)
    assert np.abs(ours - theirs).max() <= 1
    assert np.abs(space.to_srgb(pixels.astype(np.uint16) * 257) * 255 - ours).max() < 0.01


@for_each("curve", [para(1, 1.8, 0.9, 0.1), table(0.02 + 0.98 * np.linspace(0, 1, 100) ** 2)])
@for_each("space", [b"RGB ", b"GRAY"])
def test_black_that_is_not_0_becomes_0(curve, space):
    names = {f"{name}TRC": curve for name in "rgb"} | {"kTRC": curve}
    names |= {f"{name}XYZ": xyz(SRGB[:, i]) for i, name in enumerate("rgb")}
    icc = profile(b"mntr", space, b"XYZ ", **names)
    grays = RAMP[..., None] if space == b"GRAY" else RAMP[..., None].repeat(3, axis=2)
    ours = curves_and_matrix(icc).to_srgb(grays) * 255
    theirs = by_littlecms(icc, "L" if space == b"GRAY" else "RGB")(grays)
    assert ours[0, 0, 0] < 0.5
    assert np.abs(ours - theirs).max() <= 1


def test_sixteen_bits_with_tables_have_a_note(tmp_path):
    lut = (
        b"mft1\0\0\0\0"
        + bytes([3, 3, 2, 0])
        + struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    )
    corners = np.array([(r, g, b) for r in (0, 1) for g in (0, 1) for b in (0, 1)])
    lab = np.stack([corners.mean(axis=1) * 255, *[np.full(8, 128)] * 2], axis=1)
    lut += bytes(range(256)) * 3 + lab.astype(np.uint8).tobytes() + bytes(range(256)) * 3
    icc = profile(b"mntr", b"RGB ", b"Lab ", A2B0=lut)
    levels = np.random.default_rng(2).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", levels, photometric="rgb", iccprofile=icc)
    picture = images.read(tmp_path / "a.tif")
    [note] = picture.notes
    assert note.endswith("a.tif: its ICC profile has tables, so of 16 bits of color 8 are kept")
    np.testing.assert_allclose(picture.rgb[..., 0], picture.rgb[..., 2], atol=0.02)


def test_a_damaged_curve_is_left_to_littlecms(tmp_path):
    whole = prophoto()
    levels = np.random.default_rng(2).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    rng = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(whole)
        for place in rng.integers(128, len(whole), 3):
            damaged[place] = rng.integers(256)
        tifffile.imwrite(tmp_path / "a.tif", levels, photometric="rgb", iccprofile=bytes(damaged))
        picture = images.read(tmp_path / "a.tif")
        assert np.isfinite(picture.rgb).all()
        assert picture.rgb.min() >= 0
        assert picture.rgb.max() <= 1


GRAY = profile(b"mntr", b"GRAY", b"XYZ ", kTRC=gamma(1.8))


@for_each(
    ("levels", "icc", "within"),
    [
        (RAMP, GRAY, 0.005),
        (np.dstack([RAMP, RAMP[:, ::-1]]), GRAY, 0.005),  # with alpha
        (np.linspace(0, 65535, 500).astype(np.uint16)[None], GRAY, 0.001),
        (RAMP, prophoto(), 0.012),
    ],
)
def test_gray_is_converted(tmp_path, levels, icc, within):
    picture = saved(tmp_path / "a.png", levels, icc)
    gray = levels if levels.ndim == 2 else levels[..., 0]
    expected = encoded((gray / np.iinfo(levels.dtype).max) ** 1.8)
    np.testing.assert_allclose(picture.rgb, np.dstack([expected] * 3), atol=within)


@for_each("name", ["a.jpg", "a.tif"])
def test_inks_are_converted(tmp_path, name):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, :8, 0] = 255
    pil = Image.frombytes("CMYK", (16, 16), inks.tobytes())
    pil.save(tmp_path / name, icc_profile=red_cyan_ink())
    rgb = images.read(tmp_path / name).rgb
    red, green, blue = rgb[8, 2]
    assert red > 0.8 > 0.35 > max(green, blue)
    np.testing.assert_allclose(rgb[8, 13], 1, atol=0.02)


RAW = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@for_each("icc", [RAW, srgb_profile()])
def test_profiles_equivalent_to_srgb_change_nothing(tmp_path, icc):
    cube = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    picture = saved(tmp_path / "a.png", cube, icc)
    np.testing.assert_array_equal(picture.rgb, cube.astype(np.float32) / np.float32(255))


@for_each(
    "broken",
    [
        b"not a profile at all",
        srgb_profile()[:200],
        GRAY,  # for gray pictures only
        red_cyan_ink(),
        profile(b"mntr", b"RGB ", b"XYZ "),  # no colorants
        profile(b"mntr", b"\x1b[2J", b"XYZ "),  # an escape sequence for terminals
    ],
)
def test_an_unusable_profile_is_ignored_with_a_note(tmp_path, broken):
    pixels = np.random.default_rng(4).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = saved(tmp_path / "a.png", pixels, broken)
    np.testing.assert_allclose(picture.rgb, pixels / 255, atol=1e-6)
    [note] = picture.notes
    assert "a.png: its ICC profile is ignored: " in note
    assert note.isprintable()


def test_lab_needs_no_profile(tmp_path):
    lab = Image.frombytes("LAB", (1, 1), bytes([137, 80, 67]))  # about (53.7, 80, 67): sRGB red
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for options in ({}, {"icc_profile": icc}):
        lab.save(tmp_path / "a.tif", **options)
        picture = images.read(tmp_path / "a.tif")
        np.testing.assert_allclose(picture.rgb[0, 0], (1, 0, 0), atol=0.06)
        assert not picture.notes


def test_our_profile_has_no_date_and_is_srgb():
    ours = srgb_profile()
    assert ours[:24] + ours[36:] == RAW[:24] + RAW[36:]
    assert struct.unpack(">6H", ours[24:36]) == (2000, 1, 1, 0, 0, 0)
