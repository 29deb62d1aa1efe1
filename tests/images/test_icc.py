"""Tests of ICC profiles, some of them built here from their specification (ICC.1)."""

import logging
import struct

import numpy as np
import tifffile
from PIL import Image, ImageCms

from jaxstyle import images
from jaxstyle.images._icc import srgb_profile
from tests.cases import for_each

# Colorants of ProPhoto RGB and of sRGB, columns R G B, adapted to D50.
PROPHOTO = np.array([[0.79767, 0.13519, 0.03135], [0.28804, 0.71188, 0.00009], [0.0, 0.0, 0.82489]])
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
D50 = (0.9642, 1.0, 0.8249)


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


def test_sixteen_bits_are_converted_too(tmp_path):
    levels = np.random.default_rng(2).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", levels, photometric="rgb", iccprofile=prophoto())
    np.testing.assert_allclose(images.read(tmp_path / "a.tif").rgb, srgb(levels), atol=0.015)


RAMP = np.arange(256, dtype=np.uint8)[None]
GRAY = profile(b"mntr", b"GRAY", b"XYZ ", kTRC=gamma(1.8))


@for_each(
    ("levels", "icc", "within"),
    [
        (RAMP, GRAY, 0.005),
        (np.dstack([RAMP, RAMP[:, ::-1]]), GRAY, 0.005),  # with alpha
        (np.linspace(0, 65535, 500).astype(np.uint16)[None], GRAY, 0.01),  # by way of 8 bits
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
    ],
)
def test_an_unusable_profile_is_ignored_and_logged(tmp_path, caplog, broken):
    pixels = np.random.default_rng(4).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    caplog.clear()
    picture = saved(tmp_path / "a.png", pixels, broken)
    np.testing.assert_allclose(picture.rgb, pixels / 255, atol=1e-6)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "a.png: its ICC profile is ignored" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_lab_needs_no_profile(tmp_path, caplog):
    lab = Image.frombytes("LAB", (1, 1), bytes([137, 80, 67]))  # about (53.7, 80, 67): sRGB red
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for options in ({}, {"icc_profile": icc}):
        lab.save(tmp_path / "a.tif", **options)
        np.testing.assert_allclose(images.read(tmp_path / "a.tif").rgb[0, 0], (1, 0, 0), atol=0.06)
        assert not caplog.records


def test_our_profile_has_no_date_and_is_srgb():
    ours = srgb_profile()
    assert ours[:24] + ours[36:] == RAW[:24] + RAW[36:]
    assert struct.unpack(">6H", ours[24:36]) == (2000, 1, 1, 0, 0, 0)
