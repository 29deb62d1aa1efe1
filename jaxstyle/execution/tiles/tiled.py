"""The strategy of a picture that is computed tile by tile."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxstyle.errors import SettingError
from jaxstyle.execution.factories import matmul_precision, optimizer_of, rates_of
from jaxstyle.execution.inputs import LossInputs, inputs_of
from jaxstyle.execution.memory import (
    PICTURES,
    Footprint,
    nbytes,
    network_bytes,
    optimizer_bytes,
    peak_bytes,
    shapes,
)
from jaxstyle.execution.plan import PERIOD, Scale, blank
from jaxstyle.execution.strategy import Strategy, do_not_pause
from jaxstyle.execution.tiles.build import build
from jaxstyle.execution.tiles.grid import LEAST_HALO, Grid, halo
from jaxstyle.execution.tiles.objective import TiledObjective
from jaxstyle.execution.tiles.program import TiledProgram
from jaxstyle.guidance.masks import Regions
from jaxstyle.losses import LOSSES
from jaxstyle.losses.content import TileTarget
from jaxstyle.losses.matting import blank_target
from jaxstyle.losses.objective import Objective, Term
from jaxstyle.network import vgg
from jaxstyle.optim.solve import Reached, State
from jaxstyle.settings import Settings

Image = Float[np.ndarray, "_ _ 3"]

BLOCKS = 2
"""Blocks of temporaries of the passes that a process on CPU may hold at once. Another thread frees
that of the tile before; if it is late, the next tile takes a second one. With one block, processes
measured at 1024 pixels in tiles of 512 took 1.07 to 1.47 times the prediction."""


@dataclass(frozen=True)
class Tiled(Strategy):
    """One picture tile by tile.

    Attributes:
      tile: side of a tile in pixels.
      on_host: keep arrays of the picture's size in host memory; only tiles go to the accelerator.
    """

    tile: int = 512
    on_host: bool = False

    def __str__(self) -> str:
        return f"tiles of {self.tile}" + ", on the host" * self.on_host

    def cost(self, settings: Settings) -> float:
        """Return the approximate cost of a step relative to the whole picture at once.

        Halos shrink layer by layer: averaged over all operations, they are seven tenths of the
        first layer's.
        """
        around = 1.4 * halo(settings.layers())
        return 4 / 3 * ((self.tile + around) / self.tile) ** 2

    def objective(
        self, inputs: Sequence[LossInputs], pause: Callable[[], None] = do_not_pause
    ) -> TiledObjective:
        """Build the tiled objective, whose targets are measured tile by tile."""
        (one,) = inputs
        height, width, _ = one.content.shape
        if one.network.padding == "circular" and (height % PERIOD or width % PERIOD):
            raise SettingError("tile", f"needs sides that are multiples of {PERIOD} to wrap around")
        content, *styles = one.content, *one.styles
        if self.on_host:
            content, *styles = jax.device_put([content, *styles], _host())
        given = one.network, content, styles, self.tile, one.spec, one.guides, one.photorealistic
        with jax.default_matmul_precision(one.precision):
            return build(*given, one.earlier, pause)

    def losses(self, objective: TiledObjective, image: Image) -> tuple[Array, dict[str, Array]]:
        """Return the total loss of an image and its weighted terms, without a gradient."""
        return objective(jax.device_put(image))

    def program(
        self, optimizer: optax.GradientTransformation, precision: str | None
    ) -> TiledProgram:
        """Return the step program, whose passes go over the tiles."""
        return TiledProgram(optimizer, precision, self.on_host)

    def begin(self, images: Sequence[Image], optimizer: optax.GradientTransformation) -> State:
        """Return the solver state before the first step."""
        with self._storage():
            return self._stored(super().begin(images, optimizer))

    def carried(self, before: State, fresh: State, earlier: Scale, scale: Scale) -> State:
        """Return a fresh state with the optimizer's moments resized from the scale before."""
        with self._storage():
            return self._stored(super().carried(before, fresh, earlier, scale))

    def state_shape(self, scale: Scale, optimizer: optax.GradientTransformation) -> State:
        """Return the shapes of the state at a scale, in host memory if it belongs there."""
        shapes = super().state_shape(scale, optimizer)
        if not self.on_host:
            return shapes
        host = jax.sharding.SingleDeviceSharding(_host())
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=host), shapes)

    def restored(self, saved: Reached, scale: Scale) -> Reached:
        """Return what a checkpoint holds, in host memory if it belongs there."""
        del scale
        return replace(saved, state=self._stored(saved.state))

    def report_every(self, steps: int) -> int:
        """Return the number of steps between two reports: one, as a step takes long."""
        del steps
        return 1

    def _storage(self) -> AbstractContextManager:
        return jax.default_device(_host()) if self.on_host else nullcontext()

    def _stored(self, state: State) -> State:
        return jax.device_put(state, _host()) if self.on_host else state

    def footprint(
        self,
        scale: Scale,
        network: vgg.VGG19,
        styles: Sequence[Image],
        settings: Settings,
        regions: Regions | None = None,
    ) -> Footprint:
        """Predict the memory of a scale by compiling its programs from shapes alone.

        On a CPU, host memory is device memory, so the targets of all tiles count. With ``on_host``,
        arrays of the picture's size are not in device memory.
        """
        start, wraps = time.perf_counter(), network.padding == "circular"
        grid = Grid(scale.height, scale.width, self.tile, halo(settings.layers()), wraps)
        own = self._blank_objective(network, len(styles), settings, regions)
        optimizer, rates = optimizer_of(settings), rates_of(settings)
        program = self.program(optimizer, matmul_precision(settings))
        compiled = program.compile_passes(network, own, self.tile, grid.window)
        state = self.state_shape(scale, optimizer)
        update = peak_bytes(program.compile_update(rates, state, list(own.terms)))
        used = network_bytes(network, settings)
        blocks = BLOCKS if jax.default_backend() == "cpu" else 1
        passes = blocks * (max(map(peak_bytes, compiled)) - used)
        kept = grid.count * nbytes([_kept(term) for term in own.terms.values()])
        targets = kept if jax.default_backend() == "cpu" else 0
        window = 2 * grid.halo
        padded = 12 * (grid.rows * grid.tile + window) * (grid.columns * grid.tile + window)
        held = PICTURES * padded + optimizer_bytes(grid.height, grid.width, settings)
        photos = 2 * 12 * grid.height * grid.width  # given, and last reported
        grows = not self.on_host and passes + held < update + photos
        steps = max(passes + held, update + photos) + targets
        return Footprint(
            targets=0 if self.on_host else targets,
            steps=passes if self.on_host else steps,
            fixed=0 if grows else passes,
            seconds=time.perf_counter() - start,
            step_seconds=partial(_step_seconds, compiled, grid.count),
        )

    def _blank_objective(
        self, network: vgg.VGG19, styles: int, settings: Settings, regions: Regions | None
    ) -> Objective:
        """Return the shapes of a tile's objective."""
        side, around = vgg.smallest_side(settings.layers()), self.tile + 2 * LEAST_HALO
        local = blank_target(around, around) if settings.photorealistic else None

        def scored(network: vgg.VGG19) -> Objective:
            pictures = blank(self.tile, self.tile), [blank(side, side)] * styles
            inputs = inputs_of(network, *pictures, settings, regions)
            found = self.build(inputs, inputs.content, inputs.styles, local)
            return replace(found, terms={name: _cut(term) for name, term in found.terms.items()})

        return shapes(scored, network)


def _host() -> Any:
    """Return the device of host memory."""
    return jax.local_devices(backend="cpu")[0]


def _kept(term: Term) -> Any:
    """Return the parts of a term that each tile stores separately."""
    return term.guide, term.targets if LOSSES[term.loss].tile_distance else ()


def _cut(term: Term) -> Term:
    """Return a term with its content targets in the form that tiles use."""
    if LOSSES[term.loss].kind != "content":
        return term
    (features,) = term.targets
    return replace(term, targets=(TileTarget(features, jnp.mean(features)),))


def _step_seconds(passes: Sequence[jax.stages.Compiled], tiles: int) -> float:
    """Estimate the seconds of one step: time one tile of zeros, multiply by their number."""
    zeros = [_zeros(each) for each in passes]
    for run, given in zip(passes, zeros, strict=True):
        jax.block_until_ready(run(*given))
    start = time.perf_counter()
    for run, given in zip(passes, zeros, strict=True):
        jax.block_until_ready(run(*given))
    return (time.perf_counter() - start) * tiles


def _zeros(run: jax.stages.Compiled) -> Any:
    """Return arguments of a program, all zeros."""
    arguments, _ = run.in_avals
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), arguments)
