"""L-BFGS with a fixed step, as the neural style systems of the Torch family use it.

Nocedal & Wright, Numerical Optimization (2nd edition), algorithm 7.4 and equation 7.20, with the
rules of torch.optim.LBFGS (line_search_fn=None) and of its Lua ancestor, optim.lbfgs:

    s_k = x_k+1 - x_k        y_k = g_k+1 - g_k           the pair, kept if s_k.y_k > 1e-10
    H0 = (s.y) / (y.y)                                   of the newest pair kept
    update = -H g                                        H by the two-loop recursion
    first update = -g min(1, 1 / |g|_1)                  later ones are not scaled

One evaluation of the loss a step: a line search would take several of a loss this dear, and the
published results were made without. Unlike Torch, s is the step really taken, read off the
parameters, so whatever is chained after it (a rate, clipping) is accounted for:

    optax.chain(lbfgs(), optax.scale(rate))
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

CURVATURE = 1e-10
"""Pairs that bend no more than this are skipped: they would make H large or indefinite."""


class LbfgsState(NamedTuple):
    """The last ``history`` pairs, in a ring, and the point from which the next one is measured.

    count: updates made.
    pairs: how many of the ring's slots are filled.
    slot: where the next pair goes; once the ring is full, that is the oldest.
    params, gradient: of the update before; zeros if there was none.
    steps, changes: s and y, each history x the shape of the parameters.
    inverse_curvatures: 1 / s.y, one per slot.
    scale: H0.
    """

    count: Array
    pairs: Array
    slot: Array
    params: PyTree
    gradient: PyTree
    steps: PyTree
    changes: PyTree
    inverse_curvatures: Array
    scale: Array


def lbfgs(history: int = 100) -> optax.GradientTransformationExtraArgs:
    """L-BFGS without line search; its updates point downhill, to be added to the parameters.

    Needs the parameters: ``update(gradient, state, params)``. The state holds ``memory_bytes`` for
    them; donate it to ``jax.jit`` and the ring is written in place.

    Args:
      history: most pairs kept. Torch and the neural style systems keep 100.

    Raises:
      ValueError: if history is less than 1, or an update is asked for without params.
    """
    if history < 1:
        raise ValueError(f"L-BFGS needs a history of at least 1 pair, not {history}")

    def init(params: PyTree) -> LbfgsState:
        number = jnp.result_type(jnp.float32, *jax.tree.leaves(params))

        def zero() -> Array:  # each time a buffer of its own, so that the state can be donated
            return jnp.zeros((), jnp.int32)

        def ring() -> PyTree:
            return jax.tree.map(lambda x: jnp.zeros((history, *x.shape), x.dtype), params)

        return LbfgsState(
            count=zero(),
            pairs=zero(),
            slot=zero(),
            params=jax.tree.map(jnp.zeros_like, params),
            gradient=jax.tree.map(jnp.zeros_like, params),
            steps=ring(),
            changes=ring(),
            inverse_curvatures=jnp.zeros(history, number),
            scale=jnp.ones((), number),
        )

    def update(
        updates: PyTree, state: PyTree, params: PyTree = None, **extra_args: object
    ) -> tuple[PyTree, LbfgsState]:
        if params is None:
            raise ValueError("L-BFGS needs the parameters: call update(gradient, state, params)")
        first = state.count == 0
        state = _remember(state, params, updates)
        length = jnp.where(first, 1 / jnp.maximum(1, _l1_norm(updates)), 1)
        direction = _scaled(length, _direction(state, updates))
        return jax.tree.map(lambda d, g: d.astype(g.dtype), direction, updates), state

    return optax.GradientTransformationExtraArgs(init, update)


def memory_bytes(
    shape: Sequence[int], history: int = 100, dtype: jax.typing.DTypeLike = "float32"
) -> int:
    """Bytes of the arrays in the state: s and y of each pair, the last parameters and gradient.

    >>> memory_bytes((512, 512, 3)) / 2**20
    606.0
    """
    return 2 * (history + 1) * math.prod(shape) * jnp.dtype(dtype).itemsize


def _remember(state: LbfgsState, params: PyTree, gradient: PyTree) -> LbfgsState:
    """The state with the pair that led here, unless it bends the wrong way."""
    step = jax.tree.map(jnp.subtract, params, state.params)
    change = jax.tree.map(jnp.subtract, gradient, state.gradient)
    curvature = _dot(change, step)
    kept = (state.count > 0) & (curvature > CURVATURE)
    curvature = jnp.where(kept, curvature, 1)  # the other branch must not divide by zero
    square = jnp.where(kept, _dot(change, change), 1)
    history = state.inverse_curvatures.shape[0]

    def write(ring: PyTree, value: PyTree) -> PyTree:
        new = jax.tree.map(lambda v, old: jnp.where(kept, v, old), value, _row(ring, state.slot))
        return jax.tree.map(
            lambda r, v: jax.lax.dynamic_update_index_in_dim(r, v, state.slot, 0), ring, new
        )

    return LbfgsState(
        count=state.count + 1,
        pairs=jnp.minimum(state.pairs + kept, history),
        slot=jnp.where(kept, (state.slot + 1) % history, state.slot),
        params=params,
        gradient=gradient,
        steps=write(state.steps, step),
        changes=write(state.changes, change),
        inverse_curvatures=write(state.inverse_curvatures, 1 / curvature),
        scale=jnp.where(kept, curvature / square, state.scale),
    )


def _direction(state: LbfgsState, gradient: PyTree) -> PyTree:
    """-H g by the two-loop recursion (algorithm 7.4): two passes over the pairs there are.

    Forms made of matrix products with the whole history were a third quicker at best (512 x 512,
    100 pairs, CPU), and cancel digits in float32.
    """
    inverse, history = state.inverse_curvatures, state.inverse_curvatures.shape[0]

    def backward(age: Array, carry: tuple[PyTree, Array]) -> tuple[PyTree, Array]:
        q, alphas = carry
        at = (state.slot - 1 - age) % history
        alpha = inverse[at] * _dot(_row(state.steps, at), q)
        return _plus(q, -alpha, _row(state.changes, at)), alphas.at[at].set(alpha)

    def forward(index: Array, r: PyTree) -> PyTree:
        at = (state.slot - state.pairs + index) % history
        beta = inverse[at] * _dot(_row(state.changes, at), r)
        return _plus(r, alphas[at] - beta, _row(state.steps, at))

    # Half precision is for storage: what is summed here is at least float32.
    q = jax.tree.map(lambda g: -g.astype(jnp.promote_types(g.dtype, jnp.float32)), gradient)
    q, alphas = jax.lax.fori_loop(0, state.pairs, backward, (q, jnp.zeros_like(inverse)))
    return jax.lax.fori_loop(0, state.pairs, forward, _scaled(state.scale, q))


def _row(ring: PyTree, at: Array) -> PyTree:
    return jax.tree.map(lambda r: jax.lax.dynamic_index_in_dim(r, at, keepdims=False), ring)


def _dot(a: PyTree, b: PyTree) -> Array:
    def dot(x: Array, y: Array) -> Array:
        number = jnp.promote_types(x.dtype, jnp.float32)
        # Accelerators would round float32 to fewer bits before multiplying.
        highest = jax.lax.Precision.HIGHEST
        return jnp.vdot(x, y, precision=highest, preferred_element_type=number)

    return _total(dot, a, b)


def _l1_norm(tree: PyTree) -> Array:
    def norm(x: Array) -> Array:
        return jnp.sum(jnp.abs(x), dtype=jnp.promote_types(x.dtype, jnp.float32))

    return _total(norm, tree)


def _total(function: Callable[..., Array], *trees: PyTree) -> Array:
    """The sum over leaves of a scalar function of each."""
    return reduce(jnp.add, jax.tree.leaves(jax.tree.map(function, *trees)), jnp.float32(0))


def _plus(tree: PyTree, factor: Array, direction: PyTree) -> PyTree:
    """tree + factor direction, in the precision of tree."""
    return jax.tree.map(lambda x, d: (x + factor * d).astype(x.dtype), tree, direction)


def _scaled(factor: Array, tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x: (factor * x).astype(x.dtype), tree)
