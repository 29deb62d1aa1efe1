"""Optimizers in other units, and what they take along to the next scale."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxstyle.optim.optimizers import (
    LEARNING_RATES,
    OPTIMIZERS,
    adam,
    in_units,
    lbfgs,
    resize_moments,
    sgd,
)

WHITE = 255.0


@pytest.fixture
def valley(float64):
    """A function of an image in 0..255: curved, coupled, with an uneven scale."""
    rng = np.random.default_rng(0)
    target, curvature = rng.uniform(0, 255, (4, 5, 3)), rng.uniform(0.01, 1, (4, 5, 3))

    def value(y):
        away = y - target
        return jnp.sum(curvature * away**2) + 1e-5 * jnp.sum(away**4) + jnp.sum(away) ** 2 / 500

    return value


def trajectory(value, optimizer, start, rate, steps=12):
    """Every image on the way, as the solver moves it."""

    def step(carry, _):
        image, state = carry
        loss, gradient = jax.value_and_grad(value)(image)
        extra = {"value": loss, "grad": gradient, "value_fn": value}
        direction, state = optimizer.update(gradient, state, image, **extra)
        image = image + rate * direction
        return (image, state), image

    @jax.jit
    def loop(image):
        return jax.lax.scan(step, (image, optimizer.init(image)), None, length=steps)[1]

    return np.asarray(loop(start))


CASES = {
    "adam": (adam(betas=(0.9, 0.99), epsilon=0.1), 10.0),
    "sgd": (sgd(momentum=0.5), 0.05),
    "lbfgs": (lbfgs(history=5), 1.0),
    "lbfgs-zoom": (OPTIMIZERS["lbfgs-zoom"](history=5), 1.0),
}


def test_every_optimizer_is_tried():
    assert set(CASES) == set(OPTIMIZERS) == set(LEARNING_RATES)


@pytest.mark.parametrize("name", CASES)
def test_in_other_units_the_image_moves_as_it_would_in_them(valley, name):
    optimizer, rate = CASES[name]
    start = np.random.default_rng(1).uniform(0, 1, (4, 5, 3))
    theirs = trajectory(valley, optimizer, WHITE * start, rate)
    ours = trajectory(lambda x: valley(WHITE * x), in_units(optimizer, WHITE), start, rate)
    np.testing.assert_allclose(WHITE * ours, theirs, rtol=1e-7, atol=1e-6)
    assert np.abs(theirs[-1] - theirs[0]).max() > 10
    assert valley(theirs[-1]) < 0.7 * valley(theirs[0])


def test_the_units_matter(valley):
    """The same numbers without them are another trajectory: epsilon, rate and first step."""
    start = np.random.default_rng(1).uniform(0, 1, (4, 5, 3))
    theirs = trajectory(valley, adam(epsilon=0.1), WHITE * start, 10.0)
    ours = trajectory(lambda x: valley(WHITE * x), adam(epsilon=0.1), start, 10.0 / WHITE)
    assert not np.allclose(WHITE * ours, theirs, atol=0.01)


def test_white_of_one_changes_nothing():
    optimizer = adam()
    assert in_units(optimizer, 1.0) is optimizer


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_default_rates_move_the_picture_the_same_in_any_units(valley, name):
    """L-BFGS alone has a first step that depends on the units, on purpose: 1 / |g|_1."""
    start = np.random.default_rng(1).uniform(0, 1, (4, 5, 3))
    make, rate = OPTIMIZERS[name], LEARNING_RATES[name]

    def scaled(x):
        return valley(WHITE * x) / WHITE**2

    one = trajectory(scaled, in_units(make(), 1.0), start, rate(1.0), steps=3)
    many = trajectory(scaled, in_units(make(), WHITE), start, rate(WHITE), steps=3)
    np.testing.assert_allclose(one, many, rtol=1e-3)


def moved(optimizer, shape, gradients, state=None):
    direction = image = np.zeros(shape, np.float32)
    state = jax.jit(optimizer.init)(image) if state is None else state
    update = jax.jit(optimizer.update)
    for gradient in gradients:
        constant = np.broadcast_to(np.asarray(gradient, np.float32), shape)
        direction, state = update(constant, state, image)
    return direction, state


resumed = jax.jit(resize_moments)


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_adam_goes_on_as_if_the_picture_had_always_been_larger(white):
    """With gradients that are the same everywhere, which no resizing changes."""
    optimizer = in_units(adam(), white)
    first, then = [(1.0, 2.0, -3.0), (2.0, 0.5, 1.0)], [(-1.0, 1.0, 4.0)]
    _, before = moved(optimizer, (6, 8, 3), first)
    _, fresh = moved(optimizer, (12, 16, 3), [])
    carried = resumed(before, fresh)
    found, after = moved(optimizer, (12, 16, 3), then, carried)
    expected, unbroken = moved(optimizer, (12, 16, 3), first + then)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert optax.tree.get(after, "count") == optax.tree.get(unbroken, "count") == 3
    afresh, _ = moved(optimizer, (12, 16, 3), then)
    assert not np.allclose(found, afresh, rtol=0.1)


def test_second_moments_stay_positive_and_first_ones_follow_the_picture():
    rng = np.random.default_rng(0)
    optimizer = adam()
    spikes = np.where(rng.random((8, 6, 3)) > 0.8, np.float32(30), np.float32(0))
    _, before = moved(optimizer, (8, 6, 3), [spikes])
    _, fresh = moved(optimizer, (16, 12, 3), [])
    carried = resumed(before, fresh)
    nu, mu = optax.tree.get(carried, "nu"), optax.tree.get(carried, "mu")
    assert nu.shape == mu.shape == (16, 12, 3)
    assert nu.min() >= 0
    assert mu.min() < 0  # the cubic one overshoots, as it may
    expected = jax.image.resize(optax.tree.get(before, "mu"), (16, 12, 3), "cubic", antialias=False)
    np.testing.assert_allclose(mu, expected, rtol=1e-5)
    bilinear = jax.image.resize(
        optax.tree.get(before, "nu"), (16, 12, 3), "linear", antialias=False
    )
    np.testing.assert_allclose(nu, bilinear, rtol=1e-5)
    shapes, expected_shapes = (
        jax.tree.map(lambda x: (x.shape, x.dtype), each) for each in (carried, fresh)
    )
    assert shapes == expected_shapes


@pytest.mark.parametrize("name", ["sgd", "lbfgs", "lbfgs-zoom"])
def test_optimizers_without_moments_start_afresh_at_each_scale(valley, name):
    optimizer, _ = CASES[name]
    small, large = np.ones((4, 5, 3)), np.ones((8, 10, 3))

    @jax.jit
    def after_a_step(image):
        value, gradient = jax.value_and_grad(valley)(image)
        extra = {"value": value, "grad": gradient, "value_fn": valley}
        return optimizer.update(gradient, optimizer.init(image), image, **extra)[1]

    before, fresh = after_a_step(small), jax.jit(optimizer.init)(large)
    carried = resumed(before, fresh)
    assert jax.tree.structure(carried) == jax.tree.structure(fresh)
    for one, other in zip(jax.tree.leaves(carried), jax.tree.leaves(fresh), strict=True):
        np.testing.assert_array_equal(one, other)
