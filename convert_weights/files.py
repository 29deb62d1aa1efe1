"""Files: their SHA-256, names that are free, and the one writer of whole files, with its check beforehand.

`write_whole` (or `whole_file`, for data that is written piece by piece) never leaves a file that is
only half written, as far as the system allows:

- A regular file is replaced at once: a temporary file beside it is written, synced and renamed. It
  keeps its mode; a new file has that of the umask. On any failure the old content is untouched.
- A symbolic link is followed: the file that it points at is replaced.
- A device, a pipe or an open descriptor (/dev/null, /dev/stdout) is written in place.
- A file that cannot be renamed over is written in place too: a mount point (as of a container), or
  a file in a folder where this user may write it but create no others. The data is complete and
  verified before, but if the machine fails while it is copied, the file is damaged.
"""

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

Name = str | os.PathLike[str]

LONGEST_NAME = 255
"""Bytes of a file name that file systems allow."""

_TEMPORARY = re.compile(r"\.jaxstyle-(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{16}\.tmp")
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NOT_RENAMED = {*_FORBIDDEN, errno.EBUSY, errno.EXDEV}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(path: Name, *, replace: bool = True) -> None:
    """Check that `write_whole` can write a path, in the same way, and leave nothing behind.

    Call this before any long computation.

    Raises:
        FileExistsError: `path` exists and `replace` is not set.
        IsADirectoryError: `path` is a folder.
        FileNotFoundError, NotADirectoryError: The folder of `path` does not exist.
        OSError: `path` cannot be written for another reason.
    """
    file = _temporary(_target(path, replace))
    file.close()
    os.unlink(file.name)


def write_whole(
    path: Name,
    data: bytes,
    *,
    replace: bool = True,
    verify: Callable[[Path], None] | None = None,
) -> None:
    """Write a file as a whole: see above.

    Args:
        path: The file to write.
        data: Its content.
        replace: Replace an existing file. If not set, no file is ever replaced, not even one that
            another process creates during the call.
        verify: Called with the path of the temporary file; raises if its content is wrong.

    Raises:
        OSError: As of `check_writable`, or the disk is full.
    """
    with whole_file(path, replace=replace, verify=verify) as file:
        file.write(data)


@contextmanager
def whole_file(
    path: Name, *, replace: bool = True, verify: Callable[[Path], None] | None = None
) -> Iterator[BinaryIO]:
    """Open a file for the block to write, as `write_whole` writes it at the end of the block.

    After any exception in the block the old content is untouched.
    """
    target = _target(path, replace)
    file = _temporary(target)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if verify:
            verify(Path(file.name))
        if not _renamed(file.name, target, replace):
            _copy(file.name, target.path)
    finally:
        with suppress(OSError):  # it no longer exists after the rename
            os.unlink(file.name)


def unused(path: Path) -> Path:
    """Return the path, or if there is such a file, the first free one of `a-2.png`, `a-3.png`, ...

    Another process may take the name meanwhile: write the file with `replace=False`.
    """
    candidates = chain([path], (beside(path, str(number)) for number in count(2)))
    return next(each for each in candidates if not os.path.lexists(each))


def beside(path: Path, word: str) -> Path:
    """Return the path of a file beside another and named after it: `a-word.png` for `a.png`.

    Characters are dropped from the end of a stem that would make the name too long.
    """
    stem = path.stem
    while stem and len(os.fsencode(f"{stem}-{word}{path.suffix}")) > LONGEST_NAME:
        stem = stem[:-1]
    return path.with_name(f"{stem}-{word}{path.suffix}")


def remove_leftovers(folder: Name) -> None:
    """Delete the temporary files of processes of this host that were killed while they wrote."""
    for name in os.listdir(folder):
        made = _TEMPORARY.fullmatch(name)
        if made and made["host"] == socket.gethostname() and not _alive(int(made["pid"])):
            with suppress(OSError):  # another process may be doing the same
                os.unlink(os.path.join(folder, name))


class _Target(NamedTuple):
    """A file to write: its path with links followed, whether it exists, and what it is.

    Attributes:
        special: A device, a pipe or the like: always written in place, never replaced.
    """

    path: str
    exists: bool
    special: bool


def _target(path: Name, replace: bool) -> _Target:
    """Return the file to write, after checking that it may be."""
    name = os.fspath(path)
    if not os.path.basename(name):  # "" or "folder/"
        raise _error(errno.EISDIR if name else errno.ENOENT, name)
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        return _Target(os.path.realpath(name), exists=False, special=False)
    if stat.S_ISDIR(mode):
        raise _error(errno.EISDIR, name)
    if not replace:
        raise _error(errno.EEXIST, name)
    if _descriptor(name) is None and stat.S_ISREG(mode):
        target = os.path.realpath(name)
        os.close(os.open(target, os.O_WRONLY))
        return _Target(target, exists=True, special=False)
    # Not opened: that would wait for the reader of a pipe.
    if not os.access(name, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise _error(errno.EACCES, name)
    return _Target(name, exists=True, special=True)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def _descriptor(path: str) -> int | None:
    """Return the open descriptor that /dev/stdout, /dev/stderr or /dev/fd/N stands for."""
    path = {"/dev/stdout": "/dev/fd/1", "/dev/stderr": "/dev/fd/2"}.get(path, path)
    found = re.fullmatch(r"/(?:dev|proc/self)/fd/(\d+)", path)
    return int(found[1]) if found else None


def _temporary(target: _Target) -> BinaryIO:
    """Create a temporary file beside the target or, where that cannot be, elsewhere."""
    if not target.special:
        name = f".jaxstyle-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(8)}.tmp"
        try:
            file = open(os.path.join(os.path.dirname(target.path), name), "xb")  # noqa: SIM115
        except OSError as error:
            if error.errno not in _FORBIDDEN or not target.exists:
                raise
        else:
            if target.exists:
                with suppress(PermissionError):  # the file system has no modes
                    shutil.copymode(target.path, file.name)
            return file
    return cast(BinaryIO, tempfile.NamedTemporaryFile(prefix="jaxstyle-", delete=False))


def _renamed(temporary: str, target: _Target, replace: bool) -> bool:
    """Move the temporary file to the target; return False if it has to be copied instead."""
    folder = os.path.dirname(target.path)
    if target.special or os.path.dirname(temporary) != folder:
        return False
    try:
        if replace:
            os.replace(temporary, target.path)
        else:
            _move_to_new(temporary, target.path)
    except OSError as error:
        if target.exists and error.errno in _NOT_RENAMED:
            return False
        raise
    _sync_directory(folder)
    return True


def _move_to_new(temporary: str, target: str) -> None:
    # Unlike a rename, creating a hard link is atomic and fails if the name is taken.
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:
        # The file system has no hard links: reserve the name with an empty file and replace that.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(temporary, target)
        except OSError:
            os.unlink(target)
            raise


def _sync_directory(directory: str) -> None:
    # Makes the rename survive a power failure; some systems cannot open a directory.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _copy(temporary: str, target: str) -> None:
    """Write the content of the temporary file into the target itself."""
    number = _descriptor(target)
    with open(temporary, "rb") as source:
        own = os.open(target, os.O_WRONLY | os.O_TRUNC) if number is None else os.dup(number)
        with open(own, "wb") as file:
            shutil.copyfileobj(source, file)
            file.flush()
            if stat.S_ISREG(os.fstat(own).st_mode):
                os.fsync(own)


def _alive(process: int) -> bool:
    """Return whether a process of this host is running; on Windows always True."""
    if os.name == "nt":  # os.kill would end the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
