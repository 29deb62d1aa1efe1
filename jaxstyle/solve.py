"""The solver: one state, one step, many steps, and what to do when a step goes wrong.

    x <- clip(x + rate * direction(grad L(x)), low, high)

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

PATIENCE = 20
"""Steps over which a run that may stop early looks for an improvement."""


class DivergedError(RuntimeError):
    """The optimization left the finite numbers, and smaller steps did not help."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rates:
    """Traced numbers of a step.

    learning_rate, and decay: its factor from one step to the next. average_decay: of the iterates'
    average; 0 keeps the last one alone. low, high: what the pixels are kept between.
    """

    learning_rate: PyTree
    average_decay: PyTree = 0.0
    decay: PyTree = 1.0
    low: PyTree = 0.0
    high: PyTree = 1.0

    @classmethod
    def of(cls, learning_rate: float, **others: float) -> "Rates":
        """Rates as arrays: new numbers never recompile."""
        values = {"average_decay": 0.0, "decay": 1.0, "low": 0.0, "high": 1.0} | others
        return cls(jnp.float32(learning_rate), **{k: jnp.float32(v) for k, v in values.items()})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """image: height x width x 3. average: of the iterates. step: how many were taken.

    best, best_total: of the images whose loss is known, the one where it was least.
    """

    image: PyTree
    optimizer: PyTree
    average: PyTree
    step: PyTree
    best: PyTree
    best_total: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Losses:
    """total and its weighted terms, of the image before the step; finite: loss and new image."""

    total: PyTree
    terms: PyTree
    finite: PyTree


def init(image: Float[Array, "h w 3"], optimizer: optax.GradientTransformationExtraArgs) -> State:
    """The state before the first step."""
    image = jnp.asarray(image, jnp.promote_types(image.dtype, jnp.float32))
    least = jnp.full((), jnp.inf, image.dtype)
    state = State(image, optimizer.init(image), image, jnp.int32(0), image, least)
    return copy(state)  # one array in two places cannot be donated


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
    """One step of the image down the gradient of the objective, kept between low and high."""
    (total, terms), gradient = jax.value_and_grad(objective, has_aux=True)(state.image)
    direction, optimizer_state = optimizer.update(
        gradient,
        state.optimizer,
        state.image,
        value=total,
        grad=gradient,
        value_fn=lambda image: objective(image)[0],
    )
    rate = rates.learning_rate * rates.decay**state.step
    image = jnp.clip(state.image + rate * direction, rates.low, rates.high)
    image = image.astype(state.image.dtype)
    better = total < state.best_total
    after = State(
        image,
        optimizer_state,
        averaged(state, image, rates.average_decay),
        state.step + 1,
        best=jnp.where(better, state.image, state.best),
        best_total=jnp.where(better, total, state.best_total).astype(state.best_total.dtype),
    )
    finite = jnp.isfinite(total) & jnp.all(jnp.isfinite(image))
    return after, Losses(total, terms, finite)


def averaged(state: State, image: Float[Array, "h w 3"], decay: Array) -> Float[Array, "h w 3"]:
    """The exponential moving average with one more image, corrected for its start as Adam's are.

    With V_n = d V_n-1 + (1 - d) x_n and V_-1 = 0, this is A_n = V_n / (1 - d^(n+1)), written as a
    step from A_n-1 to x_n; the first image, x_0, is part of it.
    """
    share = (1 - decay) / (1 - decay ** (state.step + 2))
    return (state.average + share * (image - state.average)).astype(image.dtype)


def picture(state: State) -> Float[Array, "h w 3"]:
    """The average of the iterates, within [0, 1]."""
    return jnp.clip(state.average, 0.0, 1.0)


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
    best: whether the picture is the one of least loss, and not the average.
    """

    step: int
    steps: int
    total: float
    terms: dict[str, float]
    seconds: float
    rates: Rates
    state: State
    best: bool = False

    @classmethod
    def before(cls, rates: Rates, state: State) -> "Report":
        """The report of no step at all."""
        return cls(0, 0, np.nan, {}, 0.0, rates, state)

    @property
    def image(self) -> Float[np.ndarray, "h w 3"]:
        """The picture reached, on the host."""
        shown = jnp.clip(self.state.best, 0.0, 1.0) if self.best else picture(self.state)
        return np.asarray(shown)


def minimize(
    program: Program,
    objective: Objective,
    rates: Rates,
    state: State,
    steps: int,
    every: int,
    *,
    tolerance: float = 0.0,
    best: bool = False,
) -> Iterator[Report]:
    """Take ``steps`` steps, yielding a report after each ``every`` of them and after the last.

    Where the loss or the image is not finite, the steps since the last report are taken back and
    the learning rate is halved. It ends early once ``PATIENCE`` steps have lessened the loss by a
    smaller share than ``tolerance``. ``best`` is for the reports.

    Raises:
      DivergedError: when halving the rate ``RETRIES`` times in a row does not help.
    """
    good, failures, seconds = state, 0, 0.0
    done, mark, total_at_mark = 0, 0, np.inf
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
        total = float(losses.total)
        yield Report(done, steps, total, terms, seconds, rates, good, best)
        if mark and tolerance and done - mark >= PATIENCE:
            if total >= (1 - tolerance) * total_at_mark:
                return
            mark = 0
        if not mark:
            mark, total_at_mark = done, total


def _diverged(losses: Losses, step: int) -> str:
    bad = [name for name, value in losses.terms.items() if not np.isfinite(value)]
    where = f"in {', '.join(bad)}" if bad else "in the image"
    return (
        f"the loss is not finite {where} at step {step}, even with the learning rate halved "
        f"{RETRIES} times: lower the learning rate or the weights"
    )
