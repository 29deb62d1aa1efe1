"""Many pictures in one program: the step, mapped over them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from jaxstyle import solve
from jaxstyle.objective import Objective
from jaxstyle.program import in_a_loop

Steps = Callable[[Objective, solve.Rates, solve.State, int], tuple[solve.State, solve.Losses]]
"""Takes so many steps, consuming the state or a part of it: as ``solve.Program`` does."""


def objectives(objective: Objective, count: int) -> Objective:
    """``count`` times the same: the targets have a leading axis, the network is shared."""
    terms = {
        name: replace(term, targets=jax.tree.map(partial(repeated, count=count), term.targets))
        for name, term in objective.terms.items()
    }
    return replace(objective, terms=terms)


def repeated(leaf: Array, count: int) -> Array:
    """An array ``count`` times, along a new first axis."""
    return jnp.stack([leaf] * count)


def axes(objective: Objective) -> PyTree:
    """What of a batched objective each picture has its own of, as ``jax.vmap`` is told."""
    terms = {
        name: replace(term, weight=None, targets=0, shares=None)
        for name, term in objective.terms.items()
    }
    return replace(objective, network=None, terms=terms, white=None)


def init(
    images: Float[Array, "n h w 3"], optimizer: optax.GradientTransformationExtraArgs
) -> solve.State:
    """``solve.init`` of every image; compiled, so that each leaf is a buffer of its own."""
    return jax.jit(jax.vmap(partial(solve.init, optimizer=optimizer)))(images)


def compile_program(
    objective: Objective,
    rates: solve.Rates,
    state: solve.State,
    optimizer: optax.GradientTransformationExtraArgs,
) -> Steps:
    """``solve.compile_program`` for a batched objective; it consumes all of the state."""
    one = partial(solve.step, optimizer=optimizer)
    step = jax.vmap(one, in_axes=(axes(objective), None, 0))

    def loop(objective, rates, state, count):
        def again(_, before):
            return step(objective, rates, before[0])

        return jax.lax.fori_loop(1, count, again, step(objective, rates, state))

    if in_a_loop():
        many = jax.jit(loop, donate_argnums=2).lower(objective, rates, state, jnp.int32(1))
        many = many.compile()
        return lambda objective, rates, state, count: many(
            objective, rates, state, jnp.int32(count)
        )
    compiled = jax.jit(step, donate_argnums=2).lower(objective, rates, state).compile()

    def from_python(objective, rates, state, count):
        for _ in range(count - 1):
            state, _ = compiled(objective, rates, state)
        return compiled(objective, rates, state)

    return from_python
