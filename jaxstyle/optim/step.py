"""One optimization step of the image, as pure functions of a state.

    x <- clip(x + rate * update(grad L(x)), low, high)

where ``update`` is any Optax transformation; with a rate of 1 it is applied unchanged.
``jaxstyle.optim.solve`` takes many steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxstyle.errors import SettingError
from jaxstyle.machine.programs import jit

RISE = 0.25
"""Share of the steps in which a factor of a cosine schedule rises from 0 to 1."""

LEAST = 0.1
"""Share of the learning rate at which a cosine schedule ends."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Hyperparameters:
    """Numbers of a step that are traced, so that a new value does not recompile it.

    Attributes:
      learning_rate: factor of the optimizer's updates. 1 leaves an Optax transformation as it is;
        for the named optimizers, whose own learning rate is 1, it is the learning rate.
      average_decay: decay of the moving average of the iterates; 0 keeps only the last one.
      decay: factor of ``learning_rate`` from one step to the next.
      cosine_steps: number of steps in which the rate rises and falls again: see ``rate_at``; 0
        leaves it as it is.
      low, high: bounds that pixels are clipped to after each step.
    """

    learning_rate: PyTree = 1.0
    average_decay: PyTree = 0.0
    decay: PyTree = 1.0
    cosine_steps: PyTree = 0.0
    low: PyTree = 0.0
    high: PyTree = 1.0

    @classmethod
    def of(cls, learning_rate: float = 1.0, **others: float) -> "Hyperparameters":
        """Return hyperparameters as float32 arrays."""
        plain = cls(learning_rate, **others)
        return jax.tree.map(jnp.float32, plain)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """The state of an optimization between two steps.

    Attributes:
      image: height x width x 3.
      optimizer: state of the Optax transformation.
      average: moving average of the iterates, of the image's shape.
      step: number of steps taken.
      best, best_total: the image of least loss so far, and that loss.
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
    """Losses of the image before a step.

    Attributes:
      total: sum of the terms.
      terms: weighted losses by name.
      finite: whether the total and the new image are finite.
    """

    total: PyTree
    terms: PyTree
    finite: PyTree


class Evaluated(NamedTuple):
    """The loss of an image, its weighted terms, and its gradient."""

    total: PyTree
    terms: PyTree
    gradient: PyTree


def init(image: Float[Array, "h w 3"], optimizer: optax.GradientTransformation) -> State:
    """Return the state before the first step."""
    image = jnp.asarray(image, jnp.promote_types(image.dtype, jnp.float32))
    least = jnp.full((), jnp.inf, image.dtype)
    return State(image, init_optimizer_state(image, optimizer), image, jnp.int32(0), image, least)


@jit(static_argnames="optimizer")
def init_optimizer_state(
    image: Float[Array, "h w 3"], optimizer: optax.GradientTransformation
) -> PyTree:
    """Return an optimizer's initial state, each array in a buffer of its own.

    Steps donate these buffers, and the state of Optax's L-BFGS has the same array several times.
    """
    return strongly_typed(optimizer.init(jnp.copy(image)))


def strongly_typed(tree: PyTree) -> PyTree:
    """Return arrays that are not weakly typed: a step's state has the types of the one before.

    Otherwise the second step of optimizers such as Optax's L-BFGS would compile again.
    """

    def strong(x: Array) -> Array:
        extended = jnp.issubdtype(jax.typeof(x).dtype, jax.dtypes.extended)  # PRNG keys
        return x if extended else jax.lax.convert_element_type(x, jax.typeof(x).dtype)

    return jax.tree.map(strong, tree)


def step(
    objective: Callable[..., Any],
    rates: Hyperparameters,
    state: State,
    *,
    optimizer: optax.GradientTransformation,
) -> tuple[State, Losses]:
    """Take one step: evaluate the objective, update the image, clip it to the bounds.

    Args:
      objective: image -> (total loss, weighted terms).
      rates: hyperparameters; ``Hyperparameters.of()`` applies the optimizer unchanged.
      state: the state before.
      optimizer: any Optax transformation; ones with a line search are given ``value_fn``.

    Returns:
      The state after the step, and the losses of the image before it.
    """
    (total, terms), gradient = jax.value_and_grad(objective, has_aux=True)(state.image)
    found = Evaluated(total, terms, gradient)
    return apply_update(rates, state, found, optimizer, lambda image: objective(image)[0])


def apply_update(
    rates: Hyperparameters,
    state: State,
    found: Evaluated,
    optimizer: optax.GradientTransformation,
    value_of: Callable[[Array], Array] | None = None,
) -> tuple[State, Losses]:
    """Return the state and losses after a step whose loss and gradient are known.

    Args:
      found: loss, terms and gradient of the state's image.
      value_of: image -> total loss, needed by optimizers with a line search.
    """
    total, terms, gradient = found
    updates, optimizer_state = optax.with_extra_args_support(optimizer).update(
        gradient,
        state.optimizer,
        state.image,
        value=total,
        grad=gradient,
        value_fn=value_of or _no_value_of_other_images,
    )
    rate: Any = rate_at(rates, state.step)  # for Optax, updates are any tree
    image = jnp.clip(state.image + rate * updates, rates.low, rates.high)
    image = image.astype(state.image.dtype)
    better = total < state.best_total
    after = State(
        image,
        strongly_typed(optimizer_state),
        averaged(state, image, rates.average_decay),
        state.step + 1,
        best=jnp.where(better, state.image, state.best),
        best_total=jnp.where(better, total, state.best_total).astype(state.best_total.dtype),
    )
    finite = jnp.isfinite(total) & jnp.all(jnp.isfinite(image))
    return after, Losses(total, terms, finite)


def rate_at(rates: Hyperparameters, step: Array) -> Float[Array, ""]:
    """Return the factor of the updates at a step.

    With a number of cosine steps it is multiplied by half a cosine wave, which falls from 1 to
    ``LEAST``, and by a factor that rises linearly to 1 over the first of them (``RISE``). Adam's
    first updates are as large as any, however small the gradient: in full they would wipe out the
    photo.
    """
    rate = rates.learning_rate * rates.decay**step
    rise = jnp.minimum((step + 1) / jnp.maximum(rates.cosine_steps * RISE, 1), 1)
    part = jnp.minimum(step / jnp.maximum(rates.cosine_steps - 1, 1), 1)
    fall = LEAST + (1 - LEAST) * (1 + jnp.cos(jnp.pi * part)) / 2
    return rate * jnp.where(rates.cosine_steps > 0, rise * fall, 1)


def _no_value_of_other_images(image: Array) -> Array:
    raise SettingError("optimizer", "has a line search, which does not go with tiles: --tile off")


def averaged(state: State, image: Float[Array, "h w 3"], decay: Array) -> Float[Array, "h w 3"]:
    """Return the exponential moving average with one more image, corrected for its start as Adam's.

    With V_n = d V_n-1 + (1 - d) x_n and V_-1 = 0, this is A_n = V_n / (1 - d^(n+1)), written as a
    step from A_n-1 to x_n; the first image, x_0, is part of it.
    """
    share = (1 - decay) / (1 - decay ** (state.step + 2))
    return (state.average + share * (image - state.average)).astype(image.dtype)


def result(state: State, best: bool) -> Float[Array, "*n h w 3"]:
    """Return the resulting image, or stack of images, clipped to [0, 1].

    Args:
      state: the state.
      best: return the image of least loss instead of the average of the iterates.
    """
    return jnp.clip(state.best if best else state.average, 0.0, 1.0)
