"""Memory footprint of a scale that is computed in tiles."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle.execution.factories import exactness, optimizer_of, rates_of
from jaxstyle.execution.formulation import objective_of, state_shape
from jaxstyle.execution.memory import nbytes, optimizer_bytes, peak_bytes, shapes
from jaxstyle.execution.plan import blank
from jaxstyle.execution.pyramid import Scale
from jaxstyle.execution.strategy import Strategy
from jaxstyle.execution.tiles.grid import LEAST_HALO, Grid, halo
from jaxstyle.execution.tiles.objective import compiled_passes
from jaxstyle.execution.tiles.program import compiled_update
from jaxstyle.guidance.masks import Regions
from jaxstyle.losses import LOSSES
from jaxstyle.losses.content import TileTarget
from jaxstyle.losses.matting import blank_target
from jaxstyle.losses.objective import Objective, Term
from jaxstyle.network import vgg
from jaxstyle.optim import solve
from jaxstyle.settings import Settings

Image = Float[np.ndarray, "_ _ 3"]

FRAMES = 2
"""Arrays of the padded picture's size during the passes: the image and its gradient."""

STATES = 3
"""Arrays of the picture's size in a solver state: image, average and best."""

BESIDE = 2
"""Further arrays of the picture's size during a step: the photo, and the last reported image."""

SCRATCH = 1.25
"""Ratio of the memory that the passes take on CPU to XLA's account of it, which misses buffers of
its libraries. In BENCHMARKS.md, the memory measured at 4, 17 and 67 megapixels is a straight line
that begins at 1.8 GB, where XLA says 1.4."""


class TilePrograms(NamedTuple):
    """The compiled programs of one scale in tiles.

    Attributes:
      passes: programs of the two passes over the tiles.
      update: program of the optimizer update.
      grid: the tiles of the picture.
      way: the execution strategy.
      targets: bytes of the targets and guides of all tiles, in host memory.
      seconds: time of compiling.
    """

    passes: tuple[jax.stages.Compiled, ...]
    update: jax.stages.Compiled
    grid: Grid
    way: Strategy
    targets: int
    seconds: float

    def peaks(self, network: vgg.VGG19, settings: Settings) -> tuple[int, int]:
        """Return the peak bytes of the device while targets are computed, and during steps.

        On a CPU, host memory is device memory, so the targets count. With ``on_host``, arrays of
        the picture's size are not in device memory.
        """
        del network
        on_host = self.targets if jax.default_backend() == "cpu" else 0
        if self.way.on_host:
            return 0, self._passes()
        step = max(self._in_passes(settings), peak_bytes(self.update))
        return on_host, step + BESIDE * self._image() + on_host

    def fixed(self, network: vgg.VGG19, settings: Settings) -> int:
        """Return the bytes that do not grow with the picture.

        These are the bytes of the passes, or 0 if the peak is in the update, which scales with the
        picture.
        """
        del network
        grows = not self.way.on_host and self._in_passes(settings) < peak_bytes(self.update)
        return 0 if grows else self._passes()

    def _in_passes(self, settings: Settings) -> int:
        """Return the bytes during the passes, including arrays of the picture's size."""
        around, tile = 2 * self.grid.halo, self.grid.tile
        frame = 12 * (self.grid.rows * tile + around) * (self.grid.columns * tile + around)
        remembered = optimizer_bytes(self.grid.height, self.grid.width, settings)
        return self._passes() + FRAMES * frame + STATES * self._image() + remembered

    def _passes(self) -> int:
        """Return the bytes of the programs of the passes alone."""
        scratch = SCRATCH if jax.default_backend() == "cpu" else 1
        return round(scratch * max(map(peak_bytes, self.passes)))

    def _image(self) -> int:
        return 12 * self.grid.height * self.grid.width

    def step_seconds(self, network: vgg.VGG19, rates: solve.Hyperparameters) -> float:
        """Estimate the seconds of one step: time one tile of zeros, multiply by their number."""
        del network, rates
        zeros = [_zeros(each) for each in self.passes]
        for run, given in zip(self.passes, zeros, strict=True):
            jax.block_until_ready(run(*given))
        start = time.perf_counter()
        for run, given in zip(self.passes, zeros, strict=True):
            jax.block_until_ready(run(*given))
        return (time.perf_counter() - start) * self.grid.count


def _zeros(run: jax.stages.Compiled) -> Any:
    """Return arguments of a program, all zeros."""
    arguments, _ = run.in_avals
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), arguments)


def compile_tiles(
    scale: Scale,
    network: vgg.VGG19,
    styles: Sequence[Image],
    settings: Settings,
    regions: Regions | None,
    way: Strategy,
) -> TilePrograms:
    """Compile the programs of one scale in tiles, from shapes alone."""
    start, layers = time.perf_counter(), settings.layers()
    wraps = network.padding == "circular"
    grid = Grid(scale.height, scale.width, way.tile, halo(layers), wraps)
    with exactness(settings):
        own = blank_objective(network, len(styles), settings, regions, way.tile)
        passes = compiled_passes(own, way.tile, grid.window)
        optimizer = optimizer_of(settings)
        state = state_shape(scale, optimizer)
        update = compiled_update(rates_of(settings), state, list(own.terms), optimizer)
    kept = grid.count * nbytes([_kept(term) for term in own.terms.values()])
    return TilePrograms(tuple(passes), update, grid, way, kept, time.perf_counter() - start)


def _kept(term: Term) -> Any:
    """Return the parts of a term that each tile stores separately."""
    return term.guide, term.targets if LOSSES[term.loss].share else ()


def blank_objective(
    network: vgg.VGG19,
    styles: int,
    settings: Settings,
    regions: Regions | None,
    tile: int,
) -> Objective:
    """Return the shapes of a tile's objective.

    Args:
      network: the network.
      styles: number of style pictures.
      settings: settings of the run.
      regions: guidance regions, if any.
      tile: side of a tile in pixels.
    """
    side = vgg.smallest_side(settings.layers())
    around = tile + 2 * LEAST_HALO
    local = blank_target(around, around) if settings.photorealistic else None

    def scored(network: vgg.VGG19) -> Objective:
        pictures = blank(tile, tile), [blank(side, side)] * styles
        found = objective_of(network, *pictures, settings, regions=regions, local_colors=local)
        assert isinstance(found, Objective)
        return replace(found, terms={name: _cut(term) for name, term in found.terms.items()})

    return shapes(scored, network)


def _cut(term: Term) -> Term:
    """Return a term with its content targets in the form that tiles use."""
    if LOSSES[term.loss].kind != "content":
        return term
    (features,) = term.targets
    return replace(term, targets=(TileTarget(features, jnp.mean(features)),))
