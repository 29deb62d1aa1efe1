"""Every loss against a plain NumPy evaluation written from its formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.losses import LOSSES

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(7, 5, 4))
OTHER = RNG.normal(size=(7, 5, 4))


def loss(name, features, target):
    _, statistics, distance = LOSSES[name]
    return distance(statistics(jnp.asarray(features)), target)


def test_content_is_the_mean_squared_difference():
    expected = sum((a - b) ** 2 for a, b in zip(FEATURES.flat, OTHER.flat, strict=True)) / 140
    np.testing.assert_allclose(loss("content", FEATURES, jnp.asarray(OTHER)), expected, rtol=1e-5)


def test_gram_is_correlations_per_position():
    gram = np.zeros((4, 4))
    for i in range(7):
        for j in range(5):
            gram += np.outer(FEATURES[i, j], FEATURES[i, j]) / 35
    np.testing.assert_allclose(LOSSES["gram"].statistics(jnp.asarray(FEATURES)), gram, rtol=1e-5)
    expected = np.mean((gram - OTHER[:4, 0, :] ** 2) ** 2)
    target = jnp.asarray(OTHER[:4, 0, :] ** 2)
    np.testing.assert_allclose(loss("gram", FEATURES, target), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["content", "gram"])
def test_the_relative_form_does_not_depend_on_the_scale_of_the_network(name):
    plain, relative = LOSSES[name], LOSSES[f"{name}-relative"]
    for scale in (1.0, 30.0):
        target = plain.statistics(jnp.asarray(scale * OTHER))
        found = loss(f"{name}-relative", scale * FEATURES, target)
        expected = loss(name, FEATURES, plain.statistics(jnp.asarray(OTHER)))
        expected /= np.mean(np.asarray(plain.statistics(jnp.asarray(OTHER))) ** 2)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    nothing = jnp.zeros_like(target)
    assert np.isfinite(relative.distance(target, nothing))


def test_gram_does_not_depend_on_places():
    shuffled = RNG.permutation(FEATURES.reshape(35, 4)).reshape(5, 7, 4)
    grams = [LOSSES["gram"].statistics(jnp.asarray(f)) for f in (FEATURES, shuffled)]
    np.testing.assert_allclose(*grams, rtol=1e-5)


def test_gram_of_bfloat16_features_is_summed_in_float32():
    ones = jnp.ones((100, 100, 2), jnp.bfloat16)  # 10,000 ones: bfloat16 stops counting at 256
    gram = LOSSES["gram"].statistics(ones)
    assert gram.dtype == jnp.float32
    np.testing.assert_array_equal(gram, np.ones((2, 2)))


def test_total_variation_of_a_checkerboard_is_two():
    board = np.indices((6, 8)).sum(0) % 2 * np.ones((3, 1, 1))
    np.testing.assert_allclose(loss("total-variation", board.transpose(1, 2, 0), None), 2.0)


def test_total_variation_is_the_mean_of_squared_differences():
    vertical = [(FEATURES[i + 1, j] - FEATURES[i, j]) ** 2 for i in range(6) for j in range(5)]
    horizontal = [(FEATURES[i, j + 1] - FEATURES[i, j]) ** 2 for i in range(7) for j in range(4)]
    expected = np.mean(vertical) + np.mean(horizontal)
    np.testing.assert_allclose(loss("total-variation", FEATURES, None), expected, rtol=1e-5)


def test_total_variation_of_a_single_row_is_finite():
    assert np.isfinite(loss("total-variation", FEATURES[:1], None))


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_equals_float64_finite_differences(float64, name):
    _, statistics, distance = LOSSES[name]
    target = None if name == "total-variation" else statistics(jnp.asarray(OTHER))

    def total(features):
        return distance(statistics(features), target)

    features, direction, step = jnp.asarray(FEATURES), jnp.asarray(OTHER), 1e-6
    numeric = (total(features + step * direction) - total(features - step * direction)) / (2 * step)
    exact = jnp.vdot(jax.grad(total)(features), direction)
    np.testing.assert_allclose(exact, numeric, rtol=1e-7)


@pytest.mark.parametrize("name", ["content", "content-relative", "gram", "gram-relative"])
def test_nothing_is_lost_on_oneself(name):
    target = LOSSES[name].statistics(jnp.asarray(FEATURES))
    assert loss(name, FEATURES, target) == 0
