"""Files: their SHA-256, names that are free, and the one writer of whole files, with its check.

`write_whole` (or `whole_file`, for data that is written piece by piece) never leaves a file that is
only half written, as far as the system allows:

- A regular file is replaced at once: a temporary file beside it is written, synced and renamed. It
  keeps its mode; a new file has that of the umask. On any failure the old content is untouched.
- A symbolic link is followed: the file that it points at is replaced. With `follow=False`, as for
  files of the program's own, the link itself is, or a pipe or the like of this name.
- A device, a pipe or an open descriptor (/dev/null, /dev/stdout) is written in place.
- A file that cannot be renamed over is written in place too: a mount point (as of a container), or
  a file in a folder where this user may write it but create no others. The data is complete and
  verified before, but if the machine fails while it is copied, the file is damaged.
"""

import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO, NamedTuple

Name = str | os.PathLike[str]

BinaryFile = BinaryIO | io.BytesIO
"""A file of bytes, or one in memory."""

LONGEST_NAME = 255
"""Bytes of a file name that file systems allow."""

_TEMPORARY = re.compile(r"\.jaxstyle-(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{16}\.tmp")
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NOT_RENAMED = {*_FORBIDDEN, errno.EBUSY, errno.EXDEV}
_NOT_SYNCED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}
"""Errors of `fsync` that say that the file system has no such thing, not that data was lost."""

_ABANDONED = 24 * 3600
"""Seconds after which nobody is writing a temporary file any more, whoever made it."""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(path: Name, *, replace: bool = True, follow: bool = True) -> None:
    """Check that `write_whole` can write a path, in the same way, and leave nothing behind.

    Call this before any long computation.

    Raises:
        FileExistsError: `path` exists and `replace` is not set.
        IsADirectoryError: `path` is a folder.
        FileNotFoundError, NotADirectoryError: The folder of `path` does not exist.
        OSError: `path` cannot be written for another reason.
    """
    file = _temporary(_target(path, replace, follow))
    file.close()
    os.unlink(file.name)  # where it may not be removed it could not be renamed either


def write_whole(
    path: Name,
    data: bytes,
    *,
    replace: bool = True,
    follow: bool = True,
    verify: Callable[[Path], None] | None = None,
) -> None:
    """Write a file as a whole: see above.

    Args:
        path: The file to write.
        data: Its content.
        replace: Replace an existing file. If not set, no file is ever replaced, not even one that
            another process creates during the call.
        follow: Replace what a symbolic link points at. If not set, replace the link itself.
        verify: Called with the path of the temporary file; raises if its content is wrong.

    Raises:
        OSError: As of `check_writable`, or the disk is full.
    """
    with whole_file(path, replace=replace, follow=follow, verify=verify) as file:
        file.write(data)


@contextmanager
def whole_file(
    path: Name,
    *,
    replace: bool = True,
    follow: bool = True,
    verify: Callable[[Path], None] | None = None,
) -> Iterator[BinaryIO]:
    """Open a file for the block to write, as `write_whole` writes it at the end of the block.

    After any exception in the block the old content is untouched.
    """
    target = _target(path, replace, follow)
    file = _temporary(target)
    try:
        with file:
            yield file
            file.flush()
            _sync(file.fileno())
        if verify:
            verify(Path(file.name))
        if not _renamed(file.name, target, replace):
            _copy(file.name, target.path)
    finally:
        with suppress(OSError):  # it no longer exists after the rename
            os.unlink(file.name)


def unused(path: Path, taken: Container[Path] = ()) -> Path:
    """Return the path, or if there is such a file, the first free one of `a-2.png`, `a-3.png`, ...

    Another process may take the name meanwhile: write the file with `replace=False`.

    Args:
        path: The path wanted.
        taken: Further paths that are not free, without symbolic links (`Path.resolve`).
    """
    candidates = chain([path], (beside(path, str(number)) for number in count(2)))
    return next(
        each for each in candidates if not os.path.lexists(each) and each.resolve() not in taken
    )


def beside(path: Path, word: str) -> Path:
    """Return the path of a file beside another and named after it: `a-word.png` for `a.png`."""
    return path.with_name(name_with(path.stem, f"-{word}{path.suffix}"))


def name_with(stem: str, ending: str) -> str:
    """Return a name with an ending, without the last characters of a stem that is too long."""
    while stem and len(os.fsencode(stem + ending)) > LONGEST_NAME:
        stem = stem[:-1]
    return stem + ending


def temporary_name() -> str:
    """Return a name for a temporary file or folder that `remove_leftovers` knows."""
    return f".jaxstyle-{this_host()}-{os.getpid()}-{secrets.token_hex(8)}.tmp"


def remove_leftovers(folder: Name | None = None) -> None:
    """Delete the temporary files of processes that were killed while they wrote.

    Those are files of processes of this host that are no more, and files of any host a day old.

    Args:
        folder: Where to look for them; if None, in the folder for temporary files.
    """
    with suppress(OSError):  # there is no such folder, or it cannot be listed
        folder = _folder_for_temporary_files() if folder is None else folder
        for name in os.listdir(folder):
            made, path = _TEMPORARY.fullmatch(name), os.path.join(folder, name)
            if made and _is_left_over(path, made["host"], int(made["pid"])):
                with suppress(OSError):  # another process may be doing the same
                    _delete(path)


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _is_left_over(path: str, host: str, process: int) -> bool:
    if host == this_host() and not _alive(process):
        return True
    try:
        return time.time() - os.lstat(path).st_mtime > _ABANDONED
    except OSError:
        return False


def this_host() -> str:
    """Return a name of this host and, in a container, of its process numbers."""
    name = re.sub(r"[^\w.-]", "_", socket.gethostname())[:64]
    with suppress(OSError):  # not Linux
        return f"{name}.{os.stat('/proc/self/ns/pid').st_ino}"
    return name


class _Target(NamedTuple):
    """A file to write: its path with links followed, whether it exists, and what it is.

    Attributes:
        special: A device, a pipe or the like: always written in place, never replaced.
    """

    path: str
    exists: bool
    special: bool


def _target(path: Name, replace: bool, follow: bool) -> _Target:
    """Return the file to write, after checking that it may be."""
    name = os.fspath(path)
    if not os.path.basename(name):  # "" or "folder/"
        raise _error(errno.EISDIR if name else errno.ENOENT, name)
    if not follow and _is_other(name):
        if not replace:
            raise _error(errno.EEXIST, name)
        return _Target(os.path.abspath(name), exists=False, special=False)
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        target = os.path.realpath(name)
        if os.path.lexists(target):
            # By way of a folder that is not there, as "missing/../file", this fails again. Else
            # another process has made the file meanwhile.
            os.stat(name)
        return _Target(target, exists=False, special=False)
    if stat.S_ISDIR(mode):
        raise _error(errno.EISDIR, name)
    if not replace:
        raise _error(errno.EEXIST, name)
    if _descriptor(name) is None and stat.S_ISREG(mode):
        target = os.path.realpath(name)
        os.close(os.open(target, os.O_WRONLY))
        return _Target(target, exists=True, special=False)
    if stat.S_ISSOCK(mode):
        raise OSError(errno.ENXIO, "is a socket, not a file", name)
    if (number := _descriptor(name)) is not None:
        os.write(number, b"")  # an error if it is open for reading only
    # Not opened: that would wait for the reader of a pipe.
    elif not os.access(name, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise _error(errno.EACCES, name)
    return _Target(name, exists=True, special=True)


def _is_other(name: str) -> bool:
    """Return whether there is something of this name that is neither a file nor a folder."""
    try:
        mode = os.lstat(name).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


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
        try:
            file = _new_file(os.path.dirname(target.path), 0o666)
        except OSError as error:
            if error.errno not in _FORBIDDEN or not target.exists:
                raise
        else:
            if target.exists:
                with suppress(OSError):  # the file system has no modes
                    shutil.copymode(target.path, file.name)
            return file
    return _new_file(_folder_for_temporary_files(), 0o600)


def _new_file(folder: str, mode: int) -> BinaryIO:
    """Create a temporary file with a name that `remove_leftovers` knows."""
    return open(os.path.join(folder, temporary_name()), "xb", opener=partial(os.open, mode=mode))


def _folder_for_temporary_files() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:  # of a container all of which is read-only
        if os.access("/dev/shm", os.W_OK):
            return "/dev/shm"
        reason = "there is no folder for temporary files: set TMPDIR to one"
        raise OSError(errno.EROFS, reason) from error


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


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise


def _copy(temporary: str, target: str) -> None:
    """Write the content of the temporary file into the target itself."""
    number = _descriptor(target)
    with open(temporary, "rb") as source:
        flags = os.O_WRONLY | getattr(os, "O_BINARY", 0)
        own = _opened(target, flags) if number is None else os.dup(number)
        regular = number is None and stat.S_ISREG(os.fstat(own).st_mode)
        with open(own, "wb") as file:
            if regular:
                _reserve(own, os.fstat(source.fileno()).st_size)
            shutil.copyfileobj(source, file)
            if regular:
                file.truncate()
            file.flush()
            if stat.S_ISREG(os.fstat(own).st_mode):
                _sync(own)


NO_READER = 10.0
"""Seconds after which a pipe is given up that no program reads."""


def _opened(target: str, flags: int) -> int:
    """Open a file for writing; wait for the reader of a pipe, but not for ever."""
    end = time.monotonic() + NO_READER
    while True:
        try:
            descriptor = os.open(target, flags | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > end:
                raise OSError(errno.ENXIO, "is a pipe, and no program reads it", target) from error
            time.sleep(0.05)
        else:
            if hasattr(os, "set_blocking"):
                os.set_blocking(descriptor, True)
            return descriptor


def _reserve(descriptor: int, size: int) -> None:
    """Take the space of a larger file beforehand, so that a full disk leaves its old content."""
    before = os.fstat(descriptor).st_size
    if size <= before or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        os.ftruncate(descriptor, before)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


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
