"""Compilation of the optimization step: once for all arguments of the same shapes."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, PyTree

from jaxstyle.losses.objective import Objective
from jaxstyle.optim.step import Hyperparameters, Losses, State, memory_for, step


def solver_step(
    objective: Objective,
    rates: Hyperparameters,
    memory: PyTree,
    pictures: State,
    *,
    optimizer: optax.GradientTransformation,
) -> tuple[State, Losses]:
    """Take one ``step``, with the optimizer's state as a separate argument that can be donated.

    The history of L-BFGS is too large to be held twice. The images are small and not donated, so
    that a bad step can be taken back, and a report be read while the solver continues.

    Args:
      memory: the optimizer's state, ``state.optimizer``; donated.
      pictures: the state with ``optimizer=None``.
    """
    state = replace(pictures, optimizer=memory)
    return step(objective, rates, state, optimizer=optimizer)


def solver_loop(
    objective: Objective,
    rates: Hyperparameters,
    memory: PyTree,
    pictures: State,
    count: Array,
    *,
    optimizer: optax.GradientTransformation,
) -> tuple[State, Losses]:
    """Take ``count`` steps, at least one; see ``solver_step``. The count is traced."""

    def again(_: Array, before: tuple[State, Losses]) -> tuple[State, Losses]:
        return step(objective, rates, before[0], optimizer=optimizer)

    first = solver_step(objective, rates, memory, pictures, optimizer=optimizer)
    return jax.lax.fori_loop(1, count, again, first)


def split_donated(state: State) -> tuple[PyTree, State]:
    """Split a state into the optimizer's state, to be donated, and the rest, to be kept."""
    return state.optimizer, replace(state, optimizer=None)


PROGRAMS = ("solver_step", "solver_loop")
"""Function names of the compiled programs: see ``jaxstyle.execution.compilation``."""


@runtime_checkable
class Steps(Protocol):
    """Protocol of a compiled optimizer step, such as ``Program``."""

    def __call__(
        self, objective: Any, rates: Hyperparameters, state: State, count: int
    ) -> tuple[State, Losses]:
        """Return the state after ``count`` >= 1 steps, and the losses before the last step."""
        ...

    def restarted(self, state: State) -> State:
        """Return the state with the optimizer's state reset to its initial value."""
        ...


@dataclass(frozen=True)
class Program:
    """A compiled optimizer step, called with the number of steps to take.

    Calls donate ``state.optimizer``, which must not be used afterwards.

    Attributes:
      compiled: the compiled ``solver_loop`` if ``loop``, else ``solver_step``.
      loop: whether ``compiled`` takes many steps in one call.
      optimizer: the optimizer it was compiled for.
    """

    compiled: jax.stages.Compiled
    loop: bool
    optimizer: optax.GradientTransformation

    def __call__(
        self, objective: Objective, rates: Hyperparameters, state: State, count: int
    ) -> tuple[State, Losses]:
        """Return the state after ``count`` >= 1 steps, and the losses before the last step."""
        if self.loop:
            return self.compiled(objective, rates, *split_donated(state), jnp.int32(count))
        for _ in range(count - 1):
            state, _ = self.compiled(objective, rates, *split_donated(state))
        return self.compiled(objective, rates, *split_donated(state))

    def restarted(self, state: State) -> State:
        """Return the state with the optimizer's state reset to its initial value."""
        return replace(state, optimizer=memory_for(state.image, self.optimizer))


def compile_program(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformation,
) -> Program:
    """Compile the step for the shapes of the arguments.

    Programs are cached: the same shapes are compiled once in a process. Arrays in the arguments may
    be `jax.ShapeDtypeStruct`.
    """
    return compiled_once(_ONE, objective, rates, state, optimizer)


class Kind(NamedTuple):
    """A kind of program, for one image or for a batch: a step and a loop as ``jax.jit`` functions.

    Attributes:
      step: takes the arguments of ``solver_step``.
      loop: takes the arguments of ``solver_loop``.
    """

    step: Any
    loop: Any


def compiled_once(
    kind: Kind,
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformation,
    **static: Hashable,
) -> Program:
    """Compile a kind of program: see ``compile_program``.

    Args:
      kind: the step and loop to compile.
      static: further static arguments of that kind.
    """
    leaves, structure = jax.tree.flatten((objective, rates, state))
    shapes = tuple(map(shape_of, leaves))
    config: Any = jax.config
    precision = config.jax_default_matmul_precision
    more = tuple(static.items())
    return _compiled(kind, structure, shapes, optimizer, in_a_loop(), precision, more)


def in_a_loop() -> bool:
    """Return whether a program takes many steps in one call.

    Not on CPU, where convolutions are several times slower inside XLA's loops.
    """
    return jax.default_backend() != "cpu"


@lru_cache(maxsize=64)
def _compiled(
    kind: Kind,
    structure: Any,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
    optimizer: optax.GradientTransformation,
    loop: bool,
    precision: str | None,
    static: tuple[tuple[str, Hashable], ...],
) -> Program:
    del precision  # part of the cache key only: tracing reads it from JAX's configuration
    objective, rates, state = jax.tree.unflatten(structure, shapes)
    traced = traced_as(kind, objective, rates, state, optimizer, loop=loop, **dict(static))
    return Program(traced.lower().compile(), loop, optimizer)


forget_programs = _compiled.cache_clear
"""Drop every compiled program."""


def traced(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformation,
    *,
    loop: bool | None = None,
) -> jax.stages.Traced:
    """Trace the program without lowering or compiling it.

    Args:
      loop: trace the loop and not the single step; None for ``in_a_loop()``.
    """
    loop = in_a_loop() if loop is None else loop
    return traced_as(_ONE, objective, rates, state, optimizer, loop=loop)


def traced_as(
    kind: Kind,
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformation,
    *,
    loop: bool,
    **static: Any,
) -> jax.stages.Traced:
    """Trace a kind of program: see ``traced`` and ``compiled_once``."""
    arguments = (objective, rates, *split_donated(state))
    if loop:
        count = jax.ShapeDtypeStruct((), jnp.int32)
        return kind.loop.trace(*arguments, count, optimizer=optimizer, **static)
    return kind.step.trace(*arguments, optimizer=optimizer, **static)


_ONE = Kind(
    jax.jit(solver_step, static_argnames="optimizer", donate_argnames="memory"),
    jax.jit(solver_loop, static_argnames="optimizer", donate_argnames="memory"),
)


def shape_of(x: ArrayLike | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """Return shape, dtype and sharding of an array, which a program is compiled for.

    Only a ``NamedSharding`` is kept, so that the program takes any array that is not sharded.
    """
    if isinstance(x, jax.ShapeDtypeStruct):
        return x
    kind, sharding = jax.typeof(x), getattr(x, "sharding", None)
    spread = sharding if isinstance(sharding, jax.sharding.NamedSharding) else None
    return jax.ShapeDtypeStruct(kind.shape, kind.dtype, sharding=spread)
