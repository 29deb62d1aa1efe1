"""Pixels in: any picture a newcomer may have, as float32 sRGB in [0, 1] with straight alpha.

Everything that Pillow may do on bad input (exceptions of a dozen kinds, warnings, pixels clipped
or misread in silence) ends here: `read` gives a `Picture` or raises `ImageError`.
"""

import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from jaxstyle.errors import ImageError
from jaxstyle.images._array import read_array
from jaxstyle.images._deep import Strip, deep_strips, low_bytes
from jaxstyle.images._icc import to_srgb
from jaxstyle.images._strips import cut, strips
from jaxstyle.images._types import FORMATS_READ, Picture

__all__ = [
    "MAX_PIXELS",
    "ImageError",
    "Picture",
    "listed",
    "read",
    "read_description",
    "read_sides",
    "read_stored",
]

MAX_PIXELS = 32768**2  # those of the largest result: what we write can be read again
SOFTWARE = "jaxstyle"  # how our own files are known again

_EIGHT_BIT_MODES = frozenset(
    ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
)
_LOCK = threading.Lock()


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
        with _opened(name) as file, _pillow(name), Image.open(file, formats=FORMATS_READ) as image:
            return _decode(image, low_bytes(image, file, name), name)
    if isinstance(source, Image.Image):
        with _pillow("the PIL image"):
            return _decode(source, None, "the PIL image")
    return read_array(source)


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
    with _opened(name) as file, _pillow(name), Image.open(file, formats=FORMATS_READ) as image:
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
    with _opened(name) as file, _pillow(name), Image.open(file, formats=FORMATS_READ) as image:
        turned = _orientation(image) in _SIDEWAYS
        width, height = image.size
    return (width, height) if turned else (height, width)


def read_description(path: str | os.PathLike[str]) -> str:
    """Read back the text that `write` put into a file's metadata.

    Raises:
      ImageError: the file cannot be read, or `write` put no description into it.
    """
    name = os.fspath(path)
    with _opened(name) as file, _pillow(name), Image.open(file, formats=FORMATS_READ) as image:
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
        if file.peek(4)[:4] == b"MM\0+":
            raise ImageError(f"{name}: a big-endian BigTIFF; save it little-endian")
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
        except MemoryError as error:
            raise ImageError(
                f"{name}: too large for the memory there is, or damaged; make it smaller first"
            ) from error
        except Exception as error:  # plugins raise whatever the damage leads to
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(f"{name}: a damaged or unsupported picture: {reason}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _decode(image: Image.Image, low: Image.Image | None, name: str) -> Picture:
    """The picture in a Pillow image; `low` has the low bytes of 16-bit color.

    It is converted strip by strip, into arrays that are upright from the start: of a whole picture
    there are what Pillow decoded, and the floats.
    """
    image.load()
    orientation = _orientation(image)  # after load: by then Pillow has turned TIFFs by itself
    height, width = image.height, image.width
    sides = (width, height) if orientation in _SIDEWAYS else (height, width)
    rgb, alpha = np.empty((*sides, 3), np.float32), None
    deep = low is not None or image.mode == "I" or image.mode.startswith("I;16")
    each = deep_strips(image, low, name) if deep else _strips(image, name)
    for rows, color, opacity in each:
        _to_unit(color, _as_stored(rgb, orientation)[rows])
        if opacity is not None:
            alpha = np.empty(sides, np.float32) if alpha is None else alpha
            _to_unit(opacity, _as_stored(alpha, orientation)[rows])
    return Picture(rgb, alpha)


def _to_unit(levels: np.ndarray, out: np.ndarray) -> None:
    """Levels of 8 or 16 bits as floats in [0, 1]; gray ones go to all channels."""
    np.divide(levels, np.float32(np.iinfo(levels.dtype).max), out=out, dtype=np.float32)


def _strips(image: Image.Image, name: str) -> Iterator[Strip]:
    """An 8-bit image in sRGB."""
    if image.mode not in _EIGHT_BIT_MODES:
        raise ImageError(f"{name}: pixels of Pillow's mode {image.mode} are not supported")
    profile = image.info.get("icc_profile") if image.mode != "LAB" else None
    one_pixel, _ = _split(image.crop((0, 0, 1, 1)))
    convert = to_srgb(profile, one_pixel.mode, name)
    for rows in strips(image.height, image.width):
        color, opacity = _split(cut(image, rows))
        color = convert(color) if convert else color.convert("RGB")
        yield rows, np.asarray(color), None if opacity is None else np.asarray(opacity)


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


_SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange height and width


def _as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """A view of an upright picture in which rows and columns are those of a file with an EXIF
    orientation (1 to 8; others mean nothing)."""
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    return upright.swapaxes(0, 1) if orientation in _SIDEWAYS else upright


EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp")


def listed(sources: Iterable[Any]) -> list[Any]:
    """The sources, every folder among them replaced by the pictures in it, by name.

    Raises:
      ImageError: there is no picture in a folder.
    """
    each = [
        _pictures_in(Path(source))
        if isinstance(source, str | os.PathLike) and os.path.isdir(source)
        else [source]
        for source in sources
    ]
    return [source for part in each for source in part]


def _pictures_in(folder: Path) -> list[str]:
    found = sorted(
        str(path)
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
    )
    if not found:
        raise ImageError(f"{folder}: there are no pictures in this folder")
    return found
