"""Every loss against a plain NumPy evaluation written from its formula, and what all must obey."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.losses import CONTENT_LOSSES, LOSSES, STYLE_LOSSES, TV_LOSSES

OF_FEATURES = [name for name, loss in LOSSES.items() if loss.kind != "photo"]
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(7, 5, 4))
OTHER = RNG.normal(size=(7, 5, 4)) + 0.5
SMALLER = RNG.normal(size=(3, 4, 4))


def loss_of(name, image, target):
    loss = LOSSES[name]
    return loss.distance(loss.statistics(image), target)


def target_for(name, picture, guide=None):
    """What the loss compares with: of a picture's features, or of those in a region."""
    loss = LOSSES[name]
    if loss.kind == "prior":
        return None
    return loss.target(loss.statistics(*(x for x in (picture, guide) if x is not None)))


graded = jax.jit(jax.value_and_grad(loss_of, argnums=1), static_argnums=0)
target_of = jax.jit(target_for, static_argnums=0)


def score(name, image, picture, size=(1, 1)):
    """The loss of ``image`` against ``picture``; each is features, or the pixels of a prior."""
    return graded(name, image, target_of(name, picture))[0] * LOSSES[name].image_factor(*size)


def gram(features):
    """Sum over positions of the products of channels, term by term."""
    return sum(np.outer(vector, vector) for vector in features.reshape(-1, features.shape[-1]))


def covariance(features):
    flat = features.reshape(-1, features.shape[-1])
    return np.cov(flat.T, bias=True)


def test_losses_by_kind():
    assert "content" in CONTENT_LOSSES
    assert "gram" in STYLE_LOSSES
    assert "total-variation" in TV_LOSSES
    assert sorted((*CONTENT_LOSSES, *STYLE_LOSSES, *TV_LOSSES, "matting-laplacian")) == sorted(
        LOSSES
    )


def test_content_is_the_mean_squared_difference_and_content_sum_the_sum():
    total = sum((a - b) ** 2 for a, b in zip(FEATURES.flat, OTHER.flat, strict=True))
    np.testing.assert_allclose(score("content", FEATURES, OTHER), total / 140, rtol=1e-5)
    np.testing.assert_allclose(score("content-sum", FEATURES, OTHER), total, rtol=1e-5)


def test_gram_is_correlations_per_position():
    expected = np.mean((gram(FEATURES) / 35 - gram(SMALLER) / 12) ** 2)
    np.testing.assert_allclose(score("gram", FEATURES, SMALLER), expected, rtol=1e-5)


def test_gram_size_divides_by_the_channels_too():
    expected = np.mean((gram(FEATURES) / 140 - gram(SMALLER) / 48) ** 2)
    np.testing.assert_allclose(score("gram-size", FEATURES, SMALLER), expected, rtol=1e-5)


def test_gram_sum_is_equation_4_with_the_positions_of_the_image():
    squares = np.sum((gram(FEATURES) - gram(SMALLER)) ** 2)
    expected = squares / (4 * 4**2 * 35**2)
    np.testing.assert_allclose(score("gram-sum", FEATURES, SMALLER), expected, rtol=1e-5)


def test_gram_sum_of_a_large_map_stays_within_float32():
    """A Gram of 10^21 squared is more than float32 holds; divided first, it is not."""
    found = score("gram-sum", np.full((10, 10, 2), 3e9), np.zeros((10, 10, 2)))
    np.testing.assert_allclose(found, (9e18) ** 2 / 4, rtol=1e-5)


def test_gram_keras_divides_by_three_channels_and_the_pixels_of_the_image():
    expected = np.sum((gram(FEATURES) - gram(SMALLER)) ** 2) / (4 * 3**2 * (30 * 20) ** 2)
    found = score("gram-keras", FEATURES, SMALLER, size=(30, 20))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_gram_centered_compares_covariances():
    expected = np.mean((covariance(FEATURES) - covariance(SMALLER)) ** 2)
    np.testing.assert_allclose(score("gram-centered", FEATURES, SMALLER), expected, rtol=1e-5)
    shifted = FEATURES + np.arange(4)
    np.testing.assert_allclose(score("gram-centered", shifted, SMALLER), expected, rtol=1e-4)


def test_mean_std_compares_means_and_standard_deviations():
    means = FEATURES.mean((0, 1)) - SMALLER.mean((0, 1))
    deviations = FEATURES.std((0, 1)) - SMALLER.std((0, 1))
    expected = np.mean(means**2) + np.mean(deviations**2)
    np.testing.assert_allclose(score("mean-std", FEATURES, SMALLER), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["content", "gram"])
def test_the_relative_form_does_not_depend_on_the_scale_of_the_network(name):
    target = np.asarray(LOSSES[name].statistics(jnp.asarray(OTHER)))
    expected = score(name, FEATURES, OTHER) / np.mean(target**2)
    for scale in (1.0, 30.0):
        found = score(f"{name}-relative", scale * FEATURES, scale * OTHER)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.isfinite(score(f"{name}-relative", FEATURES, 0 * OTHER))


@pytest.mark.parametrize("name", CONTENT_LOSSES + STYLE_LOSSES)
def test_nothing_is_lost_on_oneself(name):
    assert score(name, FEATURES, OTHER) > 0.001
    bound = 1e-5 if name == "wasserstein" else 1e-12  # it compares two roots of one matrix
    assert abs(score(name, FEATURES, FEATURES)) <= bound


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_style_does_not_depend_on_places(name):
    shuffled = RNG.permutation(FEATURES.reshape(35, 4)).reshape(7, 5, 4)
    expected = score(name, FEATURES, OTHER)
    np.testing.assert_allclose(score(name, shuffled, OTHER), expected, rtol=1e-4)
    np.testing.assert_allclose(score(name, FEATURES, OTHER[::-1]), expected, rtol=1e-4)


@pytest.mark.parametrize("name", OF_FEATURES)
def test_gradient_equals_float64_finite_differences(float64, name):
    target, step = target_of(name, OTHER), 1e-6
    (ahead, _), (behind, _) = (graded(name, FEATURES + s * step * OTHER, target) for s in (1, -1))
    exact = np.vdot(graded(name, FEATURES, target)[1], OTHER)
    np.testing.assert_allclose(exact, (ahead - behind) / (2 * step), rtol=1e-7)


@pytest.mark.parametrize("name", OF_FEATURES)
def test_float64_is_kept_throughout(float64, name):
    """A change that float32 cannot see moves the value by what the gradient says."""
    target = target_of(name, OTHER)
    for leaf in jax.tree.leaves((target, jax.eval_shape(LOSSES[name].statistics, FEATURES))):
        assert leaf.dtype == jnp.float64
    value, gradient = graded(name, FEATURES, target)
    assert value.dtype == jnp.float64
    moved, _ = graded(name, FEATURES + 1e-10 * OTHER, target)
    np.testing.assert_allclose(moved - value, 1e-10 * np.vdot(gradient, OTHER), rtol=1e-3)


@pytest.mark.parametrize("name", OF_FEATURES)
def test_bfloat16_features_are_summed_in_float32(name):
    """Of 10,000 equal numbers bfloat16 adds up no more than the first few hundred."""
    rng = np.random.default_rng(1)
    image, picture = (jnp.asarray(rng.uniform(0, 2, (100, 100, 2)), jnp.bfloat16) for _ in "12")
    value = jax.jit(lambda image, picture: loss_of(name, image, target_for(name, picture)))
    exact = value(image.astype(jnp.float32), picture.astype(jnp.float32))
    found = value(image, picture)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact, rtol=1e-2, atol=1e-7)


def test_gram_of_bfloat16_ones_is_exact():
    ones = jnp.ones((100, 100, 2), jnp.bfloat16)
    np.testing.assert_array_equal(LOSSES["gram"].statistics(ones), np.ones((2, 2)))


DEGENERATE = {
    "nothing": np.zeros((7, 5, 4)),
    "flat": np.full((7, 5, 4), 1000.1) * [1.0, 0.7, 0.01, 0.3],
    "one position": RNG.uniform(0, 100, (1, 1, 4)),
    "one direction": RNG.uniform(0, 100, (7, 5, 1)) * np.ones(4),
    "one dead channel": RNG.uniform(0, 1, (7, 5, 4)) * [0, 1, 1, 1],
}


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_degenerate_features_have_finite_losses_and_gradients(name):
    targets = {of: target_of(name, features) for of, features in DEGENERATE.items()}
    for (image, features), (of, target) in itertools.product(DEGENERATE.items(), targets.items()):
        value, gradient = graded(name, features, target)
        assert np.isfinite(value), f"{image} against {of}"
        assert np.isfinite(gradient).all(), f"{image} against {of}"


@pytest.mark.parametrize("name", OF_FEATURES)
def test_losses_of_a_batch_are_those_of_its_images(name):
    batch, target = np.stack([FEATURES, OTHER * 2, np.ones((7, 5, 4))]), target_of(name, OTHER)
    together = jax.jit(jax.vmap(lambda image: graded(name, image, target)))(batch)
    for index, image in enumerate(batch):
        for found, expected in zip(together, graded(name, image, target), strict=True):
            np.testing.assert_allclose(found[index], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_a_region_has_the_statistics_of_its_features_alone(name):
    """Where the mean square of the guide is one, as `jaxstyle.guidance.propagate` makes it."""
    guide = np.zeros((7, 5))
    guide[2:5, 1:] = np.sqrt(35 / 12)
    factor = 35 / 12 if name in ("gram-sum", "gram-keras") else 1  # sums over all of the map
    in_region, in_all = (target_of(name, FEATURES, g) for g in (guide, np.ones((7, 5))))
    alone, whole = target_of(name, FEATURES[2:5, 1:]), target_of(name, FEATURES)
    for found, expected in zip(*map(jax.tree.leaves, (in_region, alone)), strict=True):
        np.testing.assert_allclose(found, factor * expected, rtol=1e-4, atol=1e-5)
    for found, expected in zip(*map(jax.tree.leaves, (in_all, whole)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_soft_guide_weighs_positions_by_its_square():
    guide = np.random.default_rng(2).uniform(0, 2, (7, 5))
    flat, weights = FEATURES.reshape(35, 4), (guide**2).reshape(35)
    mean, covariance = np.average(flat, 0, weights), np.cov(flat.T, aweights=weights, ddof=0)
    np.testing.assert_allclose(
        target_of("gram", FEATURES, guide), flat.T * weights @ flat / 35, rtol=1e-5, atol=1e-6
    )
    found = target_of("gram-centered", FEATURES, guide)
    np.testing.assert_allclose(found, covariance, rtol=1e-4, atol=1e-6)
    found = target_of("mean-std", FEATURES, guide)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.std, np.sqrt(np.diag(covariance)), rtol=1e-4)
