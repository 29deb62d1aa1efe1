"""Tests of the steps on a Laplacian pyramid and in opponent colors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxstyle.optim.coordinates import (
    OPPONENTS,
    assembled,
    in_opponent_colors,
    on_levels,
    sides_of,
    taken_apart,
)
from jaxstyle.optim.optimizers import adam, sgd


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("sides", "levels", "expected"),
    [
        ((75, 101), 1, [(75, 101)]),
        ((75, 101), 3, [(75, 101), (38, 51), (20, 26)]),
        ((5, 16), 16, [(5, 16), (3, 9), (2, 5)]),
        ((1, 1), 4, [(1, 1)]),
    ],
)
def test_levels_halve_until_they_would_be_too_small(sides, levels, expected):
    assert sides_of(*sides, levels) == expected


def test_a_coarse_level_is_enlarged_by_bilinear_interpolation():
    fine, coarse = np.zeros((6, 8, 3), np.float32), random(4, 5, 3)
    doubled = jax.image.resize(coarse, (8, 10, 3), "linear")
    np.testing.assert_allclose(assembled([fine, coarse]), doubled[:6, :8], atol=1e-6)


def test_taking_apart_is_the_transpose_of_assembling():
    image = random(13, 10, 3)
    levels = [random(*sides, 3, seed=9) for sides in sides_of(13, 10, 3)]
    apart = taken_apart(image, 3)
    assert [x.shape for x in apart] == [x.shape for x in levels]
    inner = sum(np.vdot(a, b) for a, b in zip(apart, levels, strict=True))
    np.testing.assert_allclose(inner, np.vdot(image, assembled(levels)), rtol=1e-4)


def test_rows_added_below_change_nothing_above():
    gradient = random(13, 24, 3)
    padded = np.pad(gradient, [(0, 3), (0, 0), (0, 0)])
    optimizer = on_levels(adam(), 3)
    moved, below = (
        optimizer.update(each, optimizer.init(jnp.zeros_like(each)))[0]
        for each in (gradient, padded)
    )
    np.testing.assert_allclose(below[:13], moved, atol=1e-6)


def trajectory(optimizer, loss, start, rate):
    place, state = start, optimizer.init(start)
    for _ in range(6):
        update, state = optimizer.update(jax.grad(loss)(place), state, place)
        place = jax.tree.map(lambda x, u: x + rate * u, place, update)
    return place


@pytest.mark.parametrize("make", [adam, sgd])
def test_steps_are_those_of_the_levels_themselves(make):
    """The same optimizer takes its steps on the levels c of the image x = A c."""
    goal, weights = random(12, 16, 3), np.linspace(0.5, 1, 16, dtype=np.float32)[None, :, None]

    def loss(image):
        return 1e-2 * jnp.sum(weights * (image - goal) ** 2)

    image = jnp.zeros((12, 16, 3))
    moved = trajectory(on_levels(make(), 3), loss, image, 0.1)
    levels = trajectory(make(), lambda c: loss(assembled(c)), taken_apart(image, 3), 0.1)
    np.testing.assert_allclose(moved, assembled(levels), atol=1e-5)
    assert np.abs(moved).max() > 0.01


def test_large_even_areas_change_in_few_steps():
    goal = np.broadcast_to(np.float32(0.8), (32, 32, 3))

    def after(optimizer):
        image = jnp.zeros((32, 32, 3))
        state = optimizer.init(image)
        for _ in range(5):
            update, state = optimizer.update(image - goal, state, image)
            image = image + 0.02 * update
        return float(jnp.mean(image))

    assert after(on_levels(adam(), 4)) > 3 * after(optax.adam(1.0, 0.9, 0.99))


def test_steps_in_opponent_colors_are_those_of_these_colors_themselves():
    goal = random(6, 7, 3)

    def loss(image):
        return jnp.sum((image - goal) ** 4)

    image = jnp.zeros((6, 7, 3))
    moved = trajectory(in_opponent_colors(adam()), loss, image, 0.1)
    colors = trajectory(adam(), lambda c: loss(c @ OPPONENTS), image, 0.1)
    np.testing.assert_allclose(moved, colors @ OPPONENTS, atol=1e-5)
    assert np.abs(moved).max() > 0.01


def test_noise_in_the_gradient_moves_brightness_more_than_color():
    optimizer = in_opponent_colors(adam())
    start = jnp.zeros((32, 32, 3))
    moved, _ = optimizer.update(random(32, 32, 3), optimizer.init(start))
    of_color = moved - moved.mean(-1, keepdims=True)
    assert jnp.std(of_color) < 0.5 * jnp.std(moved.mean(-1))
