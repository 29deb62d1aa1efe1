"""The solver: one state, one step, many steps, and what to do when a step goes wrong.

    x <- clip(x + rate * direction(grad L(x)), 0, 1)

``init`` and ``step`` are pure and can be used alone. ``compile_program`` compiles the step once;
``minimize`` is the loop a run uses: it reports as it goes, and recovers from steps that leave the
finite numbers.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from jaxstyle.objective import Objective

RETRIES = 5


class DivergedError(RuntimeError):
    """The optimization left the finite numbers, and smaller steps did not help."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rates:
    """Traced numbers of a step: learning_rate, and average_decay of the iterates' average."""

    learning_rate: PyTree
    average_decay: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """image: height x width x 3. average: sum of decayed iterates. step: how many were taken."""

    image: PyTree
    optimizer: PyTree
    average: PyTree
    step: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Losses:
    """total and its weighted terms, of the image before the step; finite: loss and new image."""

    total: PyTree
    terms: PyTree
    finite: PyTree


def init(image: Float[Array, "h w 3"], optimizer: optax.GradientTransformationExtraArgs) -> State:
    """The state before the first step."""
    image = jnp.asarray(image, jnp.float32)
    state = State(image, optimizer.init(image), jnp.zeros_like(image), jnp.int32(0))
    return copy(state)  # some optimizers keep one array in two places, which cannot be donated


def copy(state: State) -> State:
    """The same state in buffers of its own, which may be donated."""
    return jax.tree.map(jnp.copy, state)


def step(
    objective: Objective,
    rates: Rates,
    state: State,
    *,
    optimizer: optax.GradientTransformationExtraArgs,
) -> tuple[State, Losses]:
    """One step of the image down the gradient of the objective, kept within [0, 1]."""
    (total, terms), gradient = jax.value_and_grad(objective, has_aux=True)(state.image)
    direction, optimizer_state = optimizer.update(
        gradient,
        state.optimizer,
        state.image,
        value=total,
        grad=gradient,
        value_fn=lambda image: objective(image)[0],
    )
    image = jnp.clip(state.image + rates.learning_rate * direction, 0.0, 1.0)
    average = rates.average_decay * state.average + (1 - rates.average_decay) * image
    finite = jnp.isfinite(total) & jnp.all(jnp.isfinite(image))
    return State(image, optimizer_state, average, state.step + 1), Losses(total, terms, finite)


@jax.jit
def picture(state: State, rates: Rates) -> Float[Array, "h w 3"]:
    """The exponential moving average of the iterates, corrected for its start at zero."""
    seen = 1 - rates.average_decay**state.step
    average = jnp.clip(state.average / jnp.where(state.step == 0, 1.0, seen), 0.0, 1.0)
    return jnp.where(state.step == 0, state.image, average)


PROGRAMS = ("solver_step", "solver_loop")
"""Names that the compiled program can have: see ``jaxstyle.compilation``."""

Program = Callable[[Objective, Rates, State, int], tuple[State, Losses]]
"""Takes as many steps as told; donates (consumes) the state it is given."""


def compile_program(
    objective: Objective,
    rates: Rates,
    state: State,
    optimizer: optax.GradientTransformationExtraArgs,
) -> Program:
    """Compile the step for the shapes at hand, once.

    On CPU the step is called from Python: XLA's loops run convolutions several times slower there.
    On accelerators many steps are one dispatch, and their number is traced.
    """

    def solver_step(objective, rates, state):
        return step(objective, rates, state, optimizer=optimizer)

    def solver_loop(objective, rates, state, count):
        first = solver_step(objective, rates, state)
        return jax.lax.fori_loop(1, count, lambda _, c: solver_step(objective, rates, c[0]), first)

    if jax.default_backend() == "cpu":
        one = jax.jit(solver_step, donate_argnums=2).lower(objective, rates, state).compile()
        return partial(_from_python, one)
    loop = jax.jit(solver_loop, donate_argnums=2)
    many = loop.lower(objective, rates, state, jnp.int32(1)).compile()
    return lambda objective, rates, state, count: many(objective, rates, state, jnp.int32(count))


def _from_python(
    one: Callable, objective: Objective, rates: Rates, state: State, count: int
) -> tuple[State, Losses]:
    for _ in range(count - 1):
        state, _ = one(objective, rates, state)
    return one(objective, rates, state)


@dataclass(frozen=True)
class Report:
    """What is known after some steps.

    step: steps taken of ``steps``. total, terms: losses (weighted) of the image before the last
    step. seconds: running, without compiling. rates, state: what they were reached with.
    """

    step: int
    steps: int
    total: float
    terms: dict[str, float]
    seconds: float
    rates: Rates
    state: State

    @classmethod
    def before(cls, rates: Rates, state: State) -> "Report":
        """The report of no step at all."""
        return cls(0, 0, np.nan, {}, 0.0, rates, state)

    @property
    def image(self) -> Float[np.ndarray, "h w 3"]:
        """The picture reached, on the host."""
        return np.asarray(picture(self.state, self.rates))


def minimize(
    program: Program, objective: Objective, rates: Rates, state: State, steps: int, every: int
) -> Iterator[Report]:
    """Take ``steps`` steps, yielding a report after each ``every`` of them and after the last.

    Where the loss or the image is not finite, the steps since the last report are taken back and
    the learning rate is halved.

    Raises:
      DivergedError: when halving the rate ``RETRIES`` times in a row does not help.
    """
    good, failures, seconds = state, 0, 0.0
    done = 0
    while done < steps:
        count = min(every, steps - done)
        start = time.perf_counter()
        state, losses = program(objective, rates, copy(good), count)
        finite = bool(losses.finite)  # waits for the device
        seconds += time.perf_counter() - start
        if not finite:
            failures += 1
            if failures > RETRIES:
                raise DivergedError(_diverged(losses, done + count))
            rates = replace(rates, learning_rate=rates.learning_rate / 2)
            continue
        good, failures, done = state, 0, done + count
        terms = {name: float(value) for name, value in losses.terms.items()}
        yield Report(done, steps, float(losses.total), terms, seconds, rates, good)


def _diverged(losses: Losses, step: int) -> str:
    bad = [name for name, value in losses.terms.items() if not np.isfinite(value)]
    where = f"in {', '.join(bad)}" if bad else "in the image"
    return (
        f"the loss is not finite {where} at step {step}, even with the learning rate halved "
        f"{RETRIES} times: lower the learning rate or the weights"
    )
