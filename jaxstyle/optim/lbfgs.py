"""L-BFGS with a fixed step size, as in Torch and the neural style programs built on it.

Nocedal & Wright, Numerical Optimization (2nd edition), algorithm 7.4 and equation 7.20, with the
rules of torch.optim.LBFGS (line_search_fn=None) and of its Lua ancestor, optim.lbfgs:

    s_k = x_k+1 - x_k        y_k = g_k+1 - g_k           the pair, kept if s_k.y_k > 1e-10
    H0 = (s.y) / (y.y)                                   of the newest pair kept
    update = -H g                                        H by the two-loop recursion
    first update = -g min(1, 1 / |g|_1)                  later ones are not scaled

Each step evaluates the loss once: a line search would need several expensive evaluations, and the
published results were made without one. Unlike in Torch, s is the step that was really taken,
computed from the parameters, so it accounts for transformations chained after it (learning rate,
clipping):

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
"""Pairs with a curvature s.y of at most this are skipped: they would make H large or indefinite."""


class LbfgsState(NamedTuple):
    """The last ``history`` pairs in ring buffers, and the point of the last update.

    Attributes:
      count: number of updates made.
      pairs: number of filled slots of the ring buffers.
      slot: slot of the next pair; once the buffers are full, it holds the oldest pair.
      params, gradient: parameters and gradient of the last update; zeros before the first one.
      steps, changes: ring buffers of s and y: history x the shape of the parameters.
      inverse_curvatures: 1 / s.y of each slot.
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
    """Return L-BFGS without line search, as an Optax transformation.

    Its updates are descent directions, to be added to the parameters. It needs the parameters:
    ``update(gradient, state, params)``. The state takes ``memory_bytes``; if it is donated to
    ``jax.jit``, the ring buffers are written in place.

    Args:
      history: maximum number of pairs. Torch and the neural style programs keep 100.

    Raises:
      ValueError: ``history`` is less than 1, or ``update`` is called without params.
    """
    if history < 1:
        raise ValueError(f"L-BFGS needs a history of at least 1 pair, not {history}")

    def init(params: PyTree) -> LbfgsState:
        number = jnp.result_type(jnp.float32, *jax.tree.leaves(params))

        def zero() -> Array:  # separate buffers, so that the state can be donated
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
    """Return the size of the state: s and y of each pair, the last parameters and gradient.

    Args:
      shape: shape of the parameters.
      history: maximum number of pairs.
      dtype: number format of the parameters.

    Returns:
      Bytes of the arrays, without the scalars and curvatures.

    >>> memory_bytes((512, 512, 3)) / 2**20
    606.0
    """
    return 2 * (history + 1) * math.prod(shape) * jnp.dtype(dtype).itemsize


def _remember(state: LbfgsState, params: PyTree, gradient: PyTree) -> LbfgsState:
    """Add the pair of the last step to the state, unless its curvature is too small."""
    step = jax.tree.map(jnp.subtract, params, state.params)
    change = jax.tree.map(jnp.subtract, gradient, state.gradient)
    curvature = _dot(change, step)
    kept = (state.count > 0) & (curvature > CURVATURE)
    curvature = jnp.where(kept, curvature, 1)  # avoids a division by zero for a skipped pair
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
    """Compute -H g by the two-loop recursion (algorithm 7.4), over the filled slots.

    Forms with matrix products over the whole history were at most a third faster (512 x 512,
    100 pairs, CPU), and lose digits in float32 by cancellation.
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

    # Half precision is for storage only: sums are at least float32.
    q = jax.tree.map(lambda g: -g.astype(jnp.promote_types(g.dtype, jnp.float32)), gradient)
    q, alphas = jax.lax.fori_loop(0, state.pairs, backward, (q, jnp.zeros_like(inverse)))
    return jax.lax.fori_loop(0, state.pairs, forward, _scaled(state.scale, q))


def _row(ring: PyTree, at: Array) -> PyTree:
    return jax.tree.map(lambda r: jax.lax.dynamic_index_in_dim(r, at, keepdims=False), ring)


def _dot(a: PyTree, b: PyTree) -> Array:
    def dot(x: Array, y: Array) -> Array:
        number = jnp.promote_types(x.dtype, jnp.float32)
        # By default accelerators round float32 to fewer bits before multiplying.
        highest = jax.lax.Precision.HIGHEST
        return jnp.vdot(x, y, precision=highest, preferred_element_type=number)

    return _total(dot, a, b)


def _l1_norm(tree: PyTree) -> Array:
    def norm(x: Array) -> Array:
        return jnp.sum(jnp.abs(x), dtype=jnp.promote_types(x.dtype, jnp.float32))

    return _total(norm, tree)


def _total(function: Callable[..., Array], *trees: PyTree) -> Array:
    """Return the sum over all leaves of a scalar function of the leaf."""
    return reduce(jnp.add, jax.tree.leaves(jax.tree.map(function, *trees)), jnp.float32(0))


def _plus(tree: PyTree, factor: Array, direction: PyTree) -> PyTree:
    """Return tree + factor * direction, in the precision of tree."""
    return jax.tree.map(lambda x, d: (x + factor * d).astype(x.dtype), tree, direction)


def _scaled(factor: Array, tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x: (factor * x).astype(x.dtype), tree)
