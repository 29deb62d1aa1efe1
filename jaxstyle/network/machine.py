"""The machine at hand: what it is, and where the user's cache is on it."""

import ctypes
import hashlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

import platformdirs


def cache_directory() -> Path:
    """Where what can be fetched, measured or compiled again is kept."""
    return Path(platformdirs.user_cache_dir("jaxstyle", appauthor=False))


def fingerprint() -> str:
    """A short name of the processor, its cores and the compiler for them.

    What was compiled or measured for one is of no use to another, even where several machines
    share one home directory.
    """
    machine = (*processor(), os.cpu_count(), importlib.metadata.version("jaxlib"))
    return hashlib.sha256(repr(machine).encode()).hexdigest()[:16]


def keep_memory() -> bool:
    """Have the C library keep the memory that one step frees for the next one.

    A step on CPU wants some hundred megabytes. glibc would give them back to the system after every
    step and get new pages, each of which has to be cleared: a fifth to a third of the step's time.
    For the whole process, so it is for programs to ask for, and before jax starts its threads: the
    arenas that they would have cannot grow beyond 64 MB. What is kept has gaps, so that the process
    may hold up to twice what is in use. True where it could be done.
    """
    return _tell_allocator(_ONE_ARENA, *_KEEPING)


def give_memory_back() -> bool:
    """From here on the opposite of ``keep_memory``: what is freed goes back to the system."""
    return _tell_allocator(*_GIVING_BACK)


# Options of glibc's malloc, and their values: malloc.h and mallopt(3).
_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1
_ONE_ARENA = (_ARENA_MAX, 1)
_KEEPING = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))
_GIVING_BACK = ((_MMAP_MAX, 65536), (_TRIM_THRESHOLD, 128 * 1024))  # as they are by default


def _tell_allocator(*options: tuple[int, int]) -> bool:
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all([mallopt(*option) for option in options])


def processor() -> tuple[str, ...]:
    """What the processor is and can do, as far as the system tells."""
    try:
        lines = set(Path("/proc/cpuinfo").read_text().splitlines())
    except OSError:
        lines = set()
    # The latter three are what there is on Arm.
    names = "model name", "flags", "Features", "CPU implementer", "CPU part"
    told = sorted(line for line in lines if line.startswith(names))
    return (platform.machine(), platform.processor(), *told)
