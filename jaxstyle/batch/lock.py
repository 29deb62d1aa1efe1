"""Who is at work in a batch's folder: one process, or the hosts of one batch."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from jaxstyle.batch.hosts import Host
from jaxstyle.batch.storage import Folder, is_url
from jaxstyle.errors import LedgerError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def locked(folder: Folder, host: Host) -> Iterator[None]:
    """Keep other processes out of a folder; the system lets them in when this one is gone.

    Hosts of one batch share it, each with a place of its own. Where there are no locks (URLs, some
    network file systems) nobody is kept out: outputs are whole all the same.
    """
    if fcntl is None or is_url(folder.root):
        yield
        return
    with ExitStack() as locks:
        if host.count == 1:
            locks.enter_context(_lock(folder, ".lock", fcntl.LOCK_EX))
        else:
            locks.enter_context(_lock(folder, ".lock", fcntl.LOCK_SH))
            place = f".lock-{host.index}-of-{host.count}"
            locks.enter_context(_lock(folder, place, fcntl.LOCK_EX))
        yield


@contextmanager
def _lock(folder: Folder, name: str, kind: int) -> Iterator[None]:
    """Hold one lock file. Raises LedgerError, with who has it."""
    assert fcntl is not None
    descriptor = os.open(folder.path(name), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _holder(os.pread(descriptor, 200, 0))
            raise LedgerError(
                f"another process{who} is at work in {folder.root}: wait for it, or give another "
                "folder"
            ) from None
        except OSError:  # this file system has no locks
            pass
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # which gives the lock back


def _holder(text: bytes) -> str:
    """Who wrote a lock file, where that can be read."""
    return f" ({text.decode()})" if re.fullmatch(rb"pid \d+ on [\w.-]+", text) else ""
