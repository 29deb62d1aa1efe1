"""Memory: what a program takes, what the device has, and what to do where that is too little."""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxstyle.execution.factories import optimizer_of
from jaxstyle.execution.pyramid import Scale
from jaxstyle.execution.strategy import untileable
from jaxstyle.network import machine
from jaxstyle.settings import Settings

CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)

KEPT = 0.3
"""Share of the memory up to which freed memory is kept."""

ARRAYS = 14
"""Of the picture's size, beside the optimizer's own, that a step in tiles holds at most: image,
average and best, before and after it, the gradient, four that L-BFGS works with, the photo, and
the image that was last reported."""

GRANULARITY = 16
"""Sizes that are recommended are multiples of this."""


def peak_bytes(compiled: jax.stages.Compiled, *kept: PyTree) -> int:
    """Bytes of the device while a program runs, as XLA's memory analysis has it: arguments,
    outputs where they are not written over arguments, and temporaries.

    Args:
      kept: arrays, or their shapes, that are held beside the program's own.
    """
    memory: Any = compiled.memory_analysis()
    own = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return own - memory.alias_size_in_bytes + nbytes(kept)


def nbytes(tree: PyTree) -> int:
    """Bytes of all arrays, or shapes of arrays, in a tree."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def shapes(function: Callable[[PyTree], PyTree], argument: PyTree) -> PyTree:
    """Of what a function would return, as strictly typed as arguments of a compiled program."""
    found = jax.eval_shape(function, argument)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), found)


def device_bytes() -> int | None:
    """Bytes a run can have on the device: an accelerator's memory, or what is free of a computer's
    now. None if the system does not say."""
    limit = _accelerator_bytes()
    if limit is not None:
        return limit
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:"))
        return min(free, _container_bytes() or free)
    except (OSError, StopIteration):
        return total_bytes()


def total_bytes() -> int | None:
    """Bytes of the device's memory, whatever else is in it. None if the system does not say."""
    limit = _accelerator_bytes()
    if limit is not None:
        return limit
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None
    return min(physical, _container_bytes() or physical)


def give_back_if_scarce(wanted: int) -> None:
    """Freed memory is kept for the next step, as ``machine.keep_memory`` has it, only where that
    may double what is ``wanted`` and leave plenty."""
    there = total_bytes()
    if there is not None and wanted > KEPT * there:
        machine.give_memory_back()


def _container_bytes() -> int | None:
    """What a container of Linux' may take, if there is a limit."""
    for path in CONTAINER_LIMITS:
        try:
            return int(path.read_text())
        except (OSError, ValueError):  # "max" where there is none
            continue
    return None


def _accelerator_bytes() -> int | None:
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def out_of_memory(error: Exception) -> bool:
    """Whether an exception, JAX's or Python's, says that memory gave out."""
    exhausted = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    return exhausted or isinstance(error, MemoryError)


def optimizer_bytes(height: int, width: int, settings: Settings) -> int:
    """Bytes of what the optimizer remembers."""
    image = jax.ShapeDtypeStruct((height, width, 3), jnp.float32)
    return nbytes(jax.eval_shape(optimizer_of(settings).init, image))


def largest_size(size: int, peak: int, limit: int, fixed: int = 0) -> int:
    """The largest size that fits into ``limit`` bytes, where ``size`` takes ``peak`` of them.

    All bytes but the ``fixed`` ones (of the network) are in proportion to pixels.

    Returns:
      A multiple of ``GRANULARITY``; 0 where nothing fits.
    """
    share = max(0, limit - fixed) / max(1, peak - fixed)
    return math.floor(size * math.sqrt(share) / GRANULARITY) * GRANULARITY


def _in_tiles(scale: Scale, settings: Settings) -> int:
    """Bytes of the arrays of a picture's size, which are there in tiles too."""
    image = 12 * scale.height * scale.width
    return ARRAYS * image + optimizer_bytes(scale.height, scale.width, settings)


def remedies(
    scale: Scale, peak: int, limit: int | None, settings: Settings, fixed: int
) -> Iterator[dict[str, Any]]:
    """Settings any of which makes a scale of ``peak`` bytes fit; none where it does already."""
    if limit is None or peak <= limit:
        return
    tileable = settings.tile != "auto" and settings.shard == "none" and not untileable(settings)
    if tileable and _in_tiles(scale, settings) + fixed <= limit:
        yield {"tile": "auto"}
    if size := largest_size(scale.size, peak, limit, fixed):
        measured = settings.size_rule in ("longest", "longest-floor", "own")
        yield {"size": size} if measured else {"size": size, "size_rule": settings.size_rule}
    remembered = optimizer_bytes(scale.height, scale.width, settings)
    if str(settings.optimizer).startswith("lbfgs") and peak - remembered <= limit:
        yield {"optimizer": "adam"}
    maps = peak - remembered - fixed
    in_full = settings.precision in ("float32", "float64") and jax.default_backend() != "cpu"
    if in_full and peak - maps / 2 <= limit:
        yield {"precision": "bfloat16"}
