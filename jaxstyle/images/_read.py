"""Reading of images as float32 sRGB in [0, 1] with straight alpha.

On bad input Pillow may raise many kinds of exceptions, emit warnings, or silently clip or misread
pixels. This module hides that: `read` returns a `Picture` or raises `ImageError`.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import (
    ExifTags,
    Image,
    ImageFile,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    features,
)

from jaxstyle.errors import ImageError, message_of
from jaxstyle.images import _kinds
from jaxstyle.images._array import read_array
from jaxstyle.images._color_space import Conversion, Convert, conversion
from jaxstyle.images._deep import Strip, deep_strips, is_deep, low_bytes
from jaxstyle.images._limits import check_claim, check_memory
from jaxstyle.images._png import LARGEST_PROFILE, only_needed
from jaxstyle.images._quiet import load, no_warnings
from jaxstyle.images._strips import cut, strips
from jaxstyle.images._tiff import main_page
from jaxstyle.images._types import FORMATS_READ, Picture
from jaxstyle.images.transparency import LEAST_VISIBLE
from jaxstyle.machine.files import BinaryFile
from jaxstyle.machine.input_files import open_input

__all__ = [
    "MAX_PIXELS",
    "ImageError",
    "Picture",
    "expand_folders",
    "open_file",
    "read",
    "read_description",
    "read_sides",
    "read_stored",
]

MAX_PIXELS = 32768**2  # the size of the largest result, so that every output can be read
SOFTWARE = "jaxstyle"  # EXIF tag Software, which identifies files written by `write`
PIL_IMAGE = "the PIL image"

_EIGHT_BIT_MODES = frozenset(
    ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
)
_LOCK = threading.Lock()


def read(source: Any) -> Picture:
    """Read a picture from a path, a PIL image or an array.

    EXIF orientation is applied. Colors are converted to sRGB, by an ICC profile or what else the
    file says of its color space; 16 bits stay 16 bits, unless the profile has tables. What is
    damaged or unknown is ignored, with a note. Transparent pixels keep their color. Of a file with
    several pictures the main one is read, or the first, and a note says so. The notes are in
    `Picture.notes`.

    Args:
      source: One of

        - the path of a JPEG, PNG, WebP, TIFF, GIF, BMP or AVIF file, or of a HEIC file if
          pillow-heif is installed; the format is detected from the content. The path may be that of
          a pipe, such as ``/dev/stdin``;
        - a PIL image; of 16-bit color, Pillow keeps only 8 bits;
        - an array, or anything `np.asarray` accepts, of shape (height, width) or
          (height, width, channels) with 1, 3 or 4 channels, the fourth being alpha, and of type
          uint8, uint16, or float with values in [0, 1].

    Raises:
      ImageError: The picture cannot be read, has more than `MAX_PIXELS` pixels, or needs more
        memory than there is.
    """
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        with _opened(name) as (image, file, notes):
            check_memory(image, name)
            sides = _upright_sides(image)
            bits = _bits(image, file)
            low = low_bytes(image, file, name)
            found = conversion(image, file, deep=is_deep(image, low))
            if bits > 8 and not is_deep(image, low):
                found = found._replace(notes=(*found.notes, f"of {bits} bits of color 8 are read"))
            picture = _visible(_decode(image, low, found, name), name)
            _check_sides(picture, sides, name)
            return replace(picture, notes=(*notes, *picture.notes), dpi=_resolution(image))
    if isinstance(source, Image.Image):
        with quiet_pillow(PIL_IMAGE):
            check_memory(source, PIL_IMAGE)
            found = conversion(source, None, deep=is_deep(source, None))
            return _visible(_decode(source, None, found, PIL_IMAGE), PIL_IMAGE)
    return _visible(read_array(source), "the array")


def _visible(picture: Picture, name: str) -> Picture:
    """Return a picture after checking that not all of it is transparent."""
    if picture.alpha is not None and picture.alpha.max() < LEAST_VISIBLE:
        raise ImageError(f"{name}: every pixel is fully transparent: there is nothing to see")
    return picture


def read_stored(source: str | os.PathLike[str] | Image.Image) -> tuple[Picture, bool]:
    """Read a picture whose colors are labels, such as a mask, without color conversion.

    The file must be one that can be read again, as masks are.

    Returns:
      The picture as `read` returns it, but with its color space ignored, and whether the file
      stores its colors in a palette.

    Raises:
      ImageError: The picture cannot be read.
    """
    if isinstance(source, Image.Image):
        with quiet_pillow(PIL_IMAGE):
            check_memory(source, PIL_IMAGE)
            return _stored(source, PIL_IMAGE)
    name = os.fspath(source)
    with _opened(name, again=True) as (image, _, notes):
        check_memory(image, name)
        sides = _upright_sides(image)
        picture, indexed = _stored(image, name)
        _check_sides(picture, sides, name)
        return replace(picture, notes=notes), indexed


def _stored(image: Image.Image, name: str) -> tuple[Picture, bool]:
    return _decode(image, None, Conversion(), name), image.mode in ("P", "PA")


def read_sides(path: str | os.PathLike[str], free: int | None = None) -> tuple[int, int]:
    """Return the height and width that `read` gives a picture, from the header of its file alone.

    Args:
      path: The file, which must be one that can be read again.
      free: Bytes of memory that are free where it will be read; None to find out how many are here.

    Raises:
      ImageError: The file cannot be read, or `read` would refuse it from its header. Damaged pixels
        are not detected.
    """
    name = os.fspath(path)
    with _opened(name, again=True) as (image, _, _):
        check_memory(image, name, free)
        return _upright_sides(image)


def read_description(path: str | os.PathLike[str]) -> str:
    """Return the description that `write` stored in the metadata of a file.

    Raises:
      ImageError: The file cannot be read, or holds no description written by `write`.
    """
    name = os.fspath(path)
    with _opened(name) as (image, _, _):
        exif = image.getexif()
        text = exif.get(ExifTags.Base.ImageDescription)
        if exif.get(ExifTags.Base.Software) != SOFTWARE or not text:
            raise ImageError(f"{name}: there are no jaxstyle settings in its metadata")
    return str(text)


# --- opening --------------------------------------------------------------------------------------


class _Opened(NamedTuple):
    """A picture that is opened but not decoded, its file for Pillow, and notes for the user."""

    image: ImageFile.ImageFile
    file: BinaryFile
    notes: tuple[str, ...]


@contextmanager
def _opened(name: str, *, again: bool = False) -> Iterator[_Opened]:
    """Open the main picture of a file, after checking what its header claims.

    Args:
      name: The path.
      again: Whether the file will be read again.

    Raises:
      ImageError: The file cannot be opened, is no picture, or asks for too much.
    """
    with open_file(name, again=again) as file:
        head = file.read(_kinds.HEAD)
        if not head:
            raise ImageError(f"{name}: the file is empty")
        if head.startswith(b"MM\0+"):
            raise ImageError(
                f"{name}: big-endian BigTIFF is not supported; save it as little-endian"
            )
        file.seek(0)
        with quiet_pillow(name), _image(file, head, name) as opened:
            check_claim(opened.image, file, name)
            yield opened


@contextmanager
def open_file(path: str | os.PathLike[str], *, again: bool = False) -> Iterator[BinaryFile]:
    """Open a picture's file for reading, as ``jaxstyle.machine.input_files`` says.

    Raises:
      ImageError: It cannot be opened.
    """
    name = os.fspath(path)
    try:
        file = open_input(name, again=again)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        problem = reason if str(reason).startswith("is ") else f"cannot be opened: {reason}"
        raise ImageError(f"{name!r}: {problem}") from error
    with file:
        yield file


@contextmanager
def _image(file: BinaryFile, head: bytes, name: str) -> Iterator[_Opened]:
    """Open the main picture of a file by Pillow, or by a package that adds its format."""
    notes: list[str] = []
    animated, plugin = False, _plugin(head, name)
    if head.startswith((b"II", b"MM")):
        file, found = main_page(file, name)
        notes += found
    elif head.startswith(_kinds.PNG):
        file, animated, found = only_needed(file)
        notes += (f"{name}: {note}" for note in found)
    with plugin(file) as image:
        kind = image.format or ""
        if kind == "MPO" or (kind == "HEIF" and _is_animated(image)):
            notes.append(f"{name}: has several pictures: the main one is taken")
        elif animated or (kind in ("GIF", "WEBP", "AVIF") and _is_animated(image)):
            notes.append(f"{name}: is an animation: its first picture is taken")
        yield _Opened(image, file, tuple(notes))


def _plugin(head: bytes, name: str) -> Callable[[BinaryFile], ImageFile.ImageFile]:
    """Return the function that opens files of these first bytes.

    Raises:
      ImageError: There is none.
    """
    if _kinds.is_heif(head):
        try:
            from pillow_heif import HeifImageFile  # type: ignore  # an optional dependency
        except ImportError:
            raise ImageError(
                f"{name}: is a HEIC picture, which needs pillow-heif: "
                "pip install pillow-heif, or save it as JPEG"
            ) from None
        return HeifImageFile
    if kind := _kinds.kind_of(head):
        remedy = "" if ":" in kind else f", not a readable {_kinds.READABLE}"
        raise ImageError(f"{name}: is {kind}{remedy}")
    if _kinds.is_avif(head) and not features.check("avif"):
        raise ImageError(
            f"{name}: is an AVIF picture, which this Pillow cannot read: save it as PNG"
        )
    return partial(Image.open, formats=FORMATS_READ)


def _is_animated(image: ImageFile.ImageFile) -> bool:
    with suppress(Exception):  # a damaged second picture does not matter
        return bool(getattr(image, "is_animated", False))
    return False


@contextmanager
def quiet_pillow(name: str) -> Iterator[None]:
    """Silence Pillow, set its limits, and convert its exceptions to ImageError.

    The limits and what silences it are global to the process, hence the lock.
    """
    with _LOCK, no_warnings(), _limits_of_pillow():
        try:
            yield
        except ImageError:
            raise
        except UnidentifiedImageError as error:
            raise ImageError(f"{name}: damaged, or not a readable {_kinds.READABLE}") from error
        except Image.DecompressionBombError as error:
            raise ImageError(
                f"{name}: more than {MAX_PIXELS // 10**6} million pixels; downscale it first"
            ) from error
        except MemoryError as error:
            raise ImageError(
                f"{name}: does not fit in memory, or is damaged; downscale it first"
            ) from error
        except Exception as error:  # on damaged files plugins raise exceptions of any type
            reason = message_of(error)
            raise ImageError(f"{name}: damaged or unsupported picture: {reason}") from error


@contextmanager
def _limits_of_pillow() -> Iterator[None]:
    pixels, profile = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow raises above twice this
    PngImagePlugin.MAX_TEXT_CHUNK = LARGEST_PROFILE  # of ICC profiles: there is no other text
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = pixels, profile


# --- decoding -------------------------------------------------------------------------------------


def _decode(image: Image.Image, low: Image.Image | None, found: Conversion, name: str) -> Picture:
    """Convert a Pillow image to a picture; `low` holds the low bytes of 16-bit color.

    Each strip is written straight to its place in the upright result, so that memory holds only
    the image decoded by Pillow and the float arrays.
    """
    load(image)
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


def _upright_sides(image: Image.Image) -> tuple[int, int]:
    """Return height and width of a picture that is not decoded yet, as they will be after it."""
    width, height = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # whose size is turned already, if tagged
        tags = ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength
        width, height = (image.tag_v2[tag] for tag in tags)
    return (width, height) if _orientation(image) in _SIDEWAYS else (height, width)


def _bits(image: ImageFile.ImageFile, file: BinaryFile) -> int:
    """Return the bits of a channel of a picture before decoding, where they may exceed 8."""
    if any(";16" in str(tile.args) for tile in image.tile):
        return 16
    if image.format in ("AVIF", "HEIF"):
        file.seek(0)
        found = re.search(rb"pixi.{4}[\1-\4](.)", file.read(2**16), re.DOTALL)
        return found[1][0] if found else 8
    return 8


def _check_sides(picture: Picture, planned: tuple[int, int], name: str) -> None:
    """Raise ImageError if a picture is not as large as its header said."""
    height, width = picture.rgb.shape[:2]
    if (height, width) != planned:
        raise ImageError(
            f"{name}: is decoded as {width}x{height} pixels, but its header says "
            f"{planned[1]}x{planned[0]}: save it again"
        )


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    """Return the horizontal and vertical dots per inch that a file tells, if they make sense."""
    with suppress(Exception):  # damaged metadata
        told = image.info.get("dpi")
        if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2):
            told = None  # Pillow supposes 72
        across, down = map(float, told or _exif_resolution(image))
        if 1 < across < 1e5 and 1 < down < 1e5:
            return across, down
    return None


def _exif_resolution(image: Image.Image) -> tuple[float, float]:
    exif = Image.Image.getexif(image)
    factor = {2: 1.0, 3: 2.54}[exif.get(ExifTags.Base.ResolutionUnit, 2)]  # inches, or centimeters
    return factor * exif[ExifTags.Base.XResolution], factor * exif[ExifTags.Base.YResolution]


def _orientation(image: Image.Image) -> int:
    with suppress(Exception):  # ignore damaged metadata: the pixels may be fine
        # Not the method of PNG files, which decodes the whole file in search of EXIF data.
        return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
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


EXTENSIONS = (
    *(".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".avif"),
    *(".heic", ".heif"),
)


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
        if path.suffix.lower() in EXTENSIONS
        and not path.name.startswith(".")
        and path.is_file()  # not a pipe, which could be waited for without end
    )
    if not found:
        raise ImageError(f"{folder}: there are no pictures in this folder")
    return found
