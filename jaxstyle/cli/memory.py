"""Checks of the memory a run needs, and errors that name settings that would fit."""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax

from jaxstyle.errors import OutOfMemoryError
from jaxstyle.execution import memory
from jaxstyle.execution.choice import choose
from jaxstyle.execution.estimate import plannable
from jaxstyle.execution.factories import tuned_network
from jaxstyle.execution.memory import out_of_memory
from jaxstyle.execution.plan import Image, Scale, plan
from jaxstyle.guidance.masks import Regions
from jaxstyle.images import Picture
from jaxstyle.machine import resources
from jaxstyle.machine.words import in_bytes
from jaxstyle.network.weights import Loaded
from jaxstyle.settings import Settings
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


@contextmanager
def enough_memory(
    arguments: argparse.Namespace,
    loaded: Loaded,
    content: Picture,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None = None,
) -> Iterator[None]:
    """Refuse a run that cannot fit, and explain it if memory runs out in the block.

    Raises:
      OutOfMemoryError: names the largest size that fits, and other settings that would help.
    """
    last = plan(content.rgb, styles, settings)[-1]
    there = memory.device_bytes()
    # Linux kills a process that takes too much memory, without a message. The rough estimate is
    # free. Compiling the last scale takes seconds, which the run would spend on it anyway.
    least = memory.bytes_before_network(loaded.weights, settings)
    rough = memory.rough_peak(least, last, styles, settings)
    if there is not None and rough > memory.TRUSTED * there:
        peak, fixed = _peak_bytes(loaded, last, styles, settings, regions, there)
        if peak > there:
            found = memory.remedies(last, peak, there, settings, fixed)
            possible = plannable(found, content.rgb, styles, settings)
            remedy = advice(arguments, last.height, last.width, possible, fixed)
            need = f"{last.width}x{last.height} needs about {in_bytes(peak)}"
            line = f"out of memory: {need}, and {available(there)}: {remedy}"
            raise OutOfMemoryError(line)
    with explained(arguments, loaded, content, styles, settings, regions):
        yield


@contextmanager
def explained(
    arguments: argparse.Namespace,
    loaded: Loaded,
    content: Picture,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None = None,
) -> Iterator[None]:
    """Raise OutOfMemoryError with advice if memory runs out in the block."""
    last = plan(content.rgb, styles, settings)[-1]
    free = memory.device_bytes()
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        peak, fixed = _peak_bytes(loaded, last, styles, settings, regions, free)
        # The model was wrong, or other processes have taken some of it.
        there = min(free or peak, round(memory.TRUSTED * peak))
        found = memory.remedies(last, peak, there, settings, fixed)
        possible = plannable(found, content.rgb, styles, settings)
        remedy = advice(arguments, last.height, last.width, possible, fixed)
        size = f"{last.width}x{last.height}"
        line = f"out of memory: {size} needs about {in_bytes(peak)}: {remedy}"
        raise OutOfMemoryError(line) from error


def _peak_bytes(
    loaded: Loaded,
    last: Scale,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None,
    there: int | None,
) -> tuple[int, int]:
    """Return the peak bytes of the last scale, and how many of them do not grow with its size.

    They are exact, but rough where the ``there`` bytes available are too few to compile.
    """
    fixed = memory.bytes_before_network(loaded.weights, settings)
    if not memory.can_compile(fixed, there):
        return memory.rough_peak(fixed, last, styles, settings), fixed
    try:
        network = tuned_network(loaded, settings)
        before = memory.bytes_before(network)
        strategy = choose(last, network, styles, settings, regions)
        footprint = strategy.footprint(last, network, styles, settings, regions)
        (peak,) = memory.run_peaks([footprint], before)
        return peak, before + footprint.fixed
    except (MemoryError, jax.errors.JaxRuntimeError):  # no memory even for compiling
        return memory.rough_peak(fixed, last, styles, settings), fixed


def advice(
    arguments: argparse.Namespace,
    height: int,
    width: int,
    found: Iterable[Mapping[str, Any]],
    fixed: int,
) -> str:
    """Return what to tell a user whose run does not fit into memory.

    Args:
      arguments: the command's arguments; with ``--shape``, sizes are given as that.
      height: of the result.
      width: of the result.
      found: changes of settings, each of which would make the run fit.
      fixed: bytes that the run needs at any size.

    Returns:
      "--size 48 or --optimizer adam would fit"; if ``found`` is empty, that no setting would.
    """
    flags = [flags_of(_with_shape(arguments, height, width, one)) for one in found]
    if not flags:
        least = f" (even the smallest needs {in_bytes(fixed)})" if fixed else ""
        return f"no setting would make it fit{least}: {more_memory()}"
    return f"{' or '.join(flags)} would fit"


def available(there: int) -> str:
    """Return how many bytes are available, and what limits them unless it is the machine."""
    name = _limited_by()
    return f"{in_bytes(there)} are available" + (f" ({name})" if name else "")


def more_memory() -> str:
    """Return how to get more memory."""
    name = _limited_by()
    return f"raise {name}" if name else "use a machine with more memory"


def _limited_by() -> str:
    """Return the name of the limit of memory; empty if it is the machine."""
    limit = resources.memory_limit() if jax.default_backend() == "cpu" else None
    return limit.name if limit else ""


def _with_shape(
    arguments: argparse.Namespace, height: int, width: int, remedy: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return a remedy with its size as a width and height, if the user gave ``--shape``."""
    if "size" not in remedy or not getattr(arguments, "shape", None):
        return remedy
    share = remedy["size"] / max(height, width)
    sides = (round(side * share) // 16 * 16 for side in (width, height))
    return {"shape": "x".join(str(max(16, side)) for side in sides)}
