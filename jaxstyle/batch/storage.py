"""Reading and writing of files of a batch, local or at URLs of any file system of fsspec."""

import errno
import glob
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from jaxstyle.errors import LedgerError, StorageError, message_of
from jaxstyle.machine.files import remove_leftovers, write_whole
from jaxstyle.machine.lock import taken_by
from jaxstyle.machine.temporary import temporary_folder

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def is_url(path: str) -> bool:
    """Return whether a path is a URL (gs://, s3://, memory://, ...), which needs fsspec."""
    return bool(_URL.match(path))


@contextmanager
def local_copy(path: str, head: int | None = None) -> Iterator[Path]:
    """Yield a local path: the path itself or, for a URL, a temporary copy of the same file name.

    Args:
      path: path or URL.
      head: copy only this many leading bytes of a URL; None for the whole file.

    Raises:
      StorageError: the URL does not exist or cannot be fetched.
      TemporaryFolderError: there is no folder for temporary files.
    """
    if not is_url(path):
        yield Path(path)
        return
    with temporary_folder() as folder:
        name = urlsplit(path).path if path.lower().startswith("http") else path
        copy = folder / PurePosixPath(name).name
        with _one_line(path, "cannot be read"):
            files, remote = _remote(path)
            if head is None:
                files.get_file(remote, str(copy))
            else:
                copy.write_bytes(files.cat_file(remote, start=0, end=head))
        yield copy


def listing(folder: str) -> list[str]:
    """Return the sorted full paths or URLs of the files in a folder, without hidden files.

    Raises:
      StorageError: the folder does not exist or cannot be read.
    """
    with _one_line(folder, "cannot be read"):
        names = _files_in(folder)
    return sorted(_joined(folder, name) for name in names if not name.startswith("."))


def matching(pattern: str) -> list[str]:
    """Return the sorted full paths or URLs of the files that match a glob, possibly none.

    Args:
      pattern: path or URL with ``*``, ``?``, ``[...]`` or ``**``.

    Raises:
      StorageError: the files cannot be listed.
    """
    if not is_url(pattern):
        return sorted(filter(os.path.isfile, glob.glob(pattern, recursive=True)))
    with _one_line(pattern, "cannot be read"):
        files, remote = _remote(pattern)
        found = files.glob(remote, detail=True)
    return sorted(
        files.unstrip_protocol(name) for name, about in found.items() if about["type"] == "file"
    )


def is_full(error: Exception) -> bool:
    """Return whether a failure to write means that the disk is full."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL


def _open_own(path: str) -> int:
    """Open a local file of our own to read and to append; create it if there is none.

    Raises:
      StorageError: there is a link, hard or symbolic, or another thing of this name.
      OSError: it cannot be opened.
    """
    _check_own(path, alone=True)
    # Not waiting, and once more not following: it may have been replaced meanwhile.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _NO_LINK | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags, 0o666)


def _check_own(path: str, *, alone: bool = False) -> None:
    """Raise StorageError if there is something of this name that is not a regular file.

    Args:
      path: local path.
      alone: whether the file must have no other names (hard links), as it is changed in place.
    """
    with suppress(FileNotFoundError):
        about = os.lstat(path)
        what = "a symbolic link" if stat.S_ISLNK(about.st_mode) else "not a file"
        if not stat.S_ISREG(about.st_mode):
            raise StorageError(f"{path}: is {what}, and is left alone: remove it")
        if alone and about.st_nlink > 1:
            raise StorageError(f"{path}: is one file with another, and is left alone: remove it")


@dataclass(frozen=True)
class Folder:
    """A folder to write to. All methods raise StorageError with a one-line message.

    Attributes:
      root: path or URL of the folder.
    """

    root: str

    def create(self) -> None:
        """Create the folder, check that it can be written, and delete files of killed processes.

        At a URL, the folder is created only if writing fails without it: object stores have no
        folders, and might create a bucket of that name instead.
        """
        if not is_url(self.root) and os.path.isfile(self.root):
            raise StorageError(f"{self.root}: is a file, not a folder")
        with _one_line(self.root, "cannot be written there"):
            if not is_url(self.root):
                os.makedirs(self.root, exist_ok=True)
                remove_leftovers(self.root)
            try:
                self._probe()
            except FileNotFoundError:
                files, remote = _remote(self.root)
                files.makedirs(remote, exist_ok=True)
                self._probe()

    def names(self) -> set[str]:
        """Return the names of its files from one listing; empty if the folder does not exist."""
        with _one_line(self.root, "cannot be read"):
            try:
                return set(_files_in(self.root))
            except FileNotFoundError:
                return set()

    def all_names(self) -> set[str]:
        """Return the names of all that is in it, links and folders too; of a URL, of its files."""
        if is_url(self.root):
            return self.names()
        with _one_line(self.root, "cannot be read"):
            return set(os.listdir(self.root))

    def read(self, name: str) -> bytes | None:
        """Read a file; None if it does not exist."""
        with _one_line(self.path(name), "cannot be read"):
            try:
                return self._get(name)
            except FileNotFoundError:
                return None

    def check_own(self, names: Iterable[str]) -> None:
        """Raise StorageError if a file of ours is a link or the like: it will not be followed."""
        if not is_url(self.root):
            for name in names:
                _check_own(self.path(name), alone=True)

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically: on failure an existing file stays as it is.

        A link is not followed, but refused.
        """
        with _one_line(self.path(name), "cannot be written"):
            self._put(name, data)

    def append(self, name: str, line: str) -> None:
        """Append a line to a file, after ending a last line that has no line break.

        At a URL the whole file is rewritten.
        """
        with _one_line(self.path(name), "cannot be written"):
            if is_url(self.root):
                before = self.read(name) or b""
                self._put(name, before + _ending(before[-1:]) + line.encode() + b"\n")
            else:
                _append(self.path(name), line.encode() + b"\n")

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""
        with _one_line(self.path(name), "cannot be deleted"), suppress(FileNotFoundError):
            self._remove(name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other processes of this machine while the block runs.

        The system releases the lock when the process ends, however it ends. URLs and some network
        file systems have no locks; but since files are replaced atomically, none can be corrupted.

        Raises:
          LedgerError: another process has locked the folder; the message names it.
        """
        if is_url(self.root):
            yield
            return
        descriptor = _open_own(self.path(".lock"))
        try:
            if (who := taken_by(descriptor)) is not None:
                raise LedgerError(
                    f"another process{who} is working in {self.root}: wait for it to end, or give "
                    "another folder"
                )
            yield
        finally:
            os.close(descriptor)  # releases the lock

    def path(self, name: str) -> str:
        """Return the path or URL of a file in the folder."""
        return _joined(self.root, name)

    def _probe(self) -> None:
        name = f".jaxstyle-{secrets.token_hex(8)}"
        self._put(name, b"")
        self._remove(name)

    def _get(self, name: str) -> bytes:
        if is_url(self.root):
            files, remote = _remote(self.path(name))
            return files.cat_file(remote)
        return Path(self.path(name)).read_bytes()

    def _put(self, name: str, data: bytes) -> None:
        if is_url(self.root):
            files, remote = _remote(self.path(name))
            files.pipe_file(remote, data)
        else:
            _check_own(self.path(name))
            write_whole(self.path(name), data)

    def _remove(self, name: str) -> None:
        if is_url(self.root):
            files, remote = _remote(self.path(name))
            files.rm_file(remote)
        else:
            os.unlink(self.path(name))


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else os.path.join(folder, name)


# --- URLs -----------------------------------------------------------------------------------------


def _remote(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the file's path in it."""
    from fsspec.core import url_to_fs  # an optional dependency

    return url_to_fs(url)


def _files_in(folder: str) -> list[str]:
    """Return the names of the files in a folder, local or a URL."""
    if not is_url(folder):
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file()]
    files, remote = _remote(folder)
    files.invalidate_cache()  # other processes may have changed the folder
    inside = remote.rstrip("/") + "/"
    found = [about["name"] for about in files.ls(remote, detail=True) if about["type"] == "file"]
    return [name.removeprefix(inside) for name in found if name.startswith(inside)]


@contextmanager
def _one_line(path: str, problem: str) -> Iterator[None]:
    """Turn any exception in the block into a StorageError with one line about ``path``."""
    try:
        yield
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise StorageError(f"{path}: there is no such file or folder") from error
    except ImportError as error:
        needed = _package(path) or " ".join(str(error).split())
        raise StorageError(f"{path}: needs a package that is not installed: {needed}") from error
    except Exception as error:  # each fsspec file system raises its own
        reason = error.strerror if isinstance(error, OSError) else None
        reason = reason or message_of(error)
        raise StorageError(f"{path}: {problem}: {reason}") from error


def _package(url: str) -> str | None:
    """Return the command that installs a URL's file system; None if it is part of fsspec."""
    from fsspec.registry import known_implementations

    known = known_implementations.get(url.partition("://")[0], {"class": "fsspec"})
    package = known["class"].partition(".")[0]
    return None if package == "fsspec" else f"pip install {package}"


# --- local files ----------------------------------------------------------------------------------


def _append(path: str, line: bytes) -> None:
    """Append a line in a single write: a kill leaves all of it, or nothing."""
    descriptor = _open_own(path)
    try:
        last = b""
        if os.fstat(descriptor).st_size:
            os.lseek(descriptor, -1, os.SEEK_END)
            last = os.read(descriptor, 1)
        line = _ending(last) + line
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)


def _ending(last: bytes) -> bytes:
    """Return the line break that is missing after a file's last byte, if any."""
    return b"" if last in (b"", b"\n") else b"\n"
