"""What working in tiles takes of the memory."""

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
"""The image and its gradient, with all that windows reach beyond them: there during the passes."""

STATES = 3
"""Of the picture's size, in a state: image, average and best."""

BESIDE = 2
"""Of the picture's size, beside a step: the photo, and the image that was last reported."""

SCRATCH = 1.25
"""Memory that the passes take to what XLA says that they do. On CPU its libraries have buffers of
their own: in BENCHMARKS.md, what is measured of 4, 17 and 67 megapixels is a straight line, which
begins at 1.8 GB, where XLA says 1.4."""


class TilePrograms(NamedTuple):
    """The programs of one scale: those of the two passes, and of what a step does with a gradient.

    targets: bytes of what all tiles have for themselves, on the host. seconds: compiling.
    """

    passes: tuple[jax.stages.Compiled, ...]
    update: jax.stages.Compiled
    grid: Grid
    way: Strategy
    targets: int
    seconds: float

    def peaks(self, network: vgg.VGG19, settings: Settings) -> tuple[int, int]:
        """Bytes while targets are made, and while steps are taken.

        Both are of the same memory on a CPU. Where arrays of the picture's size are the host's, an
        accelerator has none of them.
        """
        del network
        on_host = self.targets if jax.default_backend() == "cpu" else 0
        if self.way.on_host:
            return 0, self._passes()
        step = max(self._in_passes(settings), peak_bytes(self.update))
        return on_host, step + BESIDE * self._image() + on_host

    def fixed(self, network: vgg.VGG19, settings: Settings) -> int:
        """Bytes that do not grow with the picture: those of the passes, where these are the most
        that there is at a time."""
        del network
        grows = not self.way.on_host and self._in_passes(settings) < peak_bytes(self.update)
        return 0 if grows else self._passes()

    def _in_passes(self, settings: Settings) -> int:
        """Bytes during the passes, of the network and of the picture."""
        around, tile = 2 * self.grid.halo, self.grid.tile
        frame = 12 * (self.grid.rows * tile + around) * (self.grid.columns * tile + around)
        remembered = optimizer_bytes(self.grid.height, self.grid.width, settings)
        return self._passes() + FRAMES * frame + STATES * self._image() + remembered

    def _passes(self) -> int:
        """Bytes of the passes alone."""
        scratch = SCRATCH if jax.default_backend() == "cpu" else 1
        return round(scratch * max(map(peak_bytes, self.passes)))

    def _image(self) -> int:
        return 12 * self.grid.height * self.grid.width

    def step_seconds(self, network: vgg.VGG19, rates: solve.Hyperparameters) -> float:
        """Seconds of one step, from one tile of nothing."""
        del network, rates
        zeros = [_zeros(each) for each in self.passes]
        for run, given in zip(self.passes, zeros, strict=True):
            jax.block_until_ready(run(*given))
        start = time.perf_counter()
        for run, given in zip(self.passes, zeros, strict=True):
            jax.block_until_ready(run(*given))
        return (time.perf_counter() - start) * self.grid.count


def _zeros(run: jax.stages.Compiled) -> Any:
    """Arguments of a program."""
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
    """Compile the programs of one scale, for shapes alone."""
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
    """What a tile has for itself of a term."""
    return term.guide, term.targets if LOSSES[term.loss].share else ()


def blank_objective(
    network: vgg.VGG19,
    styles: int,
    settings: Settings,
    regions: Regions | None,
    tile: int,
) -> Objective:
    """The shapes of a tile's objective: those of a picture as large as the tile, cut like one."""
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
    """A term with targets as tiles have them."""
    if LOSSES[term.loss].kind != "content":
        return term
    (features,) = term.targets
    return replace(term, targets=(TileTarget(features, jnp.mean(features)),))
