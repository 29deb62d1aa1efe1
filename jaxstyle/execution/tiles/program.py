"""The optimizer step of a picture that is computed tile by tile."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import jax
import optax
from jaxtyping import PyTree

from jaxstyle.execution.tiles.objective import TiledObjective, compile_passes
from jaxstyle.losses.objective import Objective
from jaxstyle.optim.solve import matmul_precision, shape_of, split_donated
from jaxstyle.optim.step import (
    Evaluated,
    Hyperparameters,
    Losses,
    State,
    apply_update,
    init_optimizer_state,
)


@jax.jit(static_argnames="optimizer", donate_argnames="memory")
def solver_update(
    rates: Hyperparameters,
    memory: PyTree,
    pictures: State,
    found: Evaluated,
    *,
    optimizer: optax.GradientTransformation,
) -> tuple[State, Losses]:
    """Apply the optimizer update, given loss and gradient: see ``jaxstyle.optim.step``."""
    return apply_update(rates, replace(pictures, optimizer=memory), found, optimizer)


@dataclass(frozen=True)
class TiledProgram:
    """The counterpart of ``jaxstyle.optim.solve.Program`` for tiles.

    Attributes:
      optimizer: any Optax transformation.
      precision: matmul precision, as JAX names it.
    """

    optimizer: optax.GradientTransformation
    precision: str | None = field(default_factory=matmul_precision)

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
        at_home = jax.device_put(found, state.image.sharding)
        return solver_update(rates, *split_donated(state), at_home, optimizer=self.optimizer)

    def compile(
        self, objective: TiledObjective, rates: Hyperparameters, state: State
    ) -> list[jax.stages.Compiled]:
        """Compile the passes; the update is small, and compiled by the first step."""
        del rates, state
        return self.compile_passes(objective.of_tile(0), objective.grid.tile, objective.grid.window)

    def compile_passes(self, own: Objective, tile: int, side: int) -> list[jax.stages.Compiled]:
        """Compile the two passes: see ``compile_passes`` of ``jaxstyle.execution.tiles``."""
        with jax.default_matmul_precision(self.precision):
            return compile_passes(own, tile, side)

    def compile_update(
        self, rates: Hyperparameters, state: State, terms: Sequence[str]
    ) -> jax.stages.Compiled:
        """Compile the update for a state's shapes and the names of the loss terms.

        The program does not depend on the size of tiles.
        """
        scalar = jax.ShapeDtypeStruct((), state.image.dtype)
        found = Evaluated(scalar, dict.fromkeys(terms, scalar), state.image)
        arguments = jax.tree.map(shape_of, (rates, *split_donated(state), found))
        with jax.default_matmul_precision(self.precision):
            return solver_update.lower(*arguments, optimizer=self.optimizer).compile()

    def restarted(self, state: State) -> State:
        """Return the state with the optimizer's state reset to its initial value."""
        return replace(state, optimizer=init_optimizer_state(state.image, self.optimizer))
