"""The choice of a scale's strategy: the one that the settings name, or the fastest that fits.

It is for a single picture. Batches are formed of pictures that need no choice: see
``jaxstyle.batch.cells``.
"""

from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Float

from jaxstyle.execution.memory import TRUSTED, bytes_before, device_bytes, rough_bytes, run_peaks
from jaxstyle.execution.plan import PERIOD, Scale, largest_sides, style_size
from jaxstyle.execution.sharded import Sharded
from jaxstyle.execution.strategy import WHOLE, Checkpointed, Strategy
from jaxstyle.execution.tiles.grid import alignment, untileable
from jaxstyle.execution.tiles.tiled import Tiled
from jaxstyle.guidance.masks import Regions
from jaxstyle.network.vgg import VGG19
from jaxstyle.settings import Settings

Image = Float[np.ndarray, "_ _ _"]

Sides = tuple[int, int]
"""Height and width of a picture."""

TILES = (2048, 1024, 512, 256, 128)
"""Candidate tile sides. Smaller tiles need less memory, but spend more time on their halos."""

SCORING_TILE = 512
"""Side of the tiles in which a large picture is scored: without a gradient they need little."""


def choose(
    scale: Scale,
    network: VGG19,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None = None,
) -> Strategy:
    """Return the strategy named by the settings, or the fastest one that fits into free memory.

    If none fits, return the last candidate, which needs least. Candidates are compiled to know what
    they need, unless a rule of thumb is enough to decide.
    """
    sides = [style_size(style, i, scale, settings) for i, style in enumerate(styles)]
    available, named = device_bytes(), named_by(settings, scale, sides)
    if named is not None or available is None:
        return named or WHOLE
    largest = largest_sides(scale, sides)
    before, room = bytes_before(network), TRUSTED * available
    if before + rough_bytes(*largest, settings) <= TRUSTED * room:
        return WHOLE  # small enough to be sure without compiling
    strategy = WHOLE
    for strategy in candidates(scale, settings):
        tile = strategy.tile if isinstance(strategy, Tiled) else None
        height, width = (min(tile or side, side) for side in largest)
        if before + rough_bytes(height, width, settings) > 2 * available:
            continue  # not worth compiling: checkpoints save about half
        footprint = strategy.footprint(scale, network, styles, settings, regions)
        if max(run_peaks([footprint], before)) <= room:
            return strategy
    return strategy


def choose_for_score(scale: Scale, styles: Sequence[Sides], settings: Settings) -> Strategy:
    """Return the strategy to compute a picture's losses without a gradient.

    Chosen by rule of thumb: large pictures are scored in tiles of ``SCORING_TILE`` pixels.
    """
    available, named = device_bytes(), named_by(settings, scale, styles)
    if named is not None or available is None or untileable(settings):
        return named or WHOLE
    if settings.padding == "circular" and (scale.height % PERIOD or scale.width % PERIOD):
        return WHOLE  # at such sides each map wraps around by itself: no tiles
    largest = largest_sides(scale, styles)
    peak = bytes_before() + rough_bytes(*largest, settings)
    return WHOLE if peak <= TRUSTED * available else Tiled(SCORING_TILE)


def named_by(settings: Settings, scale: Scale, styles: Sequence[Sides] = ()) -> Strategy | None:
    """Return the strategy that the settings name, None if it is to be chosen automatically.

    If no picture is larger than a tile, the strategy is ``WHOLE``.

    Args:
      settings: settings of the run.
      scale: scale of the image.
      styles: height and width of each style picture.
    """
    if settings.shard == "space":
        return Sharded()
    if settings.tile == "auto":
        return None
    side = settings.tile_side
    longest = max(scale.height, scale.width, *(max(sides) for sides in styles))
    return Tiled(side) if side and longest > side else WHOLE


def candidates(scale: Scale, settings: Settings) -> Iterator[Strategy]:
    """Yield the possible strategies, fastest first."""
    yield WHOLE
    if checkpoints_help():
        yield Checkpointed()
    if untileable(settings):
        return
    multiple, longest = alignment(settings.layers()), max(scale.height, scale.width)
    for on_host in (False, True) if has_host_memory() else (False,):
        for side in TILES:
            if side < longest and side % multiple == 0:
                yield Tiled(side, on_host)


def has_host_memory() -> bool:
    """Return whether JAX can use host memory apart from the device's."""
    try:
        return jax.default_backend() != "cpu" and bool(jax.local_devices(backend="cpu"))
    except RuntimeError:  # JAX_PLATFORMS excludes "cpu"
        return False


def checkpoints_help() -> bool:
    """Return whether checkpointing saves memory: not on CPU, where XLA undoes the recomputation.

    Its CPU compiler merges recomputed values with the originals, and so keeps them in memory.
    """
    return jax.default_backend() != "cpu"
