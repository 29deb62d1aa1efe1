"""Steps of a picture that is worked on tile by tile."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import optax
from jaxtyping import PyTree

from jaxstyle.execution.tiles.compiled import compiled
from jaxstyle.execution.tiles.objective import TiledObjective
from jaxstyle.optim.program import split_donated
from jaxstyle.optim.step import Evaluated, Hyperparameters, Losses, State, apply_update, memory_for

TILE_PROGRAMS = ("tile_sums", "tile_gradient")
"""Names of the programs that are compiled for a step: see ``jaxstyle.execution.compilation``."""


@jax.jit(static_argnames="optimizer", donate_argnames="memory")
def solver_update(
    rates: Hyperparameters,
    memory: PyTree,
    pictures: State,
    found: Evaluated,
    *,
    optimizer: optax.GradientTransformation,
) -> tuple[State, Losses]:
    """What is left of a step once loss and gradient are known: see ``jaxstyle.optim.program``."""
    return apply_update(rates, replace(pictures, optimizer=memory), found, optimizer)


def compiled_update(
    rates: Hyperparameters,
    state: State,
    terms: Sequence[str],
    optimizer: optax.GradientTransformation,
) -> jax.stages.Compiled:
    """The same, compiled for the shapes of a state, and for losses of these names: once for all
    sizes of tiles."""
    scalar = jax.ShapeDtypeStruct((), state.image.dtype)
    found = Evaluated(scalar, dict.fromkeys(terms, scalar), state.image)
    return compiled(solver_update, rates, *split_donated(state), found, optimizer=optimizer)


@dataclass(frozen=True)
class TiledProgram:
    """What a ``jaxstyle.optim.program.Program`` is for a picture that fits.

    precision: of matrix products, as JAX names them.
    """

    optimizer: optax.GradientTransformation
    precision: str | None

    def __call__(
        self, objective: TiledObjective, rates: Hyperparameters, state: State, count: int
    ) -> tuple[State, Losses]:
        """The state after ``count`` steps, at least one, and the losses before the last of them."""
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

    def restarted(self, state: State) -> State:
        """The state with the optimizer's memory lost."""
        return replace(state, optimizer=memory_for(state.image, self.optimizer))


def tiled_program(
    objective: TiledObjective, optimizer: optax.GradientTransformation
) -> TiledProgram:
    """The step, what takes long to compile compiled."""
    config: Any = jax.config
    objective.compile()
    return TiledProgram(optimizer, config.jax_default_matmul_precision)
