"""Pixels in: any picture a newcomer may have, as float32 sRGB in [0, 1] with straight alpha.

Everything that Pillow may do on bad input (exceptions of a dozen kinds, warnings, pixels clipped
or misread in silence) ends here: `read` gives a `Picture` or raises `ImageError`.
"""

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float32, UInt8, UInt16
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from jaxstyle.image_color import to_srgb

MAX_PIXELS = 400_000_000  # the largest sensors of today have 200 million
SOFTWARE = "jaxstyle"  # how our own files are known again

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
_EIGHT_BIT_MODES = frozenset(
    ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
)
_LOCK = threading.Lock()


class ImageError(Exception):
    """A picture cannot be read or written; the message is one line that names it."""


@dataclass(frozen=True)
class Picture:
    """Pixels: sRGB values in [0, 1], and the straight (not premultiplied) alpha if there is any."""

    rgb: Float32[np.ndarray, "height width 3"]
    alpha: Float32[np.ndarray, "height width"] | None = None


def read(source: Any) -> Picture:
    """Read a picture from a path, a PIL image or an array.

    Files: JPEG, PNG, WebP, TIFF, GIF (first frame) and BMP, told apart by content. EXIF
    orientation is applied and an ICC profile converted to sRGB (in 8 bits; 16-bit sRGB keeps all
    its bits). A broken profile is ignored with a log message, as web browsers do. Transparent
    pixels keep their color. A PIL image of 16-bit color has what Pillow kept of it: 8 bits.

    Arrays, and all that `np.asarray` makes one of: (height, width), or (height, width, channels)
    with 1, 3 or 4 channels, the fourth being alpha; uint8, uint16, or floats in [0, 1].

    Raises:
      ImageError: the picture cannot be read, or is larger than `MAX_PIXELS`.
    """
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        with _opened(name) as file, _pillow(name), Image.open(file, formats=_FORMATS) as image:
            return _decode(image, _low_bytes(image, file, name), name)
    if isinstance(source, Image.Image):
        with _pillow("the PIL image"):
            return _decode(source, None, "the PIL image")
    return _read_array(source)


def read_stored(source: str | os.PathLike[str] | Image.Image) -> tuple[Picture, bool]:
    """A picture whose colors are labels, of a file or a PIL image: as `read` would give it without
    its ICC profile; and whether the colors are those of a palette.

    Raises:
      ImageError: it cannot be read.
    """
    if isinstance(source, Image.Image):
        bare = source.copy() if "icc_profile" in source.info else source
        with _pillow("the PIL image"):
            return _stored(bare, "the PIL image")
    name = os.fspath(source)
    with _opened(name) as file, _pillow(name), Image.open(file, formats=_FORMATS) as image:
        return _stored(image, name)


def _stored(image: Image.Image, name: str) -> tuple[Picture, bool]:
    image.load()
    image.info.pop("icc_profile", None)
    return _decode(image, None, name), image.mode in ("P", "PA")


def read_sides(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of the picture that `read` would give, from the head of its file alone.

    Raises:
      ImageError: the file cannot be read; its pixels may be damaged all the same.
    """
    name = os.fspath(path)
    with _opened(name) as file, _pillow(name), Image.open(file, formats=_FORMATS) as image:
        turned = _orientation(image) in (5, 6, 7, 8)
        width, height = image.size
    return (width, height) if turned else (height, width)


def read_description(path: str | os.PathLike[str]) -> str:
    """Read back the text that `write` put into a file's metadata.

    Raises:
      ImageError: the file cannot be read, or `write` put no description into it.
    """
    name = os.fspath(path)
    with _opened(name) as file, _pillow(name), Image.open(file, formats=_FORMATS) as image:
        exif = image.getexif()
        text = exif.get(ExifTags.Base.ImageDescription)
        if exif.get(ExifTags.Base.Software) != SOFTWARE or not text:
            raise ImageError(f"{name}: there are no jaxstyle settings in its metadata")
    return str(text)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """A file open for reading, not empty; what the system refuses becomes an ImageError."""
    try:
        file = open(name, "rb")  # noqa: SIM115 (only opening is guarded here)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{name!r}: cannot be opened: {reason}") from error
    with file:
        if os.fstat(file.fileno()).st_size == 0:
            raise ImageError(f"{name}: the file is empty")
        yield file


@contextmanager
def _pillow(name: str) -> Iterator[None]:
    """Pillow at work: silent, with our limit of pixels, and every failure an ImageError.

    The limit and the warning filters belong to the whole process, so one thread at a time.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow warns from here, refuses from twice this
        try:
            yield
        except ImageError:
            raise
        except UnidentifiedImageError as error:
            raise ImageError(
                f"{name}: not a readable JPEG, PNG, WebP, TIFF, GIF or BMP picture"
            ) from error
        except Image.DecompressionBombError as error:
            raise ImageError(
                f"{name}: over {MAX_PIXELS // 10**6} million pixels; make it smaller first"
            ) from error
        except Exception as error:  # plugins raise whatever the damage leads to
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(f"{name}: a damaged or unsupported picture: {reason}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _decode(
    image: Image.Image, low: UInt8[np.ndarray, "height width channels"] | None, name: str
) -> Picture:
    """The picture in a Pillow image; `low` has the low bytes of 16-bit color."""
    image.load()
    orientation = _orientation(image)  # after load: by then Pillow has turned TIFFs by itself
    profile = image.info.get("icc_profile")
    deep = _sixteen_bit(image, low, name)
    if deep is not None:
        rgb, alpha = _separate(deep, image.info.get("transparency"))
        if convert := to_srgb(profile, "L" if deep.shape[2] == 1 else "RGB", name):
            rgb = _unit(convert(Image.fromarray(np.rint(rgb * 255).astype(np.uint8))))
    elif image.mode in _EIGHT_BIT_MODES:
        color, opacity = _split(image)
        if convert := to_srgb(profile if image.mode != "LAB" else None, color.mode, name):
            color = convert(color)
        rgb = _unit(color.convert("RGB"))
        alpha = None if opacity is None else _unit(opacity)
    else:
        raise ImageError(f"{name}: pixels of Pillow's mode {image.mode} are not supported")
    return Picture(_turn(rgb, orientation), None if alpha is None else _turn(alpha, orientation))


def _unit(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(np.float32) / np.float32(255)


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The color of an 8-bit image, in mode L, RGB or CMYK, and its alpha in mode L."""
    if image.mode in ("1", "La"):
        image = image.convert("L" if image.mode == "1" else "LA")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        grey = image.mode in ("L", "LA")
        return rgba.getchannel("R") if grey else rgba.convert("RGB"), rgba.getchannel("A")
    return (image if image.mode in ("L", "CMYK") else image.convert("RGB")), None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata is no reason to refuse the pixels
        return 1


def _turn(values: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (1 to 8; others mean nothing) to rows and columns."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


# --- 16 bits --------------------------------------------------------------------------------------


def _low_bytes(
    image: ImageFile.ImageFile, file: BinaryIO, name: str
) -> UInt8[np.ndarray, "height width channels"] | None:
    """The low bytes of 16-bit RGB or RGBA, of which Pillow keeps the high ones only.

    Pillow unpacks "RGB;16B" by taking the first byte of each pair and "RGB;16L" by taking the
    second, so decoding once more with the opposite byte order gives the other half.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode in ("RGB", "RGBA", "CMYK"):
        tags = image.tag_v2
        if tags.get(ExifTags.Base.PlanarConfiguration) == 2 and max(_bits_per_sample(tags)) > 8:
            raise ImageError(  # Pillow would misread it without a word
                f"{name}: a 16-bit TIFF with separate color planes; save it interleaved"
            )
    tiles = [tile._replace(args=_other_byte_order(tile.args)) for tile in image.tile]
    if not tiles or any(tile.args is None for tile in tiles):
        return None
    image.load()  # done with the file before it is read a second time
    with Image.open(file, formats=_FORMATS) as again:
        again.tile = tiles
        return np.asarray(again)


def _bits_per_sample(tags: Any) -> tuple[int, ...]:
    return tags.get(ExifTags.Base.BitsPerSample) or (1,)


def _other_byte_order(args: Any) -> Any:
    """A decoder's arguments with the other byte order; None unless they tell of 16-bit color."""
    rawmode, *rest = (args,) if isinstance(args, str) else args or ("",)
    color, order = str(rawmode)[:-1], str(rawmode)[-1:]
    if color not in ("RGB;16", "RGBX;16", "RGBA;16"):
        return None
    little = order == "L" or (order == "N" and sys.byteorder == "little")
    swapped = color + ("B" if little else "L")
    return swapped if isinstance(args, str) else (swapped, *rest)


def _sixteen_bit(
    image: Image.Image, low: np.ndarray | None, name: str
) -> UInt16[np.ndarray, "height width channels"] | None:
    """The levels of a 16-bit image; None if it is not one."""
    if low is not None:
        return (np.asarray(image).astype(np.uint16) << 8) | low
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return None
    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > 65535:
        raise ImageError(f"{name}: a picture of 32-bit integers; save it with 8 or 16 bits")
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == 0:
        levels = 65535 - levels  # "white is zero", which Pillow heeds in 8 bits only
    return levels.astype(np.uint16)[..., None]


def _separate(
    levels: UInt16[np.ndarray, "height width channels"], transparent: Any
) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB and alpha of 16-bit levels; `transparent` is the one color that is, or None."""
    rgb, alpha = _channels(levels.astype(np.float32) / np.float32(65535))
    if alpha is None and transparent is not None:
        alpha = np.any(levels != np.asarray(transparent), axis=-1).astype(np.float32)
    return rgb, alpha


# --- arrays ---------------------------------------------------------------------------------------


def _read_array(source: Any) -> Picture:
    try:
        array = np.asarray(source)
    except (ValueError, TypeError) as error:  # nested lists of unequal lengths
        raise ImageError(f"a {type(source).__name__} that makes no array: {error}") from error
    values = _unit_array(array)
    if array.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or values.size == 0:
        raise ImageError(
            f"an array of shape {array.shape} is not an image: wanted (height, width) or "
            "(height, width, channels) with 1, 3 or 4 channels"
        )
    return Picture(*_channels(values))


def _channels(
    values: Float32[np.ndarray, "height width channels"],
) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB and alpha of 1 (grey), 3 or 4 (RGBA) channels."""
    rgb = np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values[..., :3]
    alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
    return np.ascontiguousarray(rgb), alpha


def _unit_array(array: np.ndarray) -> np.ndarray:
    """Any admitted pixel type as a new float32 array in [0, 1]."""
    if array.dtype in (np.uint8, np.uint16):
        return array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise ImageError(
            f"an array of {array.dtype} is not an image: wanted uint8, uint16, or floats in [0, 1]"
        )
    values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise ImageError(f"an array of shape {array.shape} holds NaN or infinite values")
    if values.size and (values.min() < 0 or values.max() > 1):
        raise ImageError(
            f"an array of shape {array.shape} has values from {values.min():g} to "
            f"{values.max():g}: scale floats to [0, 1]"
        )
    return values
