"""Checks of the memory a run needs, and errors that name settings that would fit."""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax

from jaxstyle.cli.notes import flags_of
from jaxstyle.errors import OutOfMemoryError
from jaxstyle.execution import memory
from jaxstyle.execution.choice import choose
from jaxstyle.execution.factories import tuned_network
from jaxstyle.execution.memory import out_of_memory
from jaxstyle.execution.plan import Image, Scale, largest_sides, plan, style_size
from jaxstyle.guidance.masks import Regions
from jaxstyle.images import Picture
from jaxstyle.network.weights import Loaded
from jaxstyle.settings import Settings


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
    there = memory.total_bytes()
    # Linux kills a process that takes too much memory, without a message. The rough estimate is
    # free. Compiling the last scale takes seconds, which the run would spend on it anyway.
    if there is not None and _rough_peak(loaded, last, styles, settings) > memory.TRUSTED * there:
        peak, fixed = _peak_bytes(loaded, last, styles, settings, regions)
        if peak > there:
            remedy = remedy_for(arguments, last, peak, there, fixed, settings)
            need = f"{last.width}x{last.height} needs about {in_bytes(peak)}"
            line = f"out of memory: {need}, and {in_bytes(there)} are available: {remedy}"
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
        peak, fixed = _peak_bytes(loaded, last, styles, settings, regions)
        # Other processes may have taken some of it.
        there = min(free or peak, fixed + round(memory.TRUSTED * (peak - fixed)))
        remedy = remedy_for(arguments, last, peak, there, fixed, settings)
        size = f"{last.width}x{last.height}"
        line = f"out of memory: {size} needs about {in_bytes(peak)}: {remedy}"
        raise OutOfMemoryError(line) from error


def _peak_bytes(
    loaded: Loaded,
    last: Scale,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None,
) -> tuple[int, int]:
    """Return the peak bytes of the last scale, and how many of them do not grow with its size."""
    try:
        network = tuned_network(loaded, settings)
        before = memory.bytes_before(network)
        strategy = choose(last, network, styles, settings, regions)
        footprint = strategy.footprint(last, network, styles, settings, regions)
        (peak,) = memory.run_peaks([footprint], before)
        return peak, before + footprint.fixed
    except (MemoryError, jax.errors.JaxRuntimeError):  # no memory even for compiling
        return _rough_peak(loaded, last, styles, settings), 0


def _rough_peak(loaded: Loaded, last: Scale, styles: Sequence[Image], settings: Settings) -> int:
    """Return the rough peak bytes of the last scale, before the network is there."""
    sizes = [style_size(style, i, last, settings) for i, style in enumerate(styles)]
    before = memory.bytes_before_network(loaded.weights, settings)
    return before + memory.rough_bytes(*largest_sides(last, sizes), settings)


def remedy_for(
    arguments: argparse.Namespace,
    scale: Scale,
    peak: int,
    there: int,
    fixed: int,
    settings: Settings,
) -> str:
    """Return advice on how to fit a scale of ``peak`` bytes into the ``there`` bytes available."""
    found = memory.remedies(scale, peak, there, settings, fixed)
    return advice(arguments, scale.height, scale.width, found)


def advice(
    arguments: argparse.Namespace,
    height: int,
    width: int,
    found: Iterable[Mapping[str, Any]],
) -> str:
    """Return what to tell a user whose run does not fit into memory.

    Args:
      arguments: the command's arguments; with ``--shape``, sizes are given as that.
      height: of the result.
      width: of the result.
      found: changes of settings, each of which would make the run fit.

    Returns:
      "--size 48 or --optimizer adam would fit"; if ``found`` is empty, that no setting would.
    """
    flags = [flags_of(_with_shape(arguments, height, width, one)) for one in found]
    if not flags:
        return "no setting would make it fit: use a machine with more memory"
    return f"{' or '.join(flags)} would fit"


def _with_shape(
    arguments: argparse.Namespace, height: int, width: int, remedy: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return a remedy with its size as a width and height, if the user gave ``--shape``."""
    if "size" not in remedy or not getattr(arguments, "shape", None):
        return remedy
    share = remedy["size"] / max(height, width)
    sides = (round(side * share) // 16 * 16 for side in (width, height))
    return {"shape": "x".join(str(max(16, side)) for side in sides)}


def in_bytes(count: int) -> str:
    """Format a number of bytes: ``680 MB``, ``2.4 GB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
