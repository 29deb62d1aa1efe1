"""Checks of the memory a run needs, and errors that name settings that would fit."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax

from jaxstyle.errors import OutOfMemoryError
from jaxstyle.execution import memory
from jaxstyle.execution.choice import choose
from jaxstyle.execution.estimate import Estimate, plannable
from jaxstyle.execution.factories import tuned_network
from jaxstyle.execution.memory import out_of_memory
from jaxstyle.execution.plan import Scale
from jaxstyle.machine import resources
from jaxstyle.machine.words import in_bytes
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.inputs import Inputs
from jaxstyle.settings.text import written

Words = Callable[[Mapping[str, Any], Scale], str]
"""A function that names a change of settings, for a run whose last scale is given."""


def in_words(changes: Mapping[str, Any], last: Scale) -> str:
    """Return a change of settings in words.

    >>> in_words({"size": 48, "size_rule": "shortest"}, Scale(64, 96, 64, 1))
    'size 48, size rule shortest'
    """
    del last
    return ", ".join(f"{name.replace('_', ' ')} {written(new)}" for name, new in changes.items())


@contextmanager
def enough_memory(loaded: Loaded, inputs: Inputs, words: Words = in_words) -> Iterator[None]:
    """Refuse a run that cannot fit, and explain it if memory runs out in the block.

    Args:
      loaded: weights of the network.
      inputs: what to run.
      words: names the changes of settings that would make it fit.

    Raises:
      OutOfMemoryError: names the largest size that fits, and other settings that would help.
    """
    last, styles, settings = inputs.scales()[-1], inputs.styles, inputs.settings
    there = memory.device_bytes()
    # Linux kills a process that takes too much memory, without a message. The rough estimate is
    # free. Compiling the last scale takes seconds, which the run would spend on it anyway.
    least = memory.bytes_before_network(loaded.weights, settings)
    rough = memory.rough_peak(least, last, styles, settings)
    if there is not None and rough > memory.TRUSTED * there:
        peak, fixed = _peak_bytes(loaded, last, inputs, there)
        if peak > there:
            remedy = _remedy(inputs, last, peak, there, fixed, words)
            need = f"{last.width}x{last.height} needs about {in_bytes(peak)}"
            line = f"out of memory: {need}, and {available(there)}: {remedy}"
            raise OutOfMemoryError(line)
    with explained(loaded, inputs, words):
        yield


@contextmanager
def explained(loaded: Loaded, inputs: Inputs, words: Words = in_words) -> Iterator[None]:
    """Raise OutOfMemoryError with advice if memory runs out in the block.

    Args:
      loaded, inputs, words: as of `enough_memory`.
    """
    last = inputs.scales()[-1]
    free = memory.device_bytes()
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        peak, fixed = _peak_bytes(loaded, last, inputs, free)
        # The model was wrong, or other processes have taken some of it.
        there = min(free or peak, round(memory.TRUSTED * peak))
        remedy = _remedy(inputs, last, peak, there, fixed, words)
        size = f"{last.width}x{last.height}"
        line = f"out of memory: {size} needs about {in_bytes(peak)}: {remedy}"
        raise OutOfMemoryError(line) from error


def verdict(found: Estimate, words: Words = in_words) -> str:
    """Return one line that says whether the run fits into memory, or what would.

    Args:
      found: the estimate of the run.
      words: names the changes of settings that would make it fit.
    """
    each = " for each device" if any("split" in scale.strategy for scale in found.scales) else ""
    need = f"about {in_bytes(found.peak_bytes)} of memory{each}"
    if found.available_bytes is None:
        return f"needs {need}; how much is available is not known"
    if found.fits:
        return f"fits: needs {need} of {in_bytes(found.available_bytes)}"
    last = found.scales[-1]
    scale = Scale(last.height, last.width, max(last.height, last.width), last.steps)
    remedy = advice(found.remedies, scale, found.fixed_bytes, words)
    return f"does not fit: needs {need}, {available(found.available_bytes)}: {remedy}"


def advice(
    found: Iterable[Mapping[str, Any]], last: Scale, fixed: int, words: Words = in_words
) -> str:
    """Return what to tell a user whose run does not fit into memory.

    Args:
      found: changes of settings, each of which would make the run fit.
      last: the last scale of the run.
      fixed: bytes that the run needs at any size.
      words: names a change of settings.

    Returns:
      "size 48 or optimizer adam would fit"; if ``found`` is empty, that no setting would.
    """
    named = [words(changes, last) for changes in found]
    if not named:
        least = f" (even the smallest needs {in_bytes(fixed)})" if fixed else ""
        return f"no setting would make it fit{least}: {more_memory()}"
    return f"{' or '.join(named)} would fit"


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


def _remedy(inputs: Inputs, last: Scale, peak: int, there: int, fixed: int, words: Words) -> str:
    """Return what would make a run fit into the bytes that are ``there``."""
    found = memory.remedies(last, peak, there, inputs.settings, fixed)
    possible = plannable(found, inputs.content.rgb, inputs.styles, inputs.settings)
    return advice(possible, last, fixed, words)


def _peak_bytes(loaded: Loaded, last: Scale, inputs: Inputs, there: int | None) -> tuple[int, int]:
    """Return the peak bytes of the last scale, and how many of them do not grow with its size.

    They are exact, but rough where the ``there`` bytes available are too few to compile.
    """
    styles, settings, regions = inputs.styles, inputs.settings, inputs.regions
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
