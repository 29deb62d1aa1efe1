"""Memory: bytes that a run needs, bytes that the device has, and remedies if it is too few.

A run on CPU takes what the process holds already, with the network; plus ``COMPILING``; plus what
its programs need beside the network. That is XLA's analysis of them where they are compiled
(``run_peaks``), and a count of the feature maps where nothing has been compiled yet
(``rough_bytes``). On an accelerator only the device's memory counts: the network and the programs.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from convert_weights.weights_file import Weights
from jaxstyle.execution import arithmetic
from jaxstyle.execution.factories import optimizer_of
from jaxstyle.execution.plan import Image, Scale, largest_sides, style_size
from jaxstyle.execution.tiles.grid import untileable
from jaxstyle.machine import resources
from jaxstyle.network import tuning, vgg
from jaxstyle.network.convolution import WINDOW
from jaxstyle.settings import Settings

COMPILING = 250_000_000
"""Bytes that compiling takes on CPU, as LLVM's memory and then as the programs. At 96 pixels, where
the maps are small, a process grows by 100 MB with programs from the cache and by 240 without. Once
a scale begins, the compiler's memory is given back; the programs of three scales take 200 MB."""

PLANNING = 750_000_000
"""Bytes that a plan may take on CPU besides ``COMPILING``: for the programs of other scales and
strategies, and the steps that it times. At 512 pixels, one in 1.45 GB was killed, of 1.1 GB at any
size; one in 1.8 GB was not."""

STARTING = 200_000_000
"""Bytes without which JAX can hardly start and compile the smallest program on CPU: 60 MB for its
threads, then those of its compiler."""

TRANSIENTS = 8
"""Number of temporary maps beside a map that is worked on in the backward pass. XLA's temporaries
of a step on CPU, at 128, 256 and 512 pixels, are as large as 11 maps of conv1_2: two are those of
the first two convolutions, 8.7 to 9.1 are temporary; with its own convolutions instead of
"winograd", 7.7."""

TRUSTED = 0.8
"""Share of the memory that a run may take by the model: the rest is for its errors, and for other
processes."""

PICTURES = 7
"""Arrays of the picture's size while tiles are worked on, besides the optimizer state: image,
average, best, padded image, gradient, photo and the last reported image. Updating the state takes
as many again, as temporaries."""

GRANULARITY = 16
"""Recommended sizes are multiples of this."""


@dataclass(frozen=True)
class Footprint:
    """The memory of a scale beside the network, by XLA's analysis of its compiled programs.

    Attributes:
      targets: peak bytes while the targets are computed.
      steps: peak bytes while steps are taken.
      fixed: bytes that do not grow with the picture.
      seconds: time that compiling took.
      step_seconds: function that measures the seconds of a step.
    """

    targets: int
    steps: int
    fixed: int
    seconds: float
    step_seconds: Callable[[], float]


def run_peaks(scales: Sequence[Footprint], before: int) -> list[int]:
    """Return the peak bytes of each scale of a run.

    While one scale runs, the targets of the next one are computed in the background.

    Args:
      scales: what each scale takes.
      before: bytes that are held before the first one: ``bytes_before``.
    """
    later = [*(each.targets for each in scales[1:]), 0]
    first, *others = [each.steps + next_ for each, next_ in zip(scales, later, strict=True)]
    return [before + each for each in (max(scales[0].targets, first), *others)]


def bytes_before(network: vgg.VGG19 | None = None) -> int:
    """Return the bytes of a run that do not depend on its pictures.

    Args:
      network: the network; None if it is not needed, or not there yet.
    """
    if jax.default_backend() != "cpu":
        return nbytes(network)
    return resources.resident_memory() + COMPILING


def bytes_before_network(weights: Weights, settings: Settings) -> int:
    """Return ``bytes_before`` of a network that is to be made yet; on CPU, at most."""
    prepared = tuning.channels() if jax.default_backend() == "cpu" else {}
    used = vgg.convolutions_before(settings.layers())
    both = {name: 2 * WINDOW**2 // 9 for name in used if name in prepared}
    return bytes_before() + sum(
        of.bias.nbytes + (1 + both.get(name, 0)) * of.kernel.nbytes
        for name, of in weights.layers.items()
    )


def can_compile(least: int, available: int | None) -> bool:
    """Return whether there is room to compile the programs of a run, of this one and of others.

    Args:
      least: bytes of the run at any size, with one scale's programs: ``bytes_before_network``.
      available: bytes that are available; None if unknown.
    """
    on_host = _accelerator_bytes() is None
    return available is None or not on_host or least + PLANNING <= available


def peak_bytes(compiled: jax.stages.Compiled, *kept: PyTree) -> int:
    """Return the device memory in bytes of a running program, by XLA's memory analysis.

    Counted are arguments, outputs that do not reuse donated arguments, and temporaries.

    Args:
      compiled: the program.
      *kept: further arrays, or their shapes, that are in memory at the same time.
    """
    memory: Any = compiled.memory_analysis()
    own = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return own - memory.alias_size_in_bytes + nbytes(kept)


def nbytes(tree: PyTree) -> int:
    """Return the total bytes of the arrays, or shapes of arrays, in a tree."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def shapes(function: Callable[..., PyTree], *arguments: PyTree) -> PyTree:
    """Return the shapes and dtypes of a function's result, never weakly typed."""
    found = jax.eval_shape(function, *arguments)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), found)


def device_bytes() -> int | None:
    """Return the bytes available to a run, None if unknown.

    On an accelerator that is its memory limit; on a CPU, what this process holds or may still get.
    """
    limit = _accelerator_bytes()
    if limit is not None:
        return limit
    free, total = resources.free_memory(), resources.total_memory()
    if free is None or total is None:
        return total
    # A part of what it holds, such as its libraries, may not count for a container's limit.
    return min(total, free + resources.resident_memory())


def total_bytes() -> int | None:
    """Return the bytes of the device's memory, free or not; None if unknown."""
    limit = _accelerator_bytes()
    return resources.total_memory() if limit is None else limit


def _accelerator_bytes() -> int | None:
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def out_of_memory(error: Exception) -> bool:
    """Return whether an exception of JAX or Python means that memory is exhausted."""
    if isinstance(error, jax.errors.JaxRuntimeError):  # the second is that of its compiler
        return any(
            words in str(error) for words in ("RESOURCE_EXHAUSTED", "Cannot allocate memory")
        )
    return isinstance(error, MemoryError)


def optimizer_bytes(height: int, width: int, settings: Settings) -> int:
    """Return the bytes of the optimizer state."""
    image = jax.ShapeDtypeStruct((height, width, 3), jnp.float32)
    return nbytes(jax.eval_shape(optimizer_of(settings).init, image))


def largest_size(size: int, peak: int, limit: int, fixed: int = 0) -> int:
    """Return the largest size that fits, assuming memory in proportion to the number of pixels.

    Args:
      size: a size whose memory is known.
      peak: bytes needed at that size.
      limit: bytes available.
      fixed: bytes that do not depend on the size (the network).

    Returns:
      A multiple of ``GRANULARITY``; 0 if nothing fits.
    """
    share = max(0, limit - fixed) / max(1, peak - fixed)
    return math.floor(size * math.sqrt(share) / GRANULARITY) * GRANULARITY


def _in_tiles(scale: Scale, settings: Settings) -> int:
    """Return the bytes of the arrays of the picture's size, needed even when working in tiles."""
    image = 12 * scale.height * scale.width
    return 2 * PICTURES * image + optimizer_bytes(scale.height, scale.width, settings)


def remedies(
    scale: Scale, peak: int, limit: int | None, settings: Settings, fixed: int
) -> Iterator[dict[str, Any]]:
    """Yield changes of settings, any one of which makes a scale fit into memory.

    Args:
      scale: the scale that needs most memory.
      peak: bytes it needs.
      limit: bytes available, None if unknown.
      settings: settings of the run.
      fixed: bytes that do not grow with the picture.

    Yields:
      Settings to change, by name. Nothing if the scale fits already, or the limit is unknown.
    """
    if limit is None or peak <= limit:
        return
    tileable = settings.tile != "auto" and settings.shard == "none" and not untileable(settings)
    if tileable and _in_tiles(scale, settings) + fixed <= limit:
        yield {"tile": "auto"}
    # A little less, since memory is not quite in proportion to the pixels.
    roomy = fixed + math.floor(TRUSTED * (limit - fixed))
    if size := largest_size(scale.size, peak, roomy, fixed):
        measured = settings.size_rule in ("longest", "longest-floor", "own")
        yield {"size": size} if measured else {"size": size, "size_rule": settings.size_rule}
    remembered = optimizer_bytes(scale.height, scale.width, settings)
    if str(settings.optimizer).startswith("lbfgs") and peak - remembered <= limit:
        yield {"optimizer": "adam"}
    maps = peak - remembered - fixed
    in_full = settings.precision in ("float32", "float64") and jax.default_backend() != "cpu"
    if in_full and peak - maps / 2 <= limit:
        yield {"precision": "bfloat16"}


def rough_bytes(height: int, width: int, settings: Settings) -> int:
    """Return the bytes of a step beside the network, without compiling.

    Counted are the maps up to a convolution and ``TRANSIENTS`` more like its own, where that is
    most, and the optimizer state.
    """
    sizes = [
        fan_out * pixels
        for layer, _, fan_out, pixels in arithmetic.maps(
            height, width, settings, vgg.CHANNELS_PER_BLOCK
        )
        if layer.startswith("conv")
    ]
    memory = optimizer_bytes(height, width, settings)
    each = zip(sizes, accumulate(sizes), strict=True)
    return 4 * max((kept + TRANSIENTS * own for own, kept in each), default=0) + memory


def rough_peak(least: int, scale: Scale, styles: Sequence[Image], settings: Settings) -> int:
    """Return the rough peak bytes of a scale, without compiling.

    Args:
      least: bytes of the run at any size: ``bytes_before_network``.
      scale: the scale.
      styles: style pictures.
      settings: settings of the run.
    """
    sizes = [style_size(style, i, scale, settings) for i, style in enumerate(styles)]
    return least + rough_bytes(*largest_sides(scale, sizes), settings)


def network_bytes(network: vgg.VGG19, settings: Settings) -> int:
    """Return the bytes of the kernels in use, in the form their algorithm prepares them."""
    used = map(network.convolutions.__getitem__, vgg.convolutions_before(settings.layers()))
    return nbytes([(c.bias, c.kernel if c.prepared is None else c.prepared) for c in used])
