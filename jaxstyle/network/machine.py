"""The host: its processor, the user's cache directory and the settings of its allocator."""

import ctypes
import hashlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

import platformdirs


def cache_directory() -> Path:
    """Return the user's cache directory, for weights, measurements and compiled programs."""
    return Path(platformdirs.user_cache_dir("jaxstyle", appauthor=False))


def fingerprint() -> str:
    """Return a hash of the processor, its number of cores and the version of jaxlib.

    It keeps measurements and compiled programs of different hosts apart that share a home
    directory.
    """
    machine = (*processor(), os.cpu_count(), importlib.metadata.version("jaxlib"))
    return hashlib.sha256(repr(machine).encode()).hexdigest()[:16]


def keep_memory() -> bool:
    """Make glibc keep freed memory for reuse, which speeds up steps on CPU.

    A step on CPU needs some hundred megabytes. By default glibc returns them to the system after
    every step and gets new pages, which have to be cleared: a fifth to a third of the step's time.
    Because of fragmentation the process may then hold up to twice the memory in use.

    This changes the whole process, so only programs should call it, not libraries, and before JAX
    starts its threads: the arenas of threads cannot grow beyond 64 MB.

    Returns:
      Whether it succeeded: False without glibc.
    """
    return _tell_allocator(_ONE_ARENA, *_KEEPING)


def give_memory_back() -> bool:
    """Make glibc return freed memory to the system from now on.

    Only this part of ``keep_memory`` is undone: the single arena stays.

    Returns:
      Whether it succeeded: False without glibc.
    """
    return _tell_allocator(*_GIVING_BACK)


# Options of glibc's mallopt and their values: see malloc.h and mallopt(3).
_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1
_ONE_ARENA = (_ARENA_MAX, 1)
_KEEPING = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))
_GIVING_BACK = ((_MMAP_MAX, 65536), (_TRIM_THRESHOLD, 128 * 1024))  # glibc's defaults


def _tell_allocator(*options: tuple[int, int]) -> bool:
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all([mallopt(*option) for option in options])


def processor() -> tuple[str, ...]:
    """Return lines that identify the processor and its features, as far as the system has them."""
    try:
        lines = set(Path("/proc/cpuinfo").read_text().splitlines())
    except OSError:
        lines = set()
    # The last three are those of Arm.
    names = "model name", "flags", "Features", "CPU implementer", "CPU part"
    told = sorted(line for line in lines if line.startswith(names))
    return (platform.machine(), platform.processor(), *told)
