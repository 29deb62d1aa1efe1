"""Locking of an output folder: for one process, or for the hosts of one batch."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from jaxstyle.batch.hosts import Host
from jaxstyle.batch.storage import Folder, is_url, open_own
from jaxstyle.errors import LedgerError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def locked(folder: Folder, host: Host) -> Iterator[None]:
    """Lock a folder against other processes while the block runs.

    The system releases the lock when the process ends, however it ends. Hosts of one batch share
    the folder's lock, and each locks its own index. URLs and some network file systems have no
    locks; there nothing is locked, but since files are replaced atomically, none can be corrupted.

    Raises:
      LedgerError: another process has locked the folder; the message names it.
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
    """Hold a lock file; raise LedgerError if another process holds it."""
    assert fcntl is not None
    descriptor = open_own(folder.path(name))
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _holder(os.pread(descriptor, 200, 0))
            raise LedgerError(
                f"another process{who} is working in {folder.root}: wait for it to end, or give "
                "another folder"
            ) from None
        except OSError:  # no locks on this file system
            pass
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # releases the lock


def _holder(text: bytes) -> str:
    """Return who holds the lock, as text for a message; empty if unreadable."""
    return f" ({text.decode()})" if re.fullmatch(rb"pid \d+ on [\w.-]+", text) else ""
