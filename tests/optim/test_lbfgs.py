"""L-BFGS against Torch's (recorded, and run where it is installed) and against dense matrices.

Tolerances: over 80 steps in float64, points agree to 1e-9 of the largest coordinate (2e-11 was
measured) and losses to nine digits. In float32 every step amplifies what was rounded before: over
20 steps 1e-4 (4e-5 was measured, on the quadratic, where Torch in float32 is 2e-5 from Torch in
float64, as is this) and three digits.
"""

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxstyle.optim.lbfgs import lbfgs, memory_bytes
from tests.optim.record_lbfgs import PROBLEMS, RECORDED, torch_run

POINTS = {"float64": 1e-9, "float32": 1e-4}
LOSSES = {"float64": 1e-9, "float32": 1e-3}
HISTORY_FIELDS = ("pairs", "slot", "steps", "changes", "inverse_curvatures", "scale")


@functools.cache
def run(name, dtype, steps):
    """Losses before each step, and the points after it."""
    problem = PROBLEMS[name]
    constants = [jnp.asarray(array, dtype) for array in problem.constants]
    optimizer = optax.chain(lbfgs(problem.history), optax.scale(problem.rate))

    def step(carry, _):
        x, state = carry
        loss, gradient = jax.value_and_grad(problem.loss)(x, *constants)
        updates, state = optimizer.update(gradient, state, x)
        x = x + updates
        return (x, state), (loss, x)

    @jax.jit
    def loop(x):
        return jax.lax.scan(step, (x, optimizer.init(x)), None, length=steps)[1]

    losses, points = loop(jnp.asarray(problem.start, dtype))
    assert losses.dtype == points.dtype == dtype
    return np.asarray(losses), np.asarray(points)


def assert_same(found, expected, dtype):
    (losses, points), (expected_losses, expected_points) = found, expected
    np.testing.assert_allclose(
        losses, expected_losses, rtol=LOSSES[dtype], atol=1e-6 * LOSSES[dtype] * losses[0]
    )
    atol = POINTS[dtype] * np.abs(expected_points).max()
    np.testing.assert_allclose(points, expected_points, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_losses_and_points_are_those_recorded_from_torch(float64, name, dtype):
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[f"{name} {dtype}"]
    losses, points = run(name, dtype, len(recorded["losses"]))
    ends = points.reshape(len(points), -1)[[0, -1]]
    expected = np.array(recorded["losses"]), np.array([recorded["first"], recorded["last"]])
    assert_same((losses, ends), expected, dtype)


@pytest.mark.parametrize("name", PROBLEMS)
def test_losses_and_points_are_those_of_torch(float64, name):
    pytest.importorskip("torch")
    problem = PROBLEMS[name]
    for dtype, steps in (("float64", problem.steps), ("float32", 20)):
        assert_same(run(name, dtype, steps), torch_run(problem, dtype, steps), dtype)


@functools.cache
def compiled(history=3):
    """L-BFGS with its functions compiled: one program for all vectors of one size."""
    optimizer = lbfgs(history)
    return optax.GradientTransformation(jax.jit(optimizer.init), jax.jit(optimizer.update))


def updated(optimizer, points, gradients) -> tuple[Any, Any]:
    """The last update and state after a given path."""
    state = optimizer.init(points[0])
    for x, g in zip(points, gradients, strict=True):
        updates, state = optimizer.update(g, state, x)
    return updates, state


def bent_path(count, seed=1):
    """Points and the gradients of a random convex quadratic there."""
    rng = np.random.default_rng(seed)
    root, points = rng.normal(size=(6, 6)), rng.normal(size=(count, 6))
    return points, points @ (root @ root.T + np.eye(6))


def dense_direction(points, gradients, history):
    """-H g with H in full: Nocedal & Wright, equation 7.16."""
    s, y = np.diff(points, axis=0)[-history:], np.diff(gradients, axis=0)[-history:]
    identity = np.eye(points.shape[1])
    matrix = identity * (s[-1] @ y[-1]) / (y[-1] @ y[-1])
    for step, change in zip(s, y, strict=True):
        rho = 1 / (step @ change)
        v = identity - rho * np.outer(change, step)
        matrix = v.T @ matrix @ v + rho * np.outer(step, step)
    return -matrix @ gradients[-1]


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 11])
def test_the_direction_is_that_of_the_dense_matrix_of_the_newest_pairs(float64, count):
    points, gradients = bent_path(count)
    updates, state = updated(compiled(3), points, gradients)
    expected = dense_direction(points, gradients, 3)
    np.testing.assert_allclose(updates, expected, rtol=1e-9)
    assert (state.pairs, state.slot) == (min(count - 1, 3), (count - 1) % 3)
    steps = np.diff(points, axis=0)
    for pair in range(max(0, count - 4), count - 1):
        np.testing.assert_array_equal(state.steps[pair % 3], steps[pair])


@pytest.mark.parametrize("pairs", [2, 7])  # a ring partly filled, and a full one
@pytest.mark.parametrize("bend", [-1.0, 0.0, 1e-12, np.nan])
def test_a_pair_that_bends_the_wrong_way_leaves_the_history_as_it_was(float64, pairs, bend):
    points, gradients = bent_path(pairs + 1)
    optimizer = compiled(3)
    _, before = updated(optimizer, points, gradients)
    step = np.random.default_rng(0).normal(size=6)
    bad = gradients[-1] + bend * step / np.vdot(step, step)  # y.s is bend
    after: Any = optimizer.update(bad, before, points[-1] + step)[1]
    for name in HISTORY_FIELDS:
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    np.testing.assert_array_equal(after.params, points[-1] + step)  # the next starts from here
    np.testing.assert_array_equal(after.gradient, bad)


def test_a_pair_that_bends_enough_is_kept(float64):
    start, across = np.zeros(6), np.eye(6)
    for bend, pairs in ((1.1e-10, 1), (0.9e-10, 0)):
        gradients = [across[1], across[1] + bend * across[0]]
        _, state = updated(compiled(3), [start, across[0]], gradients)
        assert state.pairs == pairs


@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])
def test_the_first_step_is_at_most_one_in_all_and_the_next_is_not_scaled(size):
    gradient = size * np.array([3, -4, 0, 0, 0, 0], np.float32)
    points = np.ones((2, 6), np.float32)
    first, _ = updated(compiled(3), points[:1], [gradient])
    np.testing.assert_allclose(first, -gradient * min(1, 1 / (7 * size)), rtol=1e-6)
    second, _ = updated(compiled(3), points, [gradient, gradient])  # its pair is skipped
    np.testing.assert_array_equal(second, -gradient)


def test_no_gradient_is_no_step():
    x = np.ones(6, np.float32)
    with jax.debug_nans(True), jax.debug_infs(True):
        updates, state = updated(compiled(3), [x, x], [0 * x, 0 * x])
    np.testing.assert_array_equal(updates, 0 * x)
    assert state.pairs == 0


def test_empty_slots_are_not_visited(float64):
    points, gradients = bent_path(3)
    optimizer = compiled(3)
    _, state = updated(optimizer, points[:2], gradients[:2])
    expected, _ = optimizer.update(gradients[2], state, points[2])
    rings = ("steps", "changes", "inverse_curvatures")
    empty = {name: np.array(getattr(state, name)) for name in rings}
    for ring in empty.values():
        ring[2:] = np.nan  # the one there is and the one to be written are the first two
    found, _ = optimizer.update(gradients[2], state._replace(**empty), points[2])
    np.testing.assert_array_equal(found, expected)


def test_a_batch_is_as_each_alone(float64):
    paths = [bent_path(6, seed) for seed in range(3)]
    points, gradients = (np.stack(arrays) for arrays in zip(*paths, strict=True))
    gradients[1, 2] *= -9  # one of them skips pairs the others keep
    optimizer = compiled(3)
    batch = optax.GradientTransformation(
        *(jax.jit(jax.vmap(function)) for function in (optimizer.init, optimizer.update))
    )
    updates, state = updated(batch, points.swapaxes(0, 1), gradients.swapaxes(0, 1))
    assert len(set(state.slot.tolist())) > 1
    state = {name: np.asarray(getattr(state, name)) for name in HISTORY_FIELDS}
    for index in range(3):
        alone, alone_state = updated(optimizer, points[index], gradients[index])
        np.testing.assert_allclose(np.asarray(updates)[index], alone, rtol=1e-12)
        for name, values in state.items():
            np.testing.assert_allclose(values[index], getattr(alone_state, name), rtol=1e-12)


def test_a_tree_of_parameters_is_as_one_long_vector(float64):
    points, gradients = bent_path(6)

    def tree(x):
        return {"a": x[:1], "b": (x[1:3], x[3:].reshape(3, 1))}

    updates, _ = updated(compiled(3), [tree(x) for x in points], [tree(g) for g in gradients])
    expected = tree(np.asarray(updated(compiled(3), points, gradients)[0]))
    assert jax.tree.structure(updates) == jax.tree.structure(expected)
    jax.tree.map(lambda u, e: np.testing.assert_allclose(u, e, rtol=1e-12), updates, expected)


def test_the_step_remembered_is_the_one_taken_after_rates_and_clipping():
    matrix = np.diag(np.linspace(1, 3, 6, dtype=np.float32)) + np.float32(0.1)
    limit = 0.03
    optimizer = optax.chain(lbfgs(), optax.scale(0.8), optax.clip(limit))

    @jax.jit
    def step(x, state):
        updates, state = optimizer.update(matrix @ (x - 2), state, x)
        return jnp.clip(x + updates, -1, 1), state

    x = np.linspace(-1, 0.96, 6, dtype=np.float32)
    state: Any = jax.jit(optimizer.init)(x)
    points = [x]
    for _ in range(8):
        x, state = step(x, state)
        points.append(x)
    steps = np.diff(np.stack(points), axis=0)
    assert np.abs(steps).max() == pytest.approx(limit, rel=1e-5)
    assert (np.abs(steps) == 0).any()  # held at the border
    assert state[0].pairs == 7
    np.testing.assert_array_equal(np.asarray(state[0].steps)[:7], steps[:7])


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_dtypes_are_kept(float64, dtype):
    points, gradients = (x.astype(jnp.dtype(dtype)) for x in bent_path(4))
    updates, state = updated(compiled(3), points, gradients)
    assert updates.dtype == state.steps.dtype == state.changes.dtype == points.dtype
    assert state.scale.dtype == state.inverse_curvatures.dtype == jnp.promote_types(dtype, "f4")
    assert np.isfinite(np.asarray(updates, "float32")).all()
    before = jax.tree.leaves(jax.eval_shape(lbfgs(3).init, points[0]))
    after = jax.tree.leaves(state)
    assert [(x.dtype, x.weak_type) for x in after] == [(x.dtype, x.weak_type) for x in before]


def test_products_of_bfloat16_are_summed_in_float32():
    ones = np.ones((3, 10_000))  # bfloat16 stops counting at 256
    points = jnp.asarray(ones * [[1], [2], [4]], jnp.bfloat16)
    optimizer = lbfgs(2)
    state: Any = optimizer.init(points[0])
    for x in points:  # one operation at a time: fused ones may keep digits they should not have
        state = optimizer.update(x, state, x)[1]
    np.testing.assert_allclose(state.inverse_curvatures, [1 / 10_000, 1 / 40_000], rtol=1e-6)


def descend(optimizer, x, state):
    gradient = jnp.sin(x)
    updates, state = optimizer.update(gradient, state, x)
    return x + updates, state


def one_step(optimizer):
    return lambda x, state: descend(optimizer, x, state)


def many_steps(optimizer):
    return lambda x, state: jax.lax.fori_loop(
        0, 10, lambda _, carry: descend(optimizer, *carry), (x, state)
    )


def batch_of_one_step(optimizer):
    return jax.vmap(one_step(optimizer))


@pytest.mark.parametrize("program", [one_step, many_steps, batch_of_one_step])
def test_the_history_is_written_in_place(program):
    shape, history = (64, 48, 3), 100
    batch = (2,) if program is batch_of_one_step else ()
    optimizer = lbfgs(history)
    x = jnp.zeros((*batch, *shape))
    state: Any = (jax.vmap(optimizer.init) if batch else optimizer.init)(x)
    compiled = jax.jit(program(optimizer), donate_argnums=(0, 1)).lower(x, state).compile()
    memory: Any = compiled.memory_analysis()
    assert memory.alias_size_in_bytes >= memory_bytes(x.shape, history)
    assert memory.temp_size_in_bytes < 8 * x.nbytes
    compiled(x, state)
    assert state.steps.is_deleted() and state.changes.is_deleted()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_memory_bytes_are_those_of_the_state(dtype):
    state: Any = lbfgs(7).init(jnp.zeros((6, 5, 3), dtype))
    arrays = (state.params, state.gradient, state.steps, state.changes)
    assert memory_bytes((6, 5, 3), 7, dtype) == sum(array.nbytes for array in arrays)


def test_errors_are_one_line():
    with pytest.raises(ValueError, match=r"^L-BFGS needs a history of at least 1 pair, not 0$"):
        lbfgs(0)
    x = jnp.ones(3)
    with pytest.raises(ValueError, match=r"^L-BFGS needs the parameters: .*$"):
        lbfgs().update(x, lbfgs().init(x))
