"""The step compiled: once for all arguments of one shape, whatever their values."""

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
    """``step``, the optimizer's part of the state apart: it alone is donated.

    L-BFGS' history is too large to be held twice. The pictures are small, and kept: a bad step can
    be taken back, and a report be looked at while the solver is at work.
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
    """As many steps as told, at least one; their number is traced."""

    def again(_: Array, before: tuple[State, Losses]) -> tuple[State, Losses]:
        return step(objective, rates, before[0], optimizer=optimizer)

    first = solver_step(objective, rates, memory, pictures, optimizer=optimizer)
    return jax.lax.fori_loop(1, count, again, first)


def split_donated(state: State) -> tuple[PyTree, State]:
    """What is donated of a state, and what is kept."""
    return state.optimizer, replace(state, optimizer=None)


PROGRAMS = ("solver_step", "solver_loop")
"""Names that a compiled program can have: see ``jaxstyle.execution.compilation``."""


@runtime_checkable
class Steps(Protocol):
    """What takes steps: a ``Program``, or one like it."""

    def __call__(
        self, objective: Any, rates: Hyperparameters, state: State, count: int
    ) -> tuple[State, Losses]:
        """The state after ``count`` steps, at least one, and the losses before the last of them."""
        ...

    def restarted(self, state: State) -> State:
        """The state with the optimizer's memory lost."""
        ...


@dataclass(frozen=True)
class Program:
    """A compiled step: takes as many steps as told; donates (consumes) ``state.optimizer``.

    compiled: of ``solver_loop`` if ``loop``, else of ``solver_step``.
    """

    compiled: jax.stages.Compiled
    loop: bool
    optimizer: optax.GradientTransformation

    def __call__(
        self, objective: Objective, rates: Hyperparameters, state: State, count: int
    ) -> tuple[State, Losses]:
        """The state after ``count`` steps, at least one, and the losses before the last of them."""
        if self.loop:
            return self.compiled(objective, rates, *split_donated(state), jnp.int32(count))
        for _ in range(count - 1):
            state, _ = self.compiled(objective, rates, *split_donated(state))
        return self.compiled(objective, rates, *split_donated(state))

    def restarted(self, state: State) -> State:
        """The state with the optimizer's memory lost."""
        return replace(state, optimizer=memory_for(state.image, self.optimizer))


def compile_program(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformation,
) -> Program:
    """The step compiled for the shapes at hand: once in a process, however often it is asked for.

    Arrays may be `jax.ShapeDtypeStruct`.
    """
    return compiled_once(_ONE, objective, rates, state, optimizer)


class Kind(NamedTuple):
    """A step and a loop of it, compiled by ``jax.jit``, that take what ``solver_step`` and
    ``solver_loop`` do: of one picture, or of many."""

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
    """``compile_program`` for a kind of program, which may have more static arguments."""
    leaves, structure = jax.tree.flatten((objective, rates, state))
    shapes = tuple(map(shape_of, leaves))
    config: Any = jax.config
    precision = config.jax_default_matmul_precision
    more = tuple(static.items())
    return _compiled(kind, structure, shapes, optimizer, in_a_loop(), precision, more)


def in_a_loop() -> bool:
    """Whether many steps are one dispatch. Not on CPU: XLA's loops run convolutions several times
    slower there."""
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
    del precision  # of matrix products: known to the tracer, and part of what was compiled
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
    """The program before it is lowered and compiled, ``in_a_loop`` unless told."""
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
    """``traced`` for a kind of program."""
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
    """What is compiled for. An array on the one device there is may come from any."""
    if isinstance(x, jax.ShapeDtypeStruct):
        return x
    kind, sharding = jax.typeof(x), getattr(x, "sharding", None)
    spread = sharding if isinstance(sharding, jax.sharding.NamedSharding) else None
    return jax.ShapeDtypeStruct(kind.shape, kind.dtype, sharding=spread)
