"""Conversion from ICC profiles to sRGB, and the sRGB profile to embed in output.

Colors of 8 bits, and those of profiles with tables, are converted by littleCMS. Profiles of curves
and a matrix are also read here, since Pillow's littleCMS would reduce 16 bits to 8.
"""

import functools
import io
import struct
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms

from jaxstyle.errors import message_of
from jaxstyle.images._rgb_space import Curve, RgbSpace, black_of, from_colorants, power

_NO_DATE = bytes((0x07, 0xD0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))  # 2000-01-01 00:00:00
_MOST_TAGS = 1000
_KINDS = {"RGB": "RGB", "L": "gray", "CMYK": "CMYK"}


@functools.cache
def srgb_profile() -> bytes:
    """Return the sRGB profile to embed, with the creation date (bytes 24 to 35) fixed."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + _NO_DATE + data[36:]


def by_littlecms(
    profile: bytes, mode: str
) -> Callable[[UInt8[np.ndarray, "h w c"]], UInt8[np.ndarray, "h w 3"]]:
    """Return a function that converts levels of 8 bits from a profile to sRGB.

    Args:
      profile: The ICC profile.
      mode: The Pillow mode of the pixels: L, RGB or CMYK.

    Raises:
      ValueError: The profile is broken, or of another color space than the pixels.
    """
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        source = _mode_of(profile)
        if source != mode and (source, mode) != ("RGB", "L"):
            kind = _KINDS.get(source, "other")  # not the bytes themselves: any may be there
            raise ValueError(f"it is for {kind} colors, but those of the pixels are {_KINDS[mode]}")
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            source,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.HIGHRESPRECALC,
        )
    except Exception as error:  # a damaged profile leads to exceptions of any type
        raise ValueError(message_of(error)) from error

    def convert(levels: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 3"]:
        height, width, _ = levels.shape
        image = Image.frombytes(mode, (width, height), np.ascontiguousarray(levels).data)
        converted = transform.apply(image.convert(source))
        assert converted is not None  # None only for in-place transforms
        return np.asarray(converted)

    return convert


def curves_and_matrix(profile: bytes) -> RgbSpace | None:
    """Return the color space of a profile that has no tables, None for others.

    Raises:
      ValueError: A curve or a colorant is damaged.
    """
    tags = _tags(profile)
    gray = _mode_of(profile) == "L"
    names = ["kTRC"] if gray else ["rTRC", "gTRC", "bTRC"]
    tables = any(name.startswith(("A2B", "D2B")) for name in tags)
    if tables or profile[20:24] != b"XYZ " or not set(names) <= set(tags):
        return None
    curves = [_curve(tags[name]) for name in names]
    if gray:
        return RgbSpace(curves, black=black_of(curves))
    columns = [_xyz(tags.get(f"{name}XYZ", b"")) for name in "rgb"]
    return from_colorants(curves, np.stack(columns, axis=1))


def _mode_of(profile: bytes) -> str:
    """Return Pillow's mode for the color space of a profile, empty if there is none."""
    return {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}.get(profile[16:20], "")


def _tags(profile: bytes) -> dict[str, bytes]:
    (count,) = _unpacked(">I", profile, 128)
    found = {}
    for index in range(min(count, _MOST_TAGS)):
        name, offset, length = _unpacked(">4sII", profile, 132 + 12 * index)
        found[name.decode("latin-1")] = profile[offset : offset + length]
    return found


def _unpacked(layout: str, data: bytes, offset: int) -> tuple:
    try:
        return struct.unpack_from(layout, data, offset)
    except struct.error as error:
        raise ValueError("it is cut off") from error


def _fixed(data: bytes, offset: int, count: int) -> list[float]:
    """Return numbers of type s15Fixed16."""
    return [number / 65536 for number in _unpacked(f">{count}i", data, offset)]


def _xyz(tag: bytes) -> np.ndarray:
    if tag[:4] != b"XYZ ":
        raise ValueError("it has no colorants")
    return np.array(_fixed(tag, 8, 3))


def _curve(tag: bytes) -> Curve:
    """Return the curve of a tag of type curv or para (ICC.1:2022, 10.6 and 10.18)."""
    kind = tag[:4]
    if kind == b"curv":
        (count,) = _unpacked(">I", tag, 8)
        if count == 0:
            return power(1.0)
        if 12 + 2 * count > len(tag):
            raise ValueError("it is cut off")
        values = np.frombuffer(tag, ">u2", count, 12).astype(np.float64)
        if count == 1:
            return power(values[0] / 256)
        places = np.linspace(0, 1, count)
        return lambda levels: np.interp(levels, places, values / 65535)
    if kind == b"para":
        (function,) = _unpacked(">H", tag, 8)
        if function > 4:
            raise ValueError("it has a curve of an unknown kind")
        return _parametric(function, _fixed(tag, 12, (1, 3, 4, 5, 7)[function]))
    raise ValueError("it has a curve of an unknown kind")


def _parametric(function: int, numbers: list[float]) -> Curve:
    """Return Y = (a X + b)^g + c for X >= d, else e X + f."""
    g, a, b, c, d, e, f = 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if function == 0:
        (g,) = numbers
    elif function in (1, 2):
        g, a, b, *rest = numbers
        c = f = rest[0] if rest else 0.0
        d = -b / a if a else 0.0
    else:
        g, a, b, e, d, *more = numbers
        c, f = more or (0.0, 0.0)

    def curve(levels: np.ndarray) -> np.ndarray:
        return np.where(levels >= d, np.maximum(a * levels + b, 0) ** g + c, e * levels + f)

    return curve
