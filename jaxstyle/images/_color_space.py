"""What a file says about its colors, and their conversion to sRGB.

Files name a color space in many ways. `declared` reads them in the order that the formats define:

    PNG         cICP, then an ICC profile, then sRGB, then gAMA and cHRM (PNG, third edition, 4.3)
    AVIF, HEIC  an ICC profile, then the codes of nclx, which are those of cICP
    TIFF        an ICC profile, then PrimaryChromaticities, WhitePoint and TransferFunction
    BMP         an embedded ICC profile, or end points and gamma (versions 4 and 5)
    all         an ICC profile, then ColorSpace and InteroperabilityIndex of EXIF

What is not known or makes no sense is taken for sRGB, with a note.
"""

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from jaxstyle.errors import message_of
from jaxstyle.images._icc import by_littlecms, curves_and_matrix
from jaxstyle.images._rgb_space import (
    ADOBE,
    D65,
    SRGB,
    Curve,
    Primaries,
    RgbSpace,
    White,
    decode,
    from_primaries,
    power,
)
from jaxstyle.machine.files import BinaryFile

Convert = Callable[[np.ndarray], np.ndarray]
"""A function from levels, height x width x channels, to sRGB: levels, or floats from 0 to 1."""


class Conversion(NamedTuple):
    """A conversion to sRGB, None if none is needed, and notes for the user."""

    convert: Convert | None = None
    notes: tuple[str, ...] = ()


class Declared(NamedTuple):
    """The color space of a file: an ICC profile or an `RgbSpace`, None for sRGB; and a note."""

    space: bytes | RgbSpace | None = None
    note: str = ""


def conversion(image: Image.Image, file: BinaryFile | None, *, deep: bool) -> Conversion:
    """Return the conversion of the colors of a picture to sRGB.

    Args:
      image: The picture.
      file: The file that it is read from, if any.
      deep: Whether the levels to convert have 16 bits.
    """
    if image.mode in ("LAB", "HSV"):  # which Pillow converts to sRGB
        return Conversion()
    mode = mode_of(image)
    try:
        space, note = declared(image, file)
    except Exception as error:  # damaged metadata leads to exceptions of any type
        space, note = None, f"what it says of its color space is ignored: {message_of(error)}"
    notes = (note,) if note else ()
    if isinstance(space, RgbSpace):
        if mode == "CMYK":
            return Conversion(None, (*notes, "its color space is ignored: the pixels are CMYK"))
        return Conversion(_needed(space.to_srgb, mode), notes)
    if space is None:
        inks = "its inks have no ICC profile: their colors are rough" if mode == "CMYK" else ""
        return Conversion(None, (*notes, inks) if inks else notes)
    found = _of_profile(space, mode, deep)
    return Conversion(found.convert, (*notes, *found.notes))


def mode_of(image: Image.Image) -> str:
    """Return the mode of the colors of a picture without alpha: L, RGB or CMYK."""
    if image.mode in ("1", "L", "LA", "La", "I") or image.mode.startswith("I;16"):
        return "L"
    return "CMYK" if image.mode == "CMYK" else "RGB"


def _of_profile(profile: bytes, mode: str, deep: bool) -> Conversion:
    """Return the conversion from an ICC profile."""
    try:
        convert = by_littlecms(profile, mode)
    except ValueError as error:
        return Conversion(None, (f"its ICC profile is ignored: {message_of(error)}",))
    if mode != "CMYK" and _needed(convert, mode) is None:
        return Conversion()
    if not deep:
        return Conversion(convert)
    try:
        space = curves_and_matrix(profile)
    except ValueError:
        space = None
    if space is not None:
        return Conversion(space.to_srgb)
    note = "its ICC profile has tables, so of 16 bits of color 8 are kept"
    return Conversion(lambda levels: convert(_in_eight_bits(levels)), (note,))


def _in_eight_bits(levels: np.ndarray) -> np.ndarray:
    return np.rint(levels * np.float32(255 / 65535)).astype(np.uint8)


_SAME = 1 / 255  # a conversion that changes no color by more is left out


def _needed(convert: Convert, mode: str) -> Convert | None:
    """Return a conversion, or None if it hardly changes any color of a coarse grid."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
    before = cube if mode == "RGB" else cube[..., :1]
    after = convert(before)
    after = after / 255 if after.dtype == np.uint8 else after
    return convert if np.abs(after - before / 255).max() > _SAME + 1e-6 else None


# --- what files say -------------------------------------------------------------------------------


def declared(image: Image.Image, file: BinaryFile | None) -> Declared:
    """Return the color space that a picture and its file declare.

    Raises:
      Exception: What they say is damaged; of any type.
    """
    codes, info = _codes(image, file), image.info
    if codes and image.format == "PNG":
        return _of_codes(*codes)
    if profile := info.get("icc_profile"):
        return Declared(profile)
    if codes:
        return _of_codes(*codes)
    if "srgb" in info:
        return Declared()
    if "gamma" in info or "chromaticity" in info:
        return _of_png(info.get("gamma"), info.get("chromaticity"))
    if image.format == "TIFF":
        found = _of_tiff(getattr(image, "tag_v2", {}))
    else:
        found = _of_bitmap(file) if image.format == "BMP" and file else None
    return found or _of_exif(image)


def _of_png(gamma: float | None, chromaticities: Sequence[float] | None) -> Declared:
    """Return the color space of the chunks gAMA and cHRM."""
    if gamma is not None and not 0.01 <= gamma <= 10:
        raise ValueError(f"a gamma of {gamma:g}")
    curve = decode if gamma is None else _of_exponent(1 / gamma)
    if chromaticities is None:
        return Declared(from_primaries(curve, SRGB))
    return Declared(from_primaries(curve, *_pairs(chromaticities)))


def _of_exponent(exponent: float) -> Curve:
    """Return a power curve, or that of sRGB for about 2.2, by which files approximate it."""
    return decode if abs(exponent - 2.2) <= 0.05 else power(exponent)


def _pairs(numbers: Sequence[float]) -> tuple[Primaries, White]:
    """Return primaries and white of eight numbers, white first."""
    wx, wy, rx, ry, gx, gy, bx, by = map(float, numbers)
    return ((rx, ry), (gx, gy), (bx, by)), (wx, wy)


def _of_tiff(tags: Mapping[int, Any]) -> Declared | None:
    """Return the color space of tags that describe it, if there are any (TIFF 6.0, section 20)."""
    white, primaries, transfer = (tags.get(tag) for tag in (318, 319, 301))
    if not (white or primaries or transfer):
        return None
    if tags.get(262) not in (0, 1, 2, 3, 6):  # neither gray, RGB, a palette nor YCbCr
        return Declared(None, "its tags of colorimetry are ignored: the pixels are not RGB")
    curves: Sequence[Curve] = [_of_transfer(transfer)] if transfer else [decode]
    if transfer and len(transfer) % 3 == 0:
        curves = [_of_transfer(part) for part in np.reshape(np.array(transfer), (3, -1))]
    default = (white or D65), (primaries or np.ravel(SRGB))
    space = from_primaries(curves[0], *_pairs([*default[0], *default[1]]))
    return Declared(RgbSpace(curves, space.matrix))


def _of_transfer(levels: Sequence[int] | np.ndarray) -> Curve:
    light = np.asarray(levels, np.float64) / 65535
    if len(light) < 2 or light[-1] <= light[0]:
        raise ValueError("its TransferFunction is no curve")
    places = np.linspace(0, 1, len(light))
    return lambda levels: np.interp(levels, places, light)


def _of_bitmap(file: BinaryFile) -> Declared | None:
    """Return the color space of the header of a BMP file of version 4 or 5, if it has one."""
    file.seek(0)
    head = file.read(138)
    (size,) = struct.unpack_from("<I", head, 14)
    if size < 108 or len(head) < 122:
        return None
    (kind,) = struct.unpack_from("<I", head, 70)
    if kind == 0:  # calibrated RGB
        ends = np.array(struct.unpack_from("<9I", head, 74), np.float64).reshape(3, 3)
        gammas = np.array(struct.unpack_from("<3I", head, 110)) / 65536
        if not ends.any():  # left out, as by most programs
            return None
        return _of_end_points(ends, gammas)
    if kind == int.from_bytes(b"MBED", "big") and size >= 124:
        offset, length = struct.unpack_from("<2I", head, 126)
        file.seek(14 + offset)
        profile = file.read(min(length, 2**24))
        return Declared(profile or None)
    if kind == int.from_bytes(b"LINK", "big"):
        return Declared(None, "its ICC profile is in another file, and is ignored")
    return None


def _of_end_points(ends: np.ndarray, gammas: np.ndarray) -> Declared:
    """Return the color space of the XYZ of red, green and blue, in rows, and their gammas."""
    sums = ends.sum(axis=1)
    if (sums <= 0).any() or not ((gammas == 0) | ((gammas > 0.1) & (gammas < 10))).all():
        raise ValueError("its end points are no colors")
    primaries = ends[:, :2] / sums[:, None]
    white = ends.sum(axis=0)
    space = from_primaries(decode, *_pairs([*(white[:2] / white.sum()), *primaries.ravel()]))
    return Declared(RgbSpace([_of_exponent(g) if g else decode for g in gammas], space.matrix))


def _of_exif(image: Image.Image) -> Declared:
    """Return the color space of the EXIF metadata: sRGB or Adobe RGB."""
    try:
        exif = Image.Image.getexif(image)
        space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        index = None
        with suppress(KeyError):  # raised by Pillow 12 if there is no such directory
            index = exif.get_ifd(ExifTags.IFD.Interop).get(1)
    except Exception:  # damaged metadata: the pixels may be fine
        return Declared()
    if space == 2 or (space != 1 and str(index or "").startswith("R03")):
        return Declared(from_primaries(power(563 / 256), ADOBE))
    if space == 65535:
        return Declared(None, "its color space is said to be uncalibrated: taken for sRGB")
    return Declared()


# --- code points ----------------------------------------------------------------------------------

_PRIMARIES: dict[int, tuple[Primaries, White]] = {
    1: (SRGB, D65),
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), (0.310, 0.316)),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), D65),
    6: (((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), D65),
    7: (((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), D65),
    8: (((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), (0.310, 0.316)),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65),
    11: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), (0.314, 0.351)),
    12: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), D65),
    22: (((0.630, 0.340), (0.295, 0.605), (0.155, 0.077)), D65),
}
"""Primaries and white by code (ITU-T H.273, table 2)."""


_CURVES: dict[int, Curve] = {
    **dict.fromkeys((1, 6, 13, 14, 15), decode),
    4: _of_exponent(2.2),
    5: power(2.8),
    8: power(1.0),
}
"""Curves by code (ITU-T H.273, table 3).

Those of video (BT.709, BT.601, BT.2020) are of cameras. Displays show their signal about as they
show sRGB, and so do browsers.
"""

_UNSPECIFIED = 2
_BRIGHT = {16: "PQ", 18: "HLG"}


def _of_codes(primaries: int, transfer: int, full_range: bool) -> Declared:
    """Return the color space of code points for primaries and transfer characteristics."""
    if not full_range:
        return Declared(None, "its colors are of video range, and are taken for sRGB")
    if transfer in _BRIGHT:
        kind = f"high dynamic range ({_BRIGHT[transfer]})"
        return Declared(None, f"its colors are of {kind}, and are taken for sRGB: convert it first")
    primaries = 1 if primaries == _UNSPECIFIED else primaries
    transfer = 13 if transfer == _UNSPECIFIED else transfer
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        codes = f"{primaries} and {transfer}"
        return Declared(None, f"its color space (codes {codes}) is unknown, and is taken for sRGB")
    return Declared(from_primaries(_CURVES[transfer], *_PRIMARIES[primaries]))


def _codes(image: Image.Image, file: BinaryFile | None) -> tuple[int, int, bool] | None:
    """Return the codes of primaries and transfer, and whether levels have full range, if any."""
    if file is None:
        return None
    if image.format == "PNG":
        found = _png_chunk(file, b"cICP")
        if found is None:
            return None
        primaries, transfer, _, full = struct.unpack_from("4B", found)
        return primaries, transfer, bool(full)
    if image.format in ("AVIF", "HEIF"):
        file.seek(0)
        head = file.read(2**16)
        place = head.find(b"colrnclx")
        if place >= 0:  # the decoder has applied the matrix and the range already
            return *struct.unpack_from(">2H", head, place + 8), True
    return None


def _png_chunk(file: BinaryFile, wanted: bytes) -> bytes | None:
    """Return the data of a chunk before the pixels of a PNG file, None without one."""
    end = file.seek(0, io.SEEK_END)
    place = 8
    while place + 8 <= end:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == wanted:
            return file.read(min(length, 2**16))
        if kind == b"IDAT":
            return None
        place += 12 + length
    return None
