"""Reading of images as float32 sRGB in [0, 1] with straight alpha.

On bad input Pillow may raise many kinds of exceptions, emit warnings, or silently clip or misread
pixels. This module hides that: `read` returns a `Picture` or raises `ImageError`.
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
from jaxstyle.images._color_space import Conversion, Convert, conversion
from jaxstyle.images._deep import Strip, deep_strips, is_deep, low_bytes
from jaxstyle.images._strips import cut, strips
from jaxstyle.images._types import FORMATS_READ, Picture
from jaxstyle.images.transparency import LEAST_VISIBLE

__all__ = [
    "MAX_PIXELS",
    "ImageError",
    "Picture",
    "expand_folders",
    "read",
    "read_description",
    "read_sides",
    "read_stored",
]

MAX_PIXELS = 32768**2  # the size of the largest result, so that every output can be read
SOFTWARE = "jaxstyle"  # EXIF tag Software, which identifies files written by `write`

_EIGHT_BIT_MODES = frozenset(
    ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
)
_LOCK = threading.Lock()


def read(source: Any) -> Picture:
    """Read a picture from a path, a PIL image or an array.

    EXIF orientation is applied. Colors are converted to sRGB, by an ICC profile or what else the
    file says of its color space; 16 bits stay 16 bits, unless the profile has tables. What is
    damaged or unknown is ignored, with a note. Transparent pixels keep their color.

    Args:
      source: One of

        - the path of a JPEG, PNG, WebP, TIFF, GIF (first frame) or BMP file; the format is
          detected from the content;
        - a PIL image; of 16-bit color, Pillow keeps only 8 bits;
        - an array, or anything `np.asarray` accepts, of shape (height, width) or
          (height, width, channels) with 1, 3 or 4 channels, the fourth being alpha, and of type
          uint8, uint16, or float with values in [0, 1].

    Raises:
      ImageError: The picture cannot be read, or has more than `MAX_PIXELS` pixels.
    """
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        with _opened(name) as file, _pillow(name), Image.open(file, formats=FORMATS_READ) as image:
            sixteen = any(";16" in str(tile.args) for tile in image.tile)
            low = low_bytes(image, file, name)
            found = conversion(image, file, deep=is_deep(image, low))
            if sixteen and not is_deep(image, low):
                found = found._replace(notes=(*found.notes, "of 16 bits of color 8 are read"))
            return _visible(_decode(image, low, found, name), name)
    if isinstance(source, Image.Image):
        with _pillow("the PIL image"):
            found = conversion(source, None, deep=is_deep(source, None))
            return _visible(_decode(source, None, found, "the PIL image"), "the PIL image")
    return _visible(read_array(source), "the array")


def _visible(picture: Picture, name: str) -> Picture:
    """Return a picture after checking that not all of it is transparent."""
    if picture.alpha is not None and picture.alpha.max() < LEAST_VISIBLE:
        raise ImageError(f"{name}: every pixel is fully transparent: there is nothing to see")
    return picture


def read_stored(source: str | os.PathLike[str] | Image.Image) -> tuple[Picture, bool]:
    """Read a picture whose colors are labels, such as a mask, without color conversion.

    Returns:
      The picture as `read` returns it, but with its color space ignored, and whether the file
      stores its colors in a palette.

    Raises:
      ImageError: The picture cannot be read.
    """
    if isinstance(source, Image.Image):
        with _pillow("the PIL image"):
            return _stored(source, "the PIL image")
    name = os.fspath(source)
    with _opened(name) as file, _pillow(name), Image.open(file, formats=FORMATS_READ) as image:
        return _stored(image, name)


def _stored(image: Image.Image, name: str) -> tuple[Picture, bool]:
    return _decode(image, None, Conversion(), name), image.mode in ("P", "PA")


def read_sides(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return height and width of a picture, turned by its EXIF orientation, from its header alone.

    Raises:
      ImageError: The header of the file cannot be read. Damaged pixels are not detected.
    """
    name = os.fspath(path)
    with _opened(name) as file, _pillow(name), Image.open(file, formats=FORMATS_READ) as image:
        turned = _orientation(image) in _SIDEWAYS
        width, height = image.size
    return (width, height) if turned else (height, width)


def read_description(path: str | os.PathLike[str]) -> str:
    """Return the description that `write` stored in the metadata of a file.

    Raises:
      ImageError: The file cannot be read, or holds no description written by `write`.
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
    """Open a file that is not empty for reading; raise ImageError where that fails."""
    try:
        file = open(name, "rb")  # noqa: SIM115 (only opening is guarded here)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{name!r}: cannot be opened: {reason}") from error
    with file:
        if os.fstat(file.fileno()).st_size == 0:
            raise ImageError(f"{name}: the file is empty")
        if file.peek(4)[:4] == b"MM\0+":
            raise ImageError(
                f"{name}: big-endian BigTIFF is not supported; save it as little-endian"
            )
        yield file


@contextmanager
def _pillow(name: str) -> Iterator[None]:
    """Silence Pillow's warnings, set its pixel limit, and convert its exceptions to ImageError.

    The limit and the warning filters are global to the process, hence the lock.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow raises above twice this
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
                f"{name}: more than {MAX_PIXELS // 10**6} million pixels; downscale it first"
            ) from error
        except MemoryError as error:
            raise ImageError(
                f"{name}: does not fit in memory, or is damaged; downscale it first"
            ) from error
        except Exception as error:  # on damaged files plugins raise exceptions of any type
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(f"{name}: damaged or unsupported picture: {reason}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _decode(image: Image.Image, low: Image.Image | None, found: Conversion, name: str) -> Picture:
    """Convert a Pillow image to a picture; `low` holds the low bytes of 16-bit color.

    Each strip is written straight to its place in the upright result, so that memory holds only
    the image decoded by Pillow and the float arrays.
    """
    image.load()
    orientation = _orientation(image)  # after load, in which Pillow rotates TIFFs by itself
    height, width = image.height, image.width
    sides = (width, height) if orientation in _SIDEWAYS else (height, width)
    rgb, alpha = np.empty((*sides, 3), np.float32), None
    deep, convert = is_deep(image, low), found.convert
    each = deep_strips(image, low, convert, name) if deep else _strips(image, convert, name)
    for rows, color, opacity in each:
        _to_unit(color, _as_stored(rgb, orientation)[rows])
        if opacity is not None:
            alpha = np.empty(sides, np.float32) if alpha is None else alpha
            _to_unit(opacity, _as_stored(alpha, orientation)[rows])
    return Picture(rgb, alpha, tuple(f"{name}: {note}" for note in found.notes))


def _to_unit(levels: np.ndarray, out: np.ndarray) -> None:
    """Scale levels of 8 or 16 bits to [0, 1]; gray is broadcast to all channels of `out`.

    Floats are in [0, 1] already.
    """
    if levels.dtype == np.float32:
        out[...] = levels
        return
    np.divide(levels, np.float32(np.iinfo(levels.dtype).max), out=out, dtype=np.float32)


def _strips(image: Image.Image, convert: Convert | None, name: str) -> Iterator[Strip]:
    """Yield the strips of an 8-bit image, converted to sRGB."""
    if image.mode not in _EIGHT_BIT_MODES:
        raise ImageError(f"{name}: Pillow mode {image.mode} is not supported; convert it to RGB")
    for rows in strips(image.height, image.width):
        color, opacity = _split(cut(image, rows))
        levels = np.asarray(color if convert else color.convert("RGB"))
        levels = convert(levels.reshape(*levels.shape[:2], -1)) if convert else levels
        yield rows, levels, None if opacity is None else np.asarray(opacity)


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Split an 8-bit image into color (mode L, RGB or CMYK) and alpha (mode L, or None)."""
    if image.mode in ("1", "La"):
        image = image.convert("L" if image.mode == "1" else "LA")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        gray = image.mode in ("L", "LA")
        return rgba.getchannel("R") if gray else rgba.convert("RGB"), rgba.getchannel("A")
    return (image if image.mode in ("L", "CMYK") else image.convert("RGB")), None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # ignore damaged metadata: the pixels may be fine
        return 1


_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap height and width


def _as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Return a view of an upright picture with rows and columns ordered as in the file.

    Args:
      upright: The picture after rotation.
      orientation: The EXIF orientation of the file, 1 to 8; other values are ignored.
    """
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    return upright.swapaxes(0, 1) if orientation in _SIDEWAYS else upright


EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp")


def expand_folders(sources: Iterable[Any]) -> list[Any]:
    """Return the sources with every folder replaced by its pictures, sorted by name.

    Raises:
      ImageError: A folder contains no picture.
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
