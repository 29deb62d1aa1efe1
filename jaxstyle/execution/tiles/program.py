"""The optimizer step of a picture that is computed tile by tile."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from jaxstyle.execution.tiles.objective import TiledObjective, compile_passes
from jaxstyle.losses.objective import Objective
from jaxstyle.machine.programs import jit
from jaxstyle.network.vgg import VGG19
from jaxstyle.optim.solve import matmul_precision, shape_of, split_donated
from jaxstyle.optim.step import (
    Evaluated,
    Hyperparameters,
    Losses,
    State,
    apply_update,
    init_optimizer_state,
)


@jit(static_argnames="optimizer", donate_argnames="optimizer_state")
def solver_update(
    rates: Hyperparameters,
    optimizer_state: PyTree,
    rest: State,
    found: Evaluated,
    *,
    optimizer: optax.GradientTransformation,
) -> tuple[State, Losses]:
    """Apply the optimizer update, given loss and gradient: see ``jaxstyle.optim.step``."""
    return apply_update(rates, replace(rest, optimizer=optimizer_state), found, optimizer)


@dataclass(frozen=True)
class TiledProgram:
    """The counterpart of ``jaxstyle.optim.solve.Program`` for tiles.

    Attributes:
      optimizer: any Optax transformation.
      precision: matmul precision, as JAX names it.
      on_host: pictures are kept in host memory, and tiles are sent to the network's device.
    """

    optimizer: optax.GradientTransformation
    precision: str | None = field(default_factory=matmul_precision)
    on_host: bool = False

    def __call__(
        self, objective: TiledObjective, rates: Hyperparameters, state: State, count: int
    ) -> tuple[State, Losses]:
        """Return the state after ``count`` >= 1 steps, and the losses before the last step."""
        with jax.default_matmul_precision(self.precision):
            for _ in range(count - 1):
                state, _ = self._step(objective, rates, state)
            return self._step(objective, rates, state)

    def _step(
        self, objective: TiledObjective, rates: Hyperparameters, state: State
    ) -> tuple[State, Losses]:
        found = Evaluated(*objective.gradient(state.image))
        if self.on_host:
            found = jax.device_put(found, state.image.sharding)
        return solver_update(rates, *split_donated(state), found, optimizer=self.optimizer)

    def compile(
        self, objective: TiledObjective, rates: Hyperparameters, state: State
    ) -> list[jax.stages.Compiled]:
        """Compile the passes and the update."""
        grid = objective.grid
        update = self.compile_update(rates, state, list(objective.terms))
        network = objective.shared.network
        return [*self.compile_passes(network, objective.of_tile(0), grid.tile, grid.window), update]

    def compile_passes(
        self, network: VGG19, own: Objective, tile: int, side: int
    ) -> list[jax.stages.Compiled]:
        """Compile the two passes: see ``compile_passes`` of ``jaxstyle.execution.tiles``."""
        sharding = network.gain[...].sharding if self.on_host else None
        with jax.default_matmul_precision(self.precision):
            return compile_passes(own, tile, side, sharding)

    def compile_update(
        self, rates: Hyperparameters, state: State, terms: Sequence[str]
    ) -> jax.stages.Compiled:
        """Compile the update for a state's shapes and the names of the loss terms.

        The program does not depend on the size of tiles.
        """
        image = jax.tree.map(shape_of, state.image)
        precise = jnp.promote_types(image.dtype, jnp.result_type(float))
        scalar = jax.ShapeDtypeStruct((), precise, sharding=image.sharding)
        found = Evaluated(scalar, dict.fromkeys(terms, scalar), image)
        arguments = jax.tree.map(shape_of, (rates, *split_donated(state), found))
        with jax.default_matmul_precision(self.precision):
            return solver_update.lower(*arguments, optimizer=self.optimizer).compile()

    def restarted(self, state: State) -> State:
        """Return the state with the optimizer's state reset to its initial value."""
        return replace(state, optimizer=init_optimizer_state(state.image, self.optimizer))
