"""Locks of folders against other processes, by a file in them."""

import os
import re
import socket

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_WHO = re.compile(rb"pid \d+ on [\w.-]+")


def taken_by(descriptor: int) -> str | None:
    """Lock an open file and write there who has, unless another process has.

    The system releases the lock when the process ends, however it ends, or closes the file. Windows
    and some network file systems have no locks: nothing is taken there.

    Returns:
      The other process in words, empty if it is not known; None if this process has the lock now.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 200, 0)
        return f" ({text.decode()})" if _WHO.fullmatch(text) else ""
    except OSError:  # no locks on this file system
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return None
