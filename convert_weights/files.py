"""File helpers: checks before reading, SHA-256, and atomic writes."""

import hashlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from convert_weights.errors import WeightsError, one_line


def require_file(path: Path) -> None:
    """Check that `path` is a regular file and not empty.

    Raises:
        WeightsError: It is not. The message omits the path; callers add it with `errors.naming`.
    """
    if not path.exists():
        raise WeightsError("no such file")
    if not path.is_file():
        raise WeightsError("a directory, not a file" if path.is_dir() else "not a regular file")
    if path.stat().st_size == 0:
        raise WeightsError("the file is empty")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_output(path: Path, force: bool) -> None:
    """Check that `path` can be written by creating a temporary file beside it.

    Call this before any long computation.

    Raises:
        WeightsError: The directory is missing or not writable, `path` is not a regular file, or it
            exists and `force` is not set.
    """
    if path.is_dir():
        raise WeightsError(f"{path}: a directory; name the file to write")
    if path.exists() and not path.is_file():
        raise WeightsError(f"{path}: not a regular file; name another file to write")
    if path.exists() and not force:
        raise _exists(path)
    if not path.parent.is_dir():
        raise WeightsError(f"{path}: the directory {path.parent} does not exist; create it first")
    trial = _beside(path)
    try:
        trial.open("xb").close()
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)


def write_atomically(
    path: Path, data: bytes, *, force: bool, verify: Callable[[Path], None]
) -> None:
    """Write `data` to a temporary file beside `path`, verify it and move it into place.

    Args:
        path: The file to write.
        data: Its content.
        force: Replace an existing file. If not set, no file is ever replaced, not even one that
            another process creates during the call.
        verify: Called with the path of the temporary file; raises if its content is wrong.

    Raises:
        WeightsError: `path` exists, or cannot be written; its old content is then untouched.
    """
    temporary = _beside(path)
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        verify(temporary)
        if force:
            os.replace(temporary, path)
        else:
            _move_to_new(temporary, path)
        _sync_directory(path.parent)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _move_to_new(temporary: Path, path: Path) -> None:
    # Unlike a rename, creating a hard link is atomic and fails if the name is taken.
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # The file system has no hard links: reserve the name with an empty file and replace that.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(temporary, path)
        except OSError:
            os.unlink(path)
            raise


def _sync_directory(directory: Path) -> None:
    # Makes the rename survive a power failure; some systems cannot open a directory.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _exists(path: Path) -> WeightsError:
    return WeightsError(f"{path}: already exists; use --force to replace it, or another name")


def _unwritable(path: Path, error: OSError) -> WeightsError:
    return WeightsError(f"{path}: cannot be written: {error.strerror or one_line(error)}")
