"""The solver: the compiled step, and the loop of steps with its reports and retries after NaN.

``init`` and ``step`` are pure and can be used alone. ``Program`` compiles the step; ``minimize`` is
the loop of a run. Both work on one picture or on many at once, by a ``Layout``.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Bool, Float, PyTree

from jaxstyle.errors import DivergedError
from jaxstyle.machine.programs import STEP, jit
from jaxstyle.optim.step import (
    Hyperparameters,
    Losses,
    State,
    averaged,
    init,
    init_optimizer_state,
    result,
    step,
)

__all__ = [
    "ONE_PICTURE",
    "PATIENCE",
    "RETRIES",
    "Course",
    "DivergedError",
    "Hyperparameters",
    "Losses",
    "OnePicture",
    "Program",
    "Reached",
    "State",
    "StepProgram",
    "averaged",
    "init",
    "minimize",
    "result",
    "step",
]

RETRIES = 5
"""Number of times in a row that the learning rate is halved before a picture is given up."""

PATIENCE = 20
"""Least number of steps over which the improvement of the loss is measured, to stop early."""


# --- the compiled step ----------------------------------------------------------------------------


@runtime_checkable
class StepProgram(Protocol):
    """Protocol of a compiled optimizer step, such as ``Program``."""

    def __call__(
        self, objective: Any, rates: Hyperparameters, state: State, count: int
    ) -> tuple[State, Losses]:
        """Return the state after ``count`` >= 1 steps, and the losses before the last step."""
        ...

    def compile(self, objective: Any, rates: Hyperparameters, state: State) -> Any:
        """Compile for the shapes of the arguments, so that calls do not have to."""
        ...

    def restarted(self, state: State) -> State:
        """Return the state with the optimizer's state reset to its initial value."""
        ...


@runtime_checkable
class Layout(Protocol):
    """How pictures lie in the arrays of a state. Hashable: a static argument of the programs."""

    def step(
        self,
        objective: Any,
        rates: Hyperparameters,
        state: State,
        optimizer: optax.GradientTransformation,
    ) -> tuple[State, Losses]:
        """Take one step; called while tracing."""
        ...

    def init_optimizer_state(
        self, image: Float[Array, "*n h w 3"], optimizer: optax.GradientTransformation
    ) -> PyTree:
        """Return the optimizer's initial state."""
        ...


@dataclass(frozen=True)
class OnePicture:
    """The layout of a single picture on one device."""

    def step(
        self,
        objective: Any,
        rates: Hyperparameters,
        state: State,
        optimizer: optax.GradientTransformation,
    ) -> tuple[State, Losses]:
        """Take one step: see ``jaxstyle.optim.step.step``."""
        return step(objective, rates, state, optimizer=optimizer)

    def init_optimizer_state(
        self, image: Float[Array, "h w 3"], optimizer: optax.GradientTransformation
    ) -> PyTree:
        """Return the optimizer's initial state."""
        return init_optimizer_state(image, optimizer)


ONE_PICTURE = OnePicture()


@jit(size=STEP, static_argnames=("layout", "optimizer"), donate_argnames="optimizer_state")
def solver_step(
    objective: Any,
    rates: Hyperparameters,
    optimizer_state: PyTree,
    rest: State,
    *,
    layout: Layout,
    optimizer: optax.GradientTransformation,
) -> tuple[State, Losses]:
    """Take one step, with the optimizer's state as a separate argument that is donated.

    The history of L-BFGS is too large to be held twice. The images are small and not donated, so
    that a bad step can be taken back, and a report be read while the solver continues.

    Args:
      optimizer_state: ``state.optimizer``; donated.
      rest: the state with ``optimizer=None``.
    """
    return layout.step(objective, rates, replace(rest, optimizer=optimizer_state), optimizer)


@jit(size=STEP, static_argnames=("layout", "optimizer"), donate_argnames="optimizer_state")
def solver_loop(
    objective: Any,
    rates: Hyperparameters,
    optimizer_state: PyTree,
    rest: State,
    count: Array,
    *,
    layout: Layout,
    optimizer: optax.GradientTransformation,
) -> tuple[State, Losses]:
    """Take ``count`` steps, at least one; see ``solver_step``. The count is traced."""

    def again(_: Array, before: tuple[State, Losses]) -> tuple[State, Losses]:
        return layout.step(objective, rates, before[0], optimizer)

    first = layout.step(objective, rates, replace(rest, optimizer=optimizer_state), optimizer)
    return jax.lax.fori_loop(1, count, again, first)


def split_donated(state: State) -> tuple[PyTree, State]:
    """Split a state into the optimizer's state, to be donated, and the rest, to be kept."""
    return state.optimizer, replace(state, optimizer=None)


def in_a_loop() -> bool:
    """Return whether a program takes many steps in one call.

    Not on CPU, where convolutions are several times slower inside XLA's loops.
    """
    return jax.default_backend() != "cpu"


def matmul_precision() -> str | None:
    """Return the matmul precision that JAX is configured to use, None for its default."""
    config: Any = jax.config
    return config.jax_default_matmul_precision


@dataclass(frozen=True)
class Program:
    """The optimizer step, compiled by JAX once for all arguments of the same shapes.

    Calls donate ``state.optimizer``, which must not be used afterwards.

    Attributes:
      optimizer: any Optax transformation.
      layout: how pictures lie in the arrays.
      precision: matmul precision, as JAX names it.
      loop: take many steps in one call of a compiled loop.
    """

    optimizer: optax.GradientTransformation
    layout: Layout = ONE_PICTURE
    precision: str | None = field(default_factory=matmul_precision)
    loop: bool = field(default_factory=in_a_loop)

    def __call__(
        self, objective: Any, rates: Hyperparameters, state: State, count: int
    ) -> tuple[State, Losses]:
        """Return the state after ``count`` >= 1 steps, and the losses before the last step."""
        static = {"layout": self.layout, "optimizer": self.optimizer}
        with jax.default_matmul_precision(self.precision):
            if self.loop:
                donated, rest = split_donated(state)
                return solver_loop(objective, rates, donated, rest, jnp.int32(count), **static)
            for _ in range(count - 1):
                state, _ = solver_step(objective, rates, *split_donated(state), **static)
            return solver_step(objective, rates, *split_donated(state), **static)

    def compile(self, objective: Any, rates: Hyperparameters, state: State) -> jax.stages.Compiled:
        """Compile for the shapes of the arguments, which may be `jax.ShapeDtypeStruct`.

        JAX keeps the program in the cache of the jitted function, where calls find it.
        """
        with jax.default_matmul_precision(self.precision):
            return self.traced(objective, rates, state).lower().compile()

    def traced(self, objective: Any, rates: Hyperparameters, state: State) -> jax.stages.Traced:
        """Trace the program without lowering or compiling it."""
        arguments = jax.tree.map(shape_of, (objective, rates, *split_donated(state)))
        static = {"layout": self.layout, "optimizer": self.optimizer}
        with jax.default_matmul_precision(self.precision):
            if self.loop:
                count = jax.ShapeDtypeStruct((), jnp.int32)
                return solver_loop.trace(*arguments, count, **static)
            return solver_step.trace(*arguments, **static)

    def restarted(self, state: State) -> State:
        """Return the state with the optimizer's state reset to its initial value."""
        fresh = self.layout.init_optimizer_state(state.image, self.optimizer)
        return replace(state, optimizer=fresh)


def shape_of(x: ArrayLike | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """Return shape, dtype and sharding of an array, which a program is compiled for.

    Only a ``NamedSharding`` is kept, so that the program takes any array that is not sharded.
    """
    if isinstance(x, jax.ShapeDtypeStruct):
        return x
    kind, sharding = jax.typeof(x), getattr(x, "sharding", None)
    spread = sharding if isinstance(sharding, jax.sharding.NamedSharding) else None
    return jax.ShapeDtypeStruct(kind.shape, kind.dtype, sharding=spread, weak_type=kind.weak_type)


# --- the loop -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Course:
    """The progress of one picture at one scale.

    Attributes:
      step: number of steps taken.
      total, terms: total loss, and weighted losses by name, of the image before the last step.
      mark, total_at_mark: the step from which improvement is measured, 0 for none yet, and the
        loss there.
      over: whether the improvement was too small, so that the picture stops early.
      failures: number of failed attempts in a row at the next steps.
      diverged: why the picture was given up; empty if it was not.
    """

    step: int = 0
    total: float = np.nan
    terms: Mapping[str, float] = field(default_factory=dict)
    mark: int = 0
    total_at_mark: float = np.inf
    over: bool = False
    failures: int = 0
    diverged: str = ""

    def goes_on(self, steps: int) -> bool:
        """Return whether further steps are to be taken, of ``steps`` in all."""
        return self.step < steps and not (self.over or self.diverged)

    def after(
        self, count: int, total: float, terms: Mapping[str, float], tolerance: float
    ) -> "Course":
        """Return the progress after further steps.

        Args:
          count: number of further steps.
          total, terms: the losses before the last of them.
          tolerance: least relative improvement over ``PATIENCE`` steps; 0 never stops early.
        """
        later = replace(self, step=self.step + count, total=total, terms=terms, failures=0)
        if self.mark and later.step - self.mark < PATIENCE:
            return later
        least = (1 - tolerance) * self.total_at_mark
        over = bool(self.mark and tolerance and total >= least)
        return replace(later, mark=later.step, total_at_mark=total, over=over)

    def failed(self, count: int, terms: Mapping[str, float]) -> "Course":
        """Return the progress after ``count`` steps that led to losses which are not finite."""
        if self.failures < RETRIES:
            return replace(self, failures=self.failures + 1)
        return replace(self, diverged=_diverged(terms, self.step + count))


def _diverged(terms: Mapping[str, float], step: int) -> str:
    bad = [name for name, value in terms.items() if not np.isfinite(value)]
    where = f"in {', '.join(bad)}" if bad else "in the image"
    return (
        f"the loss is not finite {where} at step {step}, even after halving the learning rate "
        f"{RETRIES} times: lower the learning rate or the weights"
    )


@dataclass(frozen=True)
class Reached:
    """The optimization of one or several pictures, as it stands after some steps of a scale.

    Attributes:
      rates: hyperparameters of the next step.
      state: the state, of one picture or of all pictures stacked.
      courses: the progress of each picture.
      seconds: running time, without compilation.
    """

    rates: Hyperparameters
    state: State
    courses: tuple[Course, ...] = (Course(),)
    seconds: float = 0.0

    @property
    def step(self) -> int:
        """The number of steps taken by the picture that took most."""
        return max(course.step for course in self.courses)

    @property
    def total(self) -> float:
        """The total loss of the only picture, or the first, before its last step."""
        return self.courses[0].total

    @property
    def terms(self) -> Mapping[str, float]:
        """The weighted losses of the only picture, or the first, by name."""
        return self.courses[0].terms

    @property
    def learning_rates(self) -> Float[np.ndarray, " n"]:
        """The factor of the updates of each picture."""
        return np.atleast_1d(jax.device_get(self.rates.learning_rate))

    @property
    def without_optimizer(self) -> "Reached":
        """A copy without the optimizer's state, which is large and donated to the next step."""
        return replace(self, state=replace(self.state, optimizer=None))


def minimize(
    program: StepProgram,
    objective: Any,
    begin: Reached,
    steps: int,
    every: int,
    *,
    tolerance: float = 0.0,
    carry: bool = False,
) -> Iterator[Reached]:
    """Take the steps of a scale; yield what was reached after every ``every`` steps and the last.

    If the loss or the image of a picture is not finite (NaN), its steps since the last report are
    undone, its learning rate is halved and its optimizer starts afresh, as the optimizer's state
    was donated; other pictures of a batch go on. A picture that has taken its steps waits for the
    others. What was yielded can be continued from: the same reports follow.

    Args:
      program: the compiled step.
      objective: the objective it was compiled for.
      begin: where to start; its optimizer buffers are donated.
      steps: number of steps in all, those already taken included.
      every: number of steps between reports.
      tolerance: a picture stops early if its loss decreased by a smaller share than this over
        ``PATIENCE`` steps; 0 never stops early.
      carry: keep the optimizer's state of pictures that wait, to be carried to the next scale.

    Raises:
      DivergedError: halving the learning rate ``RETRIES`` times in a row did not help any picture.
    """
    reached = begin
    del begin  # its images would stay in memory for all of the scale
    while any(course.goes_on(steps) for course in reached.courses):
        before = reached.courses
        reached = _advance(program, objective, reached, steps, every, tolerance, carry)
        if all(course.diverged for course in reached.courses):
            raise DivergedError(reached.courses[0].diverged)
        if _changed(before, reached.courses):
            yield reached


def _changed(before: Sequence[Course], after: Sequence[Course]) -> bool:
    """Return whether any picture has taken steps, or was given up."""
    each = zip(before, after, strict=True)
    return any(new.step > old.step or new.diverged != old.diverged for old, new in each)


def _advance(
    program: StepProgram,
    objective: Any,
    reached: Reached,
    steps: int,
    every: int,
    tolerance: float,
    carry: bool,
) -> Reached:
    """Try the next steps of all pictures that go on; keep those without NaN, retry the others."""
    going = np.array([course.goes_on(steps) for course in reached.courses])
    waiting = ~going & np.array([not course.diverged for course in reached.courses])
    left = [steps - c.step for c, on in zip(reached.courses, going, strict=True) if on]
    count, held = min(every, *left), replace(reached.state, optimizer=None)
    if waiting.any() and carry:  # the program will donate the optimizer's buffers
        held = replace(held, optimizer=jax.tree.map(jnp.copy, reached.state.optimizer))
    start = time.perf_counter()
    state, losses = program(objective, reached.rates, reached.state, count)
    losses = jax.device_get(losses)  # waits for the device
    taken = time.perf_counter() - start
    seconds = reached.seconds + taken
    let_memory_go(taken)

    failed, rates = going & ~np.ravel(losses.finite), reached.rates
    if failed.any():
        state = _select(failed, program.restarted(reached.state), state)
        rates = replace(rates, learning_rate=_halved(rates.learning_rate, failed))
    # Pictures that wait keep the state in which they stopped.
    state = _select(waiting, held if carry else replace(held, optimizer=state.optimizer), state)

    def course(index: int) -> Course:
        before = reached.courses[index]
        if not going[index]:
            return before
        terms = {name: float(np.ravel(of)[index]) for name, of in losses.terms.items()}
        if failed[index]:
            return before.failed(count, terms)
        return before.after(count, float(np.ravel(losses.total)[index]), terms, tolerance)

    courses = tuple(map(course, range(len(reached.courses))))
    return Reached(rates, state, courses, seconds)


def let_memory_go(seconds: float) -> None:
    """Wait a little, on CPU, for the memory of a program that has run for so many seconds.

    Another thread frees its temporaries, just after its results are there. A program begun before
    that takes new memory for its own.
    """
    if not in_a_loop():
        time.sleep(min(0.02, seconds / 100))


def _select(which: Bool[np.ndarray, " n"], one: State, other: State) -> State:
    """Return the state with the pictures of ``one`` where ``which``, else those of ``other``."""
    if which.all() or not which.any():
        return one if which.all() else other
    if one.optimizer is other.optimizer:
        bare = _merged(which, replace(one, optimizer=None), replace(other, optimizer=None))
        return replace(bare, optimizer=other.optimizer)
    return _merged(which, one, other)


@jit()
def _merged(which: Bool[Array, " n"], one: State, other: State) -> State:
    def pick(a: Array, b: Array) -> Array:
        return jnp.where(which.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, one, other)


def _halved(scale: PyTree, which: Bool[np.ndarray, " n"]) -> PyTree:
    """Return the factors of the updates, those of some pictures halved."""
    half = np.where(which.reshape(np.shape(scale)), np.float32(0.5), np.float32(1))
    spread = shape_of(scale).sharding  # otherwise not bound to a device, like the rates before
    return jax.device_put(jax.device_get(scale) * half, spread)
