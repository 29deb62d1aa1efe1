"""ICC profiles: pictures of other color spaces come in as sRGB, and ours go out saying so."""

import functools
import io
import logging
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

_SAME = 1  # levels of 255: a transform that moves no color by more is sRGB by another name
_NO_DATE = bytes((0x07, 0xD0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))  # 2000-01-01 00:00:00
_log = logging.getLogger(__name__)


@functools.cache
def srgb_profile() -> bytes:
    """The sRGB profile to embed, free of the date that lcms writes at bytes 24 to 35."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + _NO_DATE + data[36:]


def to_srgb(
    profile: bytes | None, mode: str, name: str
) -> Callable[[Image.Image], Image.Image] | None:
    """How to convert images of a mode (L, RGB or CMYK) from a profile to sRGB, in 8 bits.

    None where there is nothing to convert: no profile, one that is sRGB in effect, or one that is
    broken or of another color space, which is ignored with a log message that tells `name`.
    """
    if not profile:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = profile[16:20].decode("ascii")
        source = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space, space)
        if source != mode and (source, mode) != ("RGB", "L"):
            raise ValueError(f"it is of color space {space.strip()}, the pixels are {mode}")
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            source,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.HIGHRESPRECALC,
        )
    except Exception as error:  # lcms and its wrapper raise whatever the damage leads to
        _log.warning("%s: its ICC profile is ignored: %s", name, " ".join(str(error).split()))
        return None

    def convert(image: Image.Image) -> Image.Image:
        converted = transform.apply(image.convert(source))
        assert converted is not None  # it is None only for transforms in place
        return converted

    return convert if source == "CMYK" or _changes_colors(convert, source) else None


def _changes_colors(convert: Callable[[Image.Image], Image.Image], mode: str) -> bool:
    """Whether a conversion moves any color of a coarse grid of mode RGB or L."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
    colors = Image.fromarray(cube if mode == "RGB" else cube[..., 0])
    before, after = np.asarray(colors.convert("RGB")).astype(int), np.asarray(convert(colors))
    return bool(np.abs(after - before).max() > _SAME)
