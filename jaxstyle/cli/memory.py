"""Too little memory, said in one line: what is needed, what there is, and what would fit."""

import argparse
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax

from jaxstyle.cli.notes import flags_of
from jaxstyle.errors import OutOfMemoryError
from jaxstyle.execution import footprint, memory
from jaxstyle.execution.factories import tuned_network
from jaxstyle.execution.memory import out_of_memory
from jaxstyle.execution.plan import Image, plan, style_size
from jaxstyle.execution.pyramid import Scale
from jaxstyle.guidance.masks import Regions
from jaxstyle.images import Picture
from jaxstyle.network.weights import Loaded
from jaxstyle.settings import Settings

LESS = 0.8
"""Share of what a run would have taken that is taken to be there, once it was not enough."""


@contextmanager
def enough_memory(
    arguments: argparse.Namespace,
    loaded: Loaded,
    content: Picture,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None = None,
) -> Iterator[None]:
    """Refuses a run that cannot fit, and explains memory that gives out in the block.

    Raises:
      OutOfMemoryError: with the largest size that fits, and other settings that would help.
    """
    last = plan(content.rgb, styles, settings)[-1]
    there = memory.total_bytes()
    # Linux ends a process that takes more than there is, without a word. The rule of thumb costs
    # nothing; compiling the last scale costs seconds, which the run would have spent on it too.
    wanted = _rough(last, styles, settings)
    if there is not None and wanted > footprint.NEAR * there:
        wanted, fixed = _peak(loaded, last, styles, settings, regions)
        if (peak := wanted) > there:
            remedy = remedy_for(arguments, last, peak, there, fixed, settings)
            need = f"{last.width}x{last.height} needs about {in_bytes(peak)}"
            line = f"out of memory: {need}, and there are {in_bytes(there)}: {remedy}"
            raise OutOfMemoryError(line)
    # A coarser scale may be worked on whole where the last one is not, and take more than it.
    memory.give_back_if_scarce(max([wanted, *_coarser(content, styles, settings)]))
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
    """Raises OutOfMemoryError, which says what would fit, where memory gives out in the block."""
    last = plan(content.rgb, styles, settings)[-1]
    free = memory.device_bytes()
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        peak, fixed = _peak(loaded, last, styles, settings, regions)
        there = min(free or peak, round(LESS * peak))  # others may have taken what was free
        remedy = remedy_for(arguments, last, peak, there, fixed, settings)
        size = f"{last.width}x{last.height}"
        line = f"out of memory: {size} needs about {in_bytes(peak)}: {remedy}"
        raise OutOfMemoryError(line) from error


def _peak(
    loaded: Loaded,
    last: Scale,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None,
) -> tuple[int, int]:
    """Bytes of the last scale, the way it is to be worked on, and those of them that do not grow
    with its size."""
    try:
        network = tuned_network(loaded, settings)
        way = footprint.way_of(last, network, styles, settings, regions)
        compiled = footprint.compile_scale(last, network, styles, settings, regions, way)
        (peak,) = footprint.run_peaks([compiled], network, settings)
        return peak, compiled.fixed(network, settings)
    except (MemoryError, jax.errors.JaxRuntimeError):  # not even room for that
        return _rough(last, styles, settings), 0


def _coarser(content: Picture, styles: Sequence[Image], settings: Settings) -> list[int]:
    """Bytes of the scales before the last, by rule of thumb; tiles that are asked for take few."""
    scales = [] if settings.tile_side else plan(content.rgb, styles, settings)[:-1]
    return [_rough(scale, styles, settings) for scale in scales]


def _rough(last: Scale, styles: Sequence[Image], settings: Settings) -> int:
    """Bytes by rule of thumb, of the largest picture that the network is shown."""
    sizes = [style_size(style, i, last, settings) for i, style in enumerate(styles)]
    largest = max([(last.height, last.width), *sizes], key=math.prod)
    return footprint.rough_bytes(*largest, settings)


def remedy_for(
    arguments: argparse.Namespace,
    scale: Scale,
    peak: int,
    there: int,
    fixed: int,
    settings: Settings,
) -> str:
    """What would make a scale of ``peak`` bytes fit where ``there`` are so many."""
    found = memory.remedies(scale, peak, there, settings, fixed)
    return would_fit(arguments, scale.height, scale.width, found)


def would_fit(
    arguments: argparse.Namespace,
    height: int,
    width: int,
    found: Iterable[Mapping[str, Any]],
) -> str:
    """The flags any of which would do, as the user would give them."""
    flags = [flags_of(_as_given(arguments, height, width, one)) for one in found]
    if not flags:
        return "use a machine with more, no setting would make it fit"
    return f"{' or '.join(flags)} would fit"


def _as_given(
    arguments: argparse.Namespace, height: int, width: int, remedy: Mapping[str, Any]
) -> Mapping[str, Any]:
    """A size as width and height where the user gave these."""
    if "size" not in remedy or not getattr(arguments, "shape", None):
        return remedy
    share = remedy["size"] / max(height, width)
    sides = (round(side * share) // 16 * 16 for side in (width, height))
    return {"shape": "x".join(str(max(16, side)) for side in sides)}


def in_bytes(count: int) -> str:
    """``680 MB``, ``2.4 GB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
