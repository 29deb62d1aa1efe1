"""One step of the solver: the image down the gradient of the objective.

    x <- clip(x + rate * direction(grad L(x)), low, high)

Pure functions of a state; ``jaxstyle.optim.solve`` takes many of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxstyle.losses.objective import Objective
from jaxstyle.losses.targets import cropped


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Hyperparameters:
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
    def of(cls, learning_rate: float, **others: float) -> "Hyperparameters":
        """Hyperparameters as arrays: new numbers never recompile."""
        values = {"average_decay": 0.0, "decay": 1.0, "low": 0.0, "high": 1.0} | others
        return cls(jnp.float32(learning_rate), **{k: jnp.float32(v) for k, v in values.items()})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """image: height x width x 3. average: of the iterates. step: how many were taken.

    best, best_total: of the images whose loss is known, the one where it was least. sides: height
    and width of the picture, where the arrays are filled up with more.
    """

    image: PyTree
    optimizer: PyTree
    average: PyTree
    step: PyTree
    best: PyTree
    best_total: PyTree
    sides: tuple[int, int] | None = field(default=None, metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Losses:
    """total and its weighted terms, of the image before the step; finite: loss and new image."""

    total: PyTree
    terms: PyTree
    finite: PyTree


class Evaluated(NamedTuple):
    """The loss of an image, its weighted terms, and its gradient."""

    total: PyTree
    terms: PyTree
    gradient: PyTree


def init(image: Float[Array, "h w 3"], optimizer: optax.GradientTransformationExtraArgs) -> State:
    """The state before the first step."""
    image = jnp.asarray(image, jnp.promote_types(image.dtype, jnp.float32))
    least = jnp.full((), jnp.inf, image.dtype)
    return State(image, memory_for(image, optimizer), image, jnp.int32(0), image, least)


@jax.jit(static_argnames="optimizer")
def memory_for(
    image: Float[Array, "h w 3"], optimizer: optax.GradientTransformationExtraArgs
) -> PyTree:
    """An optimizer's state before its first step, each array in a buffer of its own: they are
    donated, and Optax' own L-BFGS has the same array in several places."""
    return optimizer.init(jnp.copy(image))


def step(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    *,
    optimizer: optax.GradientTransformationExtraArgs,
) -> tuple[State, Losses]:
    """One step of the image down the gradient of the objective, kept between low and high."""

    def scored(image: Array) -> tuple[Array, dict[str, Array]]:
        return objective(cropped(image, state.sides))

    (total, terms), gradient = jax.value_and_grad(scored, has_aux=True)(state.image)
    found = Evaluated(total, terms, gradient)
    return apply_update(rates, state, found, optimizer, lambda image: scored(image)[0])


def apply_update(
    rates: Hyperparameters,
    state: State,
    found: Evaluated,
    optimizer: optax.GradientTransformationExtraArgs,
    value_of: Callable[[Array], Array] | None = None,
) -> tuple[State, Losses]:
    """The rest of a step, once loss and gradient are known.

    ``value_of`` gives the loss of another image, which optimizers with a line search ask for.
    """
    total, terms, gradient = found
    direction, optimizer_state = optimizer.update(
        gradient, state.optimizer, state.image, value=total, grad=gradient, value_fn=value_of
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
        sides=state.sides,
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
    return jnp.clip(cropped(state.average, state.sides), 0.0, 1.0)


def best_picture(state: State) -> Float[Array, "h w 3"]:
    """The image of least loss, within [0, 1]."""
    return jnp.clip(cropped(state.best, state.sides), 0.0, 1.0)
