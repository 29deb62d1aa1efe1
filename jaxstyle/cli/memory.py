"""Checks of the machine before JAX starts, and flags that would make a run fit into memory."""

import argparse
from collections.abc import Mapping
from typing import Any

from jaxstyle.errors import OutOfMemoryError
from jaxstyle.execution import memory
from jaxstyle.execution.plan import Scale
from jaxstyle.machine import resources
from jaxstyle.machine.words import in_bytes
from jaxstyle.runs.memory import Words
from jaxstyle.settings.text import flags_of


def check_start() -> None:
    """Check that there is enough memory and that there are enough threads for JAX to start.

    Without them it ends the process, with a stack trace.

    Raises:
      OutOfMemoryError: there is too little; the message names the limit.
    """
    limit = resources.memory_limit()
    if limit is not None and limit.free < memory.STARTING:
        least, by = in_bytes(memory.STARTING), f" by {limit.name}" if limit.name else ""
        raise OutOfMemoryError(
            f"out of memory: {in_bytes(limit.free)} are left to this process{by}, and even the "
            f"smallest picture needs more than {least}"
        )
    threads, needed = resources.free_threads(), 16 + 3 * resources.processors()
    if threads is not None and threads < needed:
        raise OutOfMemoryError(
            f"too few threads: {threads} are left to this process by a limit (ulimit -u, or "
            f"pids.max of a control group), and JAX needs about {needed}"
        )


def as_flags(arguments: argparse.Namespace) -> Words:
    """Return the function that names changes of settings by the flags of a command.

    Args:
      arguments: the command's arguments; with ``--shape``, sizes are given as that.
    """

    def words(changes: Mapping[str, Any], last: Scale) -> str:
        if "size" in changes and getattr(arguments, "shape", None):
            return flags_of({"shape": _shape(last, changes["size"])})
        return flags_of(changes)

    return words


def _shape(last: Scale, size: int) -> str:
    """Return the width and height of a scale with its longest side reduced to a size."""
    share = size / max(last.height, last.width)
    sides = (round(side * share) // 16 * 16 for side in (last.width, last.height))
    return "x".join(str(max(16, side)) for side in sides)
