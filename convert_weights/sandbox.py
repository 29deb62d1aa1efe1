"""Parse a file from a stranger in a process of its own, which cannot harm this one.

Damaged and hostile files can crash the HDF5 library, or keep any parser busy for ever or let it
fill the memory. There each of these ends a small process, and here it is one clear error.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from convert_weights.sandboxed import TOO_LARGE, decode
from convert_weights.weights import Parsed
from jaxstyle.errors import WeightsError

# As many times what reading a VGG-19 takes, which has 40 MB at least.
_SECONDS, _BYTES_PER_SECOND = 2, 5 << 20
_MEGABYTES, _MEMORY_PER_BYTE = 512, 3
_START = 30  # seconds to start a process on a busy machine

# Not with -m or by multiprocessing: those import the main module of the caller again.
_PROGRAM = """
import sys
sys.path[:] = sys.argv[5:]
from convert_weights.sandboxed import main
main(*sys.argv[1:5])
"""


def parse(path: Path, only_own: bool = False) -> Parsed:
    """Parse a weights file of any supported format.

    Args:
        path: The file.
        only_own: Refuse all formats but this project's own.

    Raises:
        WeightsError: It is not a VGG-19, or is damaged, or takes more time or memory than a VGG-19
            would. The message omits the path; callers add it with `errors.naming`.
    """
    seconds, megabytes = limits(path.stat().st_size)
    given = [str(path), "own" if only_own else "any", str(seconds), str(megabytes)]
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-c", _PROGRAM, *given, *map(str, sys.path)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_START + 4 * seconds,
            check=False,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # threads take address space
            start_new_session=True,  # Ctrl-C is for this process, which then ends the other
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(_too_long(seconds)) from error
    except OSError as error:
        raise WeightsError(f"no process can be started to read it: {error.strerror}") from error
    if ended.returncode:
        raise WeightsError(_failure(ended, seconds))
    return decode(ended.stdout)


def limits(size: int) -> tuple[float, int]:
    """Return how many seconds and megabytes may be used to parse a file of so many bytes."""
    return _SECONDS + size / _BYTES_PER_SECOND, _MEGABYTES + _MEMORY_PER_BYTE * (size >> 20)


def _too_long(seconds: float) -> str:
    return (
        f"refused: reading it takes more than the {seconds:.0f} s that a VGG-19 of its size needs"
    )


def _failure(ended: subprocess.CompletedProcess[bytes], seconds: float) -> str:
    """Return why the process that should have read a file ended without an answer."""
    if ended.returncode > 0:  # of Python itself; on Windows also a crash
        last = ended.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:300]
        return f"the process that reads it failed: {last or f'status {ended.returncode}'}"
    name = signal.Signals(-ended.returncode).name
    if name == "SIGXCPU":
        return _too_long(seconds)
    if name == "SIGKILL":  # by the system, when memory runs out, or by somebody
        return TOO_LARGE
    if name in ("SIGTERM", "SIGINT", "SIGHUP"):
        return f"the process that reads it was ended by {name}"
    return f"a damaged file: it crashes the library that reads it ({name})"
