"""Files: the checks before reading, SHA-256, and writing that never leaves half a file behind."""

import hashlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from convert_weights.errors import WeightsError, one_line


def require_file(path: Path) -> None:
    """Check that a regular file with something in it is there.

    Raises:
        WeightsError: without the path; callers name it (`errors.naming`).
    """
    if not path.exists():
        raise WeightsError("no such file")
    if not path.is_file():
        raise WeightsError("a directory, not a file" if path.is_dir() else "not a regular file")
    if path.stat().st_size == 0:
        raise WeightsError("the file is empty")


def sha256(path: Path) -> str:
    """SHA-256 of the whole file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_output(path: Path, force: bool) -> None:
    """Check, by trying, that `path` can be written: to be called before any long work.

    Raises:
        WeightsError: the directory is missing or not writable, or something is in the way.
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
    """Write `data` beside `path`, let `verify` read it back from there, then move it into place.

    Without `force`, a file that is there, even one that appeared a moment ago, is never replaced.

    Raises:
        WeightsError: `path` exists, or cannot be written (its old content is then untouched).
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
    # A hard link fails when its name is taken: the one move that is atomic and never replaces.
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # File systems without hard links: reserve the name, then move onto the reservation.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(temporary, path)
        except OSError:
            os.unlink(path)
            raise


def _sync_directory(directory: Path) -> None:
    # Makes the new name survive a power cut; not every system can open a directory.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _exists(path: Path) -> WeightsError:
    return WeightsError(f"{path}: exists already; give --force to replace it, or another name")


def _unwritable(path: Path, error: OSError) -> WeightsError:
    return WeightsError(f"{path}: cannot be written: {error.strerror or one_line(error)}")
