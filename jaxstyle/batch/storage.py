"""Where a batch reads and writes: local folders, and URLs of whatever fsspec knows."""

import errno
import glob
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from jaxstyle.errors import StorageError

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_TEMPORARY = re.compile(r"\.jaxstyle-(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{16}\.tmp")


def is_url(path: str) -> bool:
    """Whether fsspec is needed for it (gs://, s3://, memory://, ...)."""
    return bool(_URL.match(path))


@contextmanager
def local_copy(path: str, head: int | None = None) -> Iterator[Path]:
    """The path itself or, of a URL, a copy that has its name and lasts as long as the block: of all
    that is there, or of its first ``head`` bytes.

    Raises:
      StorageError: there is nothing at the URL, or it cannot be fetched.
    """
    if not is_url(path):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="jaxstyle-") as folder:
        name = urlsplit(path).path if path.lower().startswith("http") else path
        copy = Path(folder, PurePosixPath(name).name)
        with _one_line(path, "cannot be read"):
            files, remote = _remote(path)
            if head is None:
                files.get_file(remote, str(copy))
            else:
                copy.write_bytes(files.cat_file(remote, start=0, end=head))
        yield copy


def listing(folder: str) -> list[str]:
    """The files in a folder except hidden ones: their full paths or URLs, sorted.

    Raises:
      StorageError: there is no such folder, or it cannot be read.
    """
    with _one_line(folder, "cannot be read"):
        names = _files_in(folder)
    return sorted(_joined(folder, name) for name in names if not name.startswith("."))


def matching(pattern: str) -> list[str]:
    """The files that match a pattern with ``*``, ``?``, ``[...]`` or ``**``: full paths, sorted.

    Raises:
      StorageError: they cannot be listed; that there is none is no error.
    """
    if not is_url(pattern):
        return sorted(filter(os.path.isfile, glob.glob(pattern, recursive=True)))
    with _one_line(pattern, "cannot be read"):
        files, remote = _remote(pattern)
        found = files.glob(remote, detail=True)
    return sorted(
        files.unstrip_protocol(name) for name, about in found.items() if about["type"] == "file"
    )


@dataclass(frozen=True)
class Folder:
    """A folder to write to, local or a URL. All methods raise StorageError, in one line."""

    root: str

    def create(self) -> None:
        """Make it, find out whether it can be written, and remove what killed processes left.

        Behind a URL a folder is made only where nothing can be written without one: object stores
        have no folders, and may make a bucket of that name instead.
        """
        if not is_url(self.root) and os.path.isfile(self.root):
            raise StorageError(f"{self.root}: is a file, not a folder")
        with _one_line(self.root, "cannot be written there"):
            if not is_url(self.root):
                os.makedirs(self.root, exist_ok=True)
                _remove_leftovers(self.root)
            try:
                self._probe()
            except FileNotFoundError:
                files, remote = _remote(self.root)
                files.makedirs(remote, exist_ok=True)
                self._probe()

    def names(self) -> set[str]:
        """The names of the files in it, from one listing; none where there is no such folder."""
        with _one_line(self.root, "cannot be read"):
            try:
                return set(_files_in(self.root))
            except FileNotFoundError:
                return set()

    def read(self, name: str) -> bytes | None:
        """What a file holds, or None where there is none."""
        with _one_line(self.path(name), "cannot be read"):
            try:
                return self._get(name)
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        """Put a file there whole, or leave what is there as it is."""
        with _one_line(self.path(name), "cannot be written"):
            self._put(name, data)

    def append(self, name: str, line: str) -> None:
        """Add one line, given without its end, to a file; a torn last line in it is ended first.

        Several processes can do so at once. Behind a URL the object is rewritten: only one may.
        """
        with _one_line(self.path(name), "cannot be written"):
            if is_url(self.root):
                before = self.read(name) or b""
                self._put(name, before + _ending(before[-1:]) + line.encode() + b"\n")
            else:
                _append(self.path(name), line.encode() + b"\n")

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        with _one_line(self.path(name), "cannot be deleted"), suppress(FileNotFoundError):
            self._remove(name)

    def path(self, name: str) -> str:
        """The path or URL of a file in it."""
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
            _replace(self.path(name), data)

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
    """The file system of a URL, and the name that a file has in it."""
    from fsspec.core import url_to_fs  # for those who use URLs

    return url_to_fs(url)


def _files_in(folder: str) -> list[str]:
    """Names of the files in a folder, local or a URL."""
    if not is_url(folder):
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file()]
    files, remote = _remote(folder)
    files.invalidate_cache()  # of listings, which others may have changed
    inside = remote.rstrip("/") + "/"
    found = [about["name"] for about in files.ls(remote, detail=True) if about["type"] == "file"]
    return [name.removeprefix(inside) for name in found if name.startswith(inside)]


@contextmanager
def _one_line(path: str, problem: str) -> Iterator[None]:
    """Whatever goes wrong in the block, as one line about ``path``."""
    try:
        yield
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise StorageError(f"{path}: there is no such file or folder") from error
    except ImportError as error:
        needed = _package(path) or " ".join(str(error).split())
        raise StorageError(f"{path}: needs a package that is not installed: {needed}") from error
    except Exception as error:  # every file system of fsspec's has its own
        reason = error.strerror if isinstance(error, OSError) else None
        reason = reason or " ".join(str(error).split()) or type(error).__name__
        raise StorageError(f"{path}: {problem}: {reason}") from error


def _package(url: str) -> str | None:
    """How to install the file system of a URL, where it is a package of its own."""
    from fsspec.registry import known_implementations

    known = known_implementations.get(url.partition("://")[0], {"class": "fsspec"})
    package = known["class"].partition(".")[0]
    return None if package == "fsspec" else f"pip install {package}"


# --- local files ----------------------------------------------------------------------------------


def _replace(path: str, data: bytes) -> None:
    """Written beside, synced, renamed: there is no moment at which the file is there in part."""
    folder = os.path.dirname(path)
    beside = os.path.join(folder, _temporary_name())
    try:
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Make a rename last, where the system can; the file is whole without it."""
    with suppress(OSError):
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _append(path: str, line: bytes) -> None:
    """One write at the end of the file, wherever that has moved in the meantime."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
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
    """What ends the line whose last byte this is: nothing, if it is ended or there is none."""
    return b"" if last in (b"", b"\n") else b"\n"


def _temporary_name() -> str:
    return f".jaxstyle-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(8)}.tmp"


def _remove_leftovers(folder: str) -> None:
    """Remove temporary files of processes of this host that are no more."""
    for name in os.listdir(folder):
        made = _TEMPORARY.fullmatch(name)
        if made and made["host"] == socket.gethostname() and not _alive(int(made["pid"])):
            with suppress(OSError):  # another process may be doing the same
                os.unlink(os.path.join(folder, name))


def _alive(process: int) -> bool:
    """Whether a process of this host is running. On Windows one cannot ask without harm: yes."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
