"""The machine at hand: what it is, and where the user's cache is on it."""

import hashlib
import importlib.metadata
import os
import platform
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
