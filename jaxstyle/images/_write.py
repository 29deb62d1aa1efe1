"""Writing of PNG, JPEG, WebP and TIFF files, with reproducible bytes.

Every file is written as a whole, as ``jaxstyle.machine.files`` says.
"""

import contextlib
import io
import os
import pathlib
from collections.abc import Container, Iterator

import numpy as np

from jaxstyle.errors import ImageError, message_of
from jaxstyle.images._encode import encode
from jaxstyle.images._read import Picture
from jaxstyle.images._strips import strips
from jaxstyle.machine import files
from jaxstyle.machine.files import BinaryFile

Path = str | os.PathLike[str]

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
_ATTEMPTS = 100
_SIXTEEN_BIT = ("PNG", "TIFF")
_LONGEST = {"JPEG": 65500, "WEBP": 16383}
"""Maximum side in pixels, of libjpeg and of the WebP format."""


def check_writable(path: Path, *, bits: int = 8, longest: int = 1) -> None:
    """Check before a long run that `write` will be able to write a path.

    Args:
      path: The output file. An existing file is not changed, and no other file is left behind.
      bits: 8, or 16 for PNG and TIFF.
      longest: The longest side of the picture in pixels, if known.

    Raises:
      ImageError: The path cannot be written.
    """
    check_target(path, tuple(FORMATS))
    check_format(path, bits=bits, longest=longest)


def check_format(path: Path, *, bits: int = 8, longest: int = 1) -> None:
    """Check that the format of a file extension supports these bits and this size.

    The file system is not accessed: `path` may be on another machine.

    Args:
      path: The output file.
      bits: 8, or 16 for PNG and TIFF.
      longest: The longest side of the picture in pixels, if known.

    Raises:
      ImageError: The extension is unknown, or its format does not support them.
    """
    name = os.fspath(path)
    kind = FORMATS.get(_extension(name))
    if kind is None:
        raise ImageError(_unknown_extension(name, tuple(FORMATS)))
    if bits not in (8, 16):
        raise ImageError(f"{name}: {bits} bits per channel are not supported: use 8 or 16")
    if bits == 16 and kind not in _SIXTEEN_BIT:
        raise ImageError(f"{name}: {kind} does not support 16 bits per channel: use .png or .tif")
    if longest > _LONGEST.get(kind, longest):
        raise ImageError(
            f"{name}: {kind} has at most {_LONGEST[kind]} pixels a side, not {longest}: use .png "
            "or .tif"
        )


def write(
    path: Path, picture: Picture, *, bits: int = 8, description: str = "", replace: bool = True
) -> None:
    """Write a picture in the format of its file extension, atomically.

    The sRGB profile is embedded, and the same input gives the same bytes. PNG, WebP and TIFF keep
    alpha; for JPEG, the picture is composited over white. JPEG and WebP have quality 95, JPEG
    without chroma subsampling. PNG and TIFF are written strip by strip, and a TIFF that may exceed
    4 GB is a BigTIFF.

    Args:
      path: A .png, .jpg, .jpeg, .webp, .tif or .tiff file in an existing directory.
      picture: Values are clipped to [0, 1] and rounded to the nearest level.
      bits: 8, or 16 for PNG and TIFF.
      description: ASCII text for the EXIF tag ImageDescription, usually settings as JSON.
        `read_description` reads it back.
      replace: Replace an existing file.

    Raises:
      ImageError: The file cannot be written. An existing file is left unchanged.
      FileExistsError: There is a file, and `replace` is not set.
    """
    name = os.fspath(path)
    check_format(name, bits=bits, longest=max(picture.rgb.shape))
    check_directory(name, replace=replace)
    with _whole(name, replace) as file:
        _encode(file, name, picture, bits, description)


def write_unused(
    path: Path,
    picture: Picture,
    *,
    bits: int = 8,
    description: str = "",
    taken: Container[pathlib.Path] = (),
) -> pathlib.Path:
    """Write a picture where there is no file yet: at the path, or at `a-2.png`, `a-3.png`, ...

    Args:
      path, picture, bits, description: As for `write`.
      taken: Further paths to leave alone, without symbolic links.

    Returns:
      The path that was written.

    Raises:
      ImageError: The file cannot be written.
    """
    for _ in range(_ATTEMPTS):
        free = files.unused(pathlib.Path(path), taken)
        with contextlib.suppress(FileExistsError):  # another process was faster
            write(free, picture, bits=bits, description=description, replace=False)
            return free
    raise ImageError(f"{os.fspath(path)}: no name of its kind is free")


def encoded(path: Path, picture: Picture, *, bits: int = 8, description: str = "") -> bytes:
    """Return the bytes that `write` would write to a path.

    Only the extension of `path` is used: it may be on another machine.

    Raises:
      ImageError: The picture cannot be encoded in the format of this extension.
    """
    name = os.fspath(path)
    check_format(name, bits=bits, longest=max(picture.rgb.shape))
    buffer = io.BytesIO()
    _encode(buffer, name, picture, bits, description)
    return buffer.getvalue()


def _encode(file: BinaryFile, name: str, picture: Picture, bits: int, description: str) -> None:
    """Write a picture to an open file in the format of the extension of `name`.

    Raises:
      ImageError: The picture cannot be encoded.
      OSError: The file cannot be written.
    """
    kind = FORMATS[_extension(name)]
    if not description.isascii():
        raise ImageError(f"{name}: the description has characters beyond ASCII")
    if not all(np.isfinite(picture.rgb[rows]).all() for rows in strips(*picture.rgb.shape[:2])):
        raise ImageError(f"{name}: the picture has NaN or infinite values")
    try:
        encode(file, picture, kind, bits, description)
    except (OSError, ValueError, MemoryError) as error:  # e.g. EXIF of more than 64 kB in a JPEG
        if isinstance(error, OSError) and error.errno:
            raise
        reason = message_of(error)
        raise ImageError(f"{name}: cannot be encoded as {kind}: {reason}") from error


def check_target(path: Path, extensions: tuple[str, ...]) -> str:
    """Check that a path can be written and has one of these extensions; return its extension.

    Raises:
      ImageError: The extension is another one, or the file cannot be created there.
    """
    name = os.fspath(path)
    extension = _extension(name)
    if extension not in extensions:
        raise ImageError(_unknown_extension(name, extensions))
    check_directory(name)
    return extension


def check_directory(path: Path, *, replace: bool = True) -> None:
    """Check that a file can be written at a path, without leaving anything behind.

    Raises:
      ImageError: The directory does not exist or is not writable, or `path` is a directory.
      FileExistsError: There is a file, and `replace` is not set.
    """
    name = os.fspath(path)
    try:
        files.check_writable(name, replace=replace)
    except FileExistsError:
        raise
    except IsADirectoryError as error:
        raise ImageError(f"{name}: is a directory, not a file") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        directory = os.path.join(os.getcwd(), os.path.dirname(name))
        if os.path.isdir(directory):  # a link leads to another one
            directory = os.path.dirname(os.path.realpath(name))
        raise ImageError(f"{name}: there is no directory {directory}: create it first") from error
    except OSError as error:
        raise ImageError(f"{name}: cannot be written there: {error.strerror or error}") from error


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file as a whole.

    Raises:
      ImageError: The file cannot be written. An existing file is left unchanged.
    """
    replace_file(path, text.encode())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file as a whole.

    Raises:
      ImageError: The file cannot be written. An existing file is left unchanged.
    """
    with _whole(path) as file:
        file.write(data)


@contextlib.contextmanager
def _whole(path: Path, replace: bool = True) -> Iterator[BinaryFile]:
    """Open a file to be written as a whole, with an ImageError if that fails."""
    name = os.fspath(path)
    try:
        with files.whole_file(name, replace=replace) as file:
            yield file
    except FileExistsError:
        raise
    except OSError as error:
        raise ImageError(f"{name}: cannot be written: {error.strerror or error}") from error


def _unknown_extension(name: str, extensions: tuple[str, ...]) -> str:
    known, extension = ", ".join(extensions[:-1]) + f" or {extensions[-1]}", _extension(name)
    if not extension:  # as of /dev/stdout
        return f"{name}: has no extension, which says the format of the file: use {known}"
    return f"{name}: unknown extension {extension!r}: use {known}"


def _extension(name: str) -> str:
    return os.path.splitext(name)[1].lower()
