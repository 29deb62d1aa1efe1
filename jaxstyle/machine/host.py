"""The host: its processor, the user's cache directory and the settings of its allocator."""

import ctypes
import gc
import hashlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

import platformdirs

from jaxstyle.machine import resources


def cache_directory() -> Path | None:
    """Return the user's cache directory, for weights, measurements and compiled programs.

    It may not exist yet, or not be writable: see ``cache_problem``. It is None for a user without a
    home folder, such as one that a container was started for.
    """
    try:
        path = platformdirs.user_cache_dir("jaxstyle", appauthor=False)
    except RuntimeError:
        return None
    return None if path.startswith("~") else Path(path)


def cache_problem() -> str:
    """Return why nothing can be kept in the cache directory, which is made; empty if it can."""
    directory = cache_directory()
    if directory is None:
        return "there is no home folder: HOME is not set"
    return unwritable(directory)


def unwritable(directory: Path) -> str:
    """Return why files cannot be made in a folder, which is made if missing; empty if they can."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{directory}: {error.strerror}"
    effective = os.access in os.supports_effective_ids
    writable = os.access(directory, os.W_OK | os.X_OK, effective_ids=effective)
    return "" if writable else f"{directory} is not writable"


def fingerprint() -> str:
    """Return a hash of the processor, the number of cores to use and the version of jaxlib.

    It keeps measurements and compiled programs of different hosts apart that share a home
    directory.
    """
    machine = (*processor(), resources.processors(), importlib.metadata.version("jaxlib"))
    return hashlib.sha256(repr(machine).encode()).hexdigest()[:16]


def keep_memory() -> bool:
    """Make glibc keep freed memory for reuse, which speeds up steps on CPU.

    A step on CPU needs some hundred megabytes. By default glibc returns them to the system after
    every step and gets new pages, which have to be cleared: a fifth to a third of the step's time.
    What is not needed again, ``give_memory_back`` returns.

    This changes the whole process, so only programs should call it, not libraries, and before JAX
    starts its threads: the arenas of threads cannot grow beyond 64 MB.

    Returns:
      Whether it succeeded: False without glibc.
    """
    return _of_allocator("mallopt", *_KEEPING)


def collect_rarely() -> None:
    """Let Python look for garbage rarely, and never in what there is by now.

    Tracing a step makes a hundred thousand objects that stay: a quarter of its time went into
    looking through them again and again. This changes the whole process, so only programs should
    call it.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 100)


def give_memory_back() -> bool:
    """Return the memory to the system that has been freed by now; tell whether there was any."""
    gc.collect(0)  # JAX frees then what other threads have left to it
    return _of_allocator("malloc_trim", (0,))


# Options of glibc's mallopt and their values: see malloc.h and mallopt(3).
_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1
_KEEPING = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))


def _of_allocator(function: str, *calls: tuple[int, ...]) -> bool:
    if sys.platform != "linux":
        return False
    try:
        call = getattr(ctypes.CDLL(None), function)
    except (OSError, AttributeError):  # another C library
        return False
    return all([call(*each) for each in calls])


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
