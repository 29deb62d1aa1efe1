"""Pixels out: PNG, JPEG, WebP or TIFF, whole or not at all, the same bytes every time."""

import contextlib
import io
import os
import secrets
import shutil
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from jaxstyle.errors import ImageError
from jaxstyle.images._encode import encode
from jaxstyle.images._read import Picture
from jaxstyle.images._strips import strips

Path = str | os.PathLike[str]

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
_SIXTEEN_BIT = ("PNG", "TIFF")
_LONGEST = {"JPEG": 65500, "WEBP": 16383}  # pixels: the limits of libjpeg and of the WebP format


def check_writable(path: Path, *, bits: int = 8, longest: int = 1) -> None:
    """Find out before a long run whether `write` can write this path afterwards.

    Args:
      path: the file to be; what is there now is left alone, and no trace remains beside it.
      bits: 8, or 16 for PNG and TIFF.
      longest: the picture's longest side in pixels, if it is known.

    Raises:
      ImageError: it cannot, with the reason and what to do.
    """
    check_target(path, tuple(FORMATS))
    check_format(path, bits=bits, longest=longest)


def check_format(path: Path, *, bits: int = 8, longest: int = 1) -> None:
    """The part of `check_writable` that is about the format of a file, wherever it is to be.

    Raises:
      ImageError: no picture of so many bits or pixels can have this extension.
    """
    name = os.fspath(path)
    kind = FORMATS.get(_extension(name))
    if kind is None:
        raise ImageError(_unknown_extension(name, tuple(FORMATS)))
    if bits not in (8, 16):
        raise ImageError(f"{name}: {bits} bits a channel are not possible: 8 or 16 are")
    if bits == 16 and kind not in _SIXTEEN_BIT:
        raise ImageError(f"{name}: {kind} has no 16 bits a channel: name a .png or .tif file")
    if longest > _LONGEST.get(kind, longest):
        raise ImageError(
            f"{name}: {kind} has at most {_LONGEST[kind]} pixels a side, not {longest}: name a "
            ".png or .tif file"
        )


def write(path: Path, picture: Picture, *, bits: int = 8, description: str = "") -> None:
    """Write a picture in the format of its file extension, atomically.

    The sRGB profile is embedded, `description` goes into the EXIF tag ImageDescription, and the
    same input gives the same bytes. PNG, WebP and TIFF keep alpha; JPEG has none and is laid over
    white. JPEG and WebP have quality 95, JPEG without chroma subsampling. PNG and TIFF go to the
    disk strip by strip, and a TIFF that may pass 4 GB is a BigTIFF.

    Args:
      path: a .png, .jpg, .jpeg, .webp, .tif or .tiff file, in an existing directory.
      picture: values are clipped to [0, 1] and rounded to the nearest level.
      bits: 8, or 16 for PNG and TIFF.
      description: ASCII text; settings as JSON, usually. `read_description` gives it back.

    Raises:
      ImageError: it cannot be written; a file that was there before is still there, unchanged.
    """
    name = os.fspath(path)
    check_writable(name, bits=bits, longest=max(picture.rgb.shape))
    with replaced(name) as file:
        _encode(file, name, picture, bits, description)


def encoded(path: Path, picture: Picture, *, bits: int = 8, description: str = "") -> bytes:
    """What `write` would put at a path, which need not be on this machine.

    Raises:
      ImageError: it cannot be encoded in the format of this extension.
    """
    name = os.fspath(path)
    check_format(name, bits=bits, longest=max(picture.rgb.shape))
    buffer = io.BytesIO()
    _encode(buffer, name, picture, bits, description)
    return buffer.getvalue()


def _encode(
    file: BinaryIO | io.BytesIO, name: str, picture: Picture, bits: int, description: str
) -> None:
    """Write a picture to an open file in the format of a name. Raises ImageError, or OSError where
    it is the file that fails."""
    kind = FORMATS[_extension(name)]
    if not description.isascii():
        raise ImageError(f"{name}: the description has characters beyond ASCII")
    if not all(np.isfinite(picture.rgb[rows]).all() for rows in strips(*picture.rgb.shape[:2])):
        raise ImageError(f"{name}: the picture holds NaN or infinite values")
    try:
        encode(file, picture, kind, bits, description)
    except (OSError, ValueError, MemoryError) as error:  # such as EXIF of over 64 kB in a JPEG
        if isinstance(error, OSError) and error.errno:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: cannot be encoded as {kind}: {reason}") from error


def check_target(path: Path, extensions: tuple[str, ...]) -> str:
    """Check that a file of one of these extensions can be put at `path`; return its extension.

    Raises:
      ImageError: another extension, or what `check_directory` says.
    """
    name = os.fspath(path)
    extension = _extension(name)
    if extension not in extensions:
        raise ImageError(_unknown_extension(name, extensions))
    check_directory(name)
    return extension


def check_directory(path: Path) -> None:
    """Check that a file can be put at `path`, whatever its extension; leaves nothing behind.

    Raises:
      ImageError: there is no such directory, it is not writable, or `path` is one itself.
    """
    name = os.fspath(path)
    target = os.path.realpath(name)
    directory = os.path.dirname(target)
    if os.path.isdir(target):
        raise ImageError(f"{name}: is a directory, not a file")
    if not os.path.isdir(directory):
        raise ImageError(f"{name}: there is no directory {directory}: create it first")
    beside = _beside(target)
    try:
        if os.path.exists(target):
            open(target, "r+b").close()  # unchanged; refused where it is read-only
        open(beside, "xb").close()
        os.unlink(beside)
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{name}: cannot be written there: {reason}") from error


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file as safely as a picture; raises what `replace_file` raises."""
    replace_file(path, text.encode())


def replace_file(path: Path, data: bytes) -> None:
    """Put a file in place all at once: see `replaced`, which says what it raises."""
    with replaced(path) as file:
        file.write(data)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which is put in place all at once: written beside, synced, renamed.

    The mode is that of the file it replaces, or what the umask leaves of a new one. A symbolic
    link is followed.

    Raises:
      ImageError: the system refuses (disk full, say); an old file is still there, unchanged, as
        it is after any exception.
    """
    name = os.fspath(path)
    target = os.path.realpath(name)
    beside = _beside(target)
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            shutil.copymode(target, beside)
        os.replace(beside, target)
    except OSError as error:
        raise ImageError(f"{name}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # after the rename there is nothing left to remove
            os.unlink(beside)


def _unknown_extension(name: str, extensions: tuple[str, ...]) -> str:
    known = ", ".join(extensions[:-1]) + f" or {extensions[-1]}"
    return f"{name}: unknown extension {_extension(name)!r}: use {known}"


def _extension(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _beside(target: str) -> str:
    """A new name in the same directory, hence on the same file system."""
    return os.path.join(os.path.dirname(target), f".jaxstyle-{secrets.token_hex(8)}.tmp")
