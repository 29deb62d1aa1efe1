"""Conversion from ICC profiles to sRGB, and the sRGB profile to embed in output."""

import functools
import io
import logging
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

_SAME = 1  # levels of 255: a transform that changes no color by more is treated as sRGB
_NO_DATE = bytes((0x07, 0xD0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))  # 2000-01-01 00:00:00
_log = logging.getLogger(__name__)


@functools.cache
def srgb_profile() -> bytes:
    """Return the sRGB profile to embed, with the creation date (bytes 24 to 35) fixed."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + _NO_DATE + data[36:]


def to_srgb(
    profile: bytes | None, mode: str, name: str
) -> Callable[[Image.Image], Image.Image] | None:
    """Return a function that converts 8-bit images from a profile to sRGB, or None.

    Args:
      profile: The ICC profile of the image, if any.
      mode: The Pillow mode of the image: L, RGB or CMYK.
      name: The name of the image in log messages.

    Returns:
      The conversion, or None where none is needed: there is no profile, it is equivalent to sRGB,
      or it is broken or of another color space than the pixels, which is logged.
    """
    if not profile:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = profile[16:20].decode("ascii")
        source = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space, space)
        if source != mode and (source, mode) != ("RGB", "L"):
            raise ValueError(f"its color space is {space.strip()}, but the pixels are {mode}")
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            source,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.HIGHRESPRECALC,
        )
    except Exception as error:  # a damaged profile leads to exceptions of any type
        _log.warning("%s: its ICC profile is ignored: %s", name, " ".join(str(error).split()))
        return None

    def convert(image: Image.Image) -> Image.Image:
        converted = transform.apply(image.convert(source))
        assert converted is not None  # None only for in-place transforms
        return converted

    return convert if source == "CMYK" or _changes_colors(convert, source) else None


def _changes_colors(convert: Callable[[Image.Image], Image.Image], mode: str) -> bool:
    """Return whether a conversion changes any color of a coarse grid of mode RGB or L."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
    colors = Image.fromarray(cube if mode == "RGB" else cube[..., 0])
    before, after = np.asarray(colors.convert("RGB")).astype(int), np.asarray(convert(colors))
    return bool(np.abs(after - before).max() > _SAME)
