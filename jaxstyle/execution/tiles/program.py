"""The optimizer step of a picture that is computed tile by tile."""

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
"""Names under which ``jaxstyle.execution.compilation`` counts the programs of a step."""


@jax.jit(static_argnames="optimizer", donate_argnames="memory")
def solver_update(
    rates: Hyperparameters,
    memory: PyTree,
    pictures: State,
    found: Evaluated,
    *,
    optimizer: optax.GradientTransformation,
) -> tuple[State, Losses]:
    """Apply the optimizer update, given loss and gradient: see ``jaxstyle.optim.program``."""
    return apply_update(rates, replace(pictures, optimizer=memory), found, optimizer)


def compiled_update(
    rates: Hyperparameters,
    state: State,
    terms: Sequence[str],
    optimizer: optax.GradientTransformation,
) -> jax.stages.Compiled:
    """Compile ``solver_update`` for a state's shapes and the names of the loss terms.

    The program does not depend on the size of tiles.
    """
    scalar = jax.ShapeDtypeStruct((), state.image.dtype)
    found = Evaluated(scalar, dict.fromkeys(terms, scalar), state.image)
    return compiled(solver_update, rates, *split_donated(state), found, optimizer=optimizer)


@dataclass(frozen=True)
class TiledProgram:
    """The counterpart of ``jaxstyle.optim.program.Program`` for tiles.

    Attributes:
      optimizer: the optimizer.
      precision: matmul precision, as JAX names it.
    """

    optimizer: optax.GradientTransformation
    precision: str | None

    def __call__(
        self, objective: TiledObjective, rates: Hyperparameters, state: State, count: int
    ) -> tuple[State, Losses]:
        """Take ``count`` steps, at least one.

        Returns:
          The new state, and the losses before the last step.
        """
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
        """Return the state with a fresh optimizer state."""
        return replace(state, optimizer=memory_for(state.image, self.optimizer))


def tiled_program(
    objective: TiledObjective, optimizer: optax.GradientTransformation
) -> TiledProgram:
    """Return the step program of a tiled objective, whose passes are compiled here."""
    config: Any = jax.config
    objective.compile()
    return TiledProgram(optimizer, config.jax_default_matmul_precision)
