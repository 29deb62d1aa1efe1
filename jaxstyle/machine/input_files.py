"""Opening of the files that a user names as input: regular files, and pipes such as ``<(...)``.

A plain ``open`` waits for ever for a pipe that nothing writes into, and devices may have no end.
"""

import errno
import io
import os
import selectors
import stat

from jaxstyle.machine.files import BinaryFile

MOST_OF_A_PIPE = 2**29
"""Maximum bytes read from a pipe; they are kept in memory."""

SILENCE = 60.0
"""Seconds without data after which a pipe is given up."""

NO_WRITER = 5.0
"""Seconds after which a pipe is given up that no program writes into."""

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_input(path: str | os.PathLike[str], *, again: bool = False) -> BinaryFile:
    """Open a file for reading, at its start and with ``seek``.

    A pipe is read to its end, into memory.

    Args:
      path: The file. Links are followed, also those of ``/dev/stdin``.
      again: Whether the file will be opened again, which a pipe cannot be.

    Raises:
      OSError: It cannot be opened, is a directory, a device or a socket, or a pipe that is to be
        read again, that nothing is written into, or that has no end.
      ValueError: The path contains a null character.
    """
    _check_kind(os.stat(path).st_mode, again)
    descriptor = os.open(path, _FLAGS)
    try:
        mode = os.fstat(descriptor).st_mode  # it may be another file by now
        _check_kind(mode, again)
        if not stat.S_ISFIFO(mode):
            return _File(io.FileIO(descriptor, "rb"))
    except BaseException:
        os.close(descriptor)
        raise
    with open(descriptor, "rb", buffering=0) as pipe:
        return io.BytesIO(_until_its_end(pipe))


class _File(io.BufferedReader):
    """A file that sets aside no more memory for a read than the rest of the file takes.

    Parsers ask for as many bytes as a damaged file tells them to.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most so many bytes."""
        if size is not None and size > io.DEFAULT_BUFFER_SIZE:
            size = min(size, max(0, os.fstat(self.fileno()).st_size - self.tell()))
        return super().read(size)


def _check_kind(mode: int, again: bool) -> None:
    """Raise OSError unless a file of this mode can be read."""
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISSOCK(mode):
        raise OSError(errno.ENXIO, "is a socket: name a file, or a pipe")
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise OSError(errno.ENXIO, "is a terminal or another device: name a file, or a pipe")
    if stat.S_ISFIFO(mode) and again:
        raise OSError(errno.ESPIPE, "is a pipe, and is needed more than once: save it to a file")


def _until_its_end(pipe: io.RawIOBase) -> bytes:
    """Return what is written into a pipe.

    Raises:
      OSError: nothing is written into it, or there is no end.
    """
    data, waited = bytearray(), 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(data) <= MOST_OF_A_PIPE:
            ready = selector.select(NO_WRITER)
            part = pipe.read(2**20)  # None if there is a writer, but no data
            if part:
                data += part
                waited = 0.0
            elif part is not None and (ready or data):
                return bytes(data)
            elif part is not None:
                raise OSError(errno.ETIMEDOUT, "is a pipe, and no program writes into it")
            elif (waited := waited + NO_WRITER) >= SILENCE:
                raise OSError(errno.ETIMEDOUT, "is a pipe, and its writer gives no data")
    raise OSError(errno.EFBIG, f"is a pipe with more than {MOST_OF_A_PIPE >> 20} MB")
