"""What working in tiles takes of the memory."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle import solve, vgg
from jaxstyle.formulation import objective_of
from jaxstyle.guide.masks import Regions
from jaxstyle.losses import LOSSES
from jaxstyle.losses.content import Piece
from jaxstyle.losses.matting import blank_target
from jaxstyle.memory import ARRAYS, nbytes, optimizer_bytes, peak_bytes, shapes
from jaxstyle.objective import Objective, Term
from jaxstyle.parts import exactness
from jaxstyle.plan import blank
from jaxstyle.pyramid import Scale
from jaxstyle.settings import Settings
from jaxstyle.tiles.grid import LEAST_HALO, Grid, halo
from jaxstyle.tiles.objective import compiled_passes
from jaxstyle.ways import Way

Image = Float[np.ndarray, "_ _ 3"]

FRAMES, BESIDE = 2, 5
"""Arrays that are there during the passes: the image and its gradient, with what windows reach
beyond them; and of the picture's own size image, average, best, the photo, what is shown."""

SCRATCH = 1.25
"""How much the passes take by the system's account to what they take by XLA's: on CPU its libraries
have buffers of their own (``python -m bench tiles``)."""


class TilePrograms(NamedTuple):
    """The programs of one scale: those of the two passes.

    targets: bytes of what all tiles have for themselves, on the host. seconds: compiling.
    """

    passes: tuple[jax.stages.Compiled, ...]
    grid: Grid
    way: Way
    targets: int
    seconds: float

    def peaks(self, network: vgg.VGG19, settings: Settings) -> tuple[int, int]:
        """Bytes while targets are made, and while steps are taken.

        Both are of the same memory on a CPU. Where arrays of the picture's size are the host's, an
        accelerator has none of them.
        """
        del network
        passes = round(SCRATCH * max(map(peak_bytes, self.passes)))
        if self.way.on_host:
            return 0, passes
        frame = (
            12
            * (self.grid.rows * self.grid.tile + 2 * self.grid.halo)
            * (self.grid.columns * self.grid.tile + 2 * self.grid.halo)
        )
        image = 12 * self.grid.height * self.grid.width
        remembered = optimizer_bytes(self.grid.height, self.grid.width, settings)
        on_host = self.targets if jax.default_backend() == "cpu" else 0
        large = max(passes + FRAMES * frame + BESIDE * image, ARRAYS * image)
        return on_host, large + remembered + on_host

    def fixed(self, network: vgg.VGG19, settings: Settings) -> int:
        """Bytes that do not grow with the picture."""
        del network, settings
        return max(map(peak_bytes, self.passes))

    def step_seconds(self, network: vgg.VGG19, rates: solve.Rates) -> float:
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
    way: Way,
) -> TilePrograms:
    """Compile the programs of one scale, for shapes alone."""
    start, layers = time.perf_counter(), settings.layers()
    wraps = network.padding == "circular"
    grid = Grid(scale.height, scale.width, way.tile, halo(layers), wraps)
    with exactness(settings):
        own = blank_objective(network, len(styles), settings, regions, way.tile)
        passes = compiled_passes(own, way.tile, grid.window)
    kept = grid.count * nbytes([_kept(term) for term in own.terms.values()])
    return TilePrograms(tuple(passes), grid, way, kept, time.perf_counter() - start)


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
    return replace(term, targets=(Piece(features, jnp.mean(features)),))
