"""Every loss against a plain NumPy evaluation written from its formula, and what all must obey."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.losses import CONTENT_LOSSES, LOSSES, STYLE_LOSSES, TV_LOSSES
from tests.numerics import assert_gradient, assert_trees_close

OF_FEATURES = [name for name, loss in LOSSES.items() if loss.kind not in ("photo", "earlier")]
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


def score(name, image, picture):
    """The loss of the features of an image of 30 x 20 pixels against those of a picture."""
    return graded(name, image, target_of(name, picture))[0] * LOSSES[name].image_factor(30, 20)


def gram(features):
    """Sum over positions of the products of channels, term by term."""
    return sum(np.outer(vector, vector) for vector in features.reshape(-1, features.shape[-1]))


def covariance(features):
    return np.cov(features.reshape(-1, features.shape[-1]).T, bias=True)


def mean_square(a, b):
    return np.mean((a - b) ** 2)


def test_every_loss_is_of_one_kind():
    by_kind = [*CONTENT_LOSSES, *STYLE_LOSSES, *TV_LOSSES, "matting-laplacian", "temporal"]
    assert sorted(by_kind) == sorted(LOSSES)


GRAM_SQUARES = np.sum((gram(FEATURES) - gram(SMALLER)) ** 2)
AXES = (0, 1)
FORMULAS = {
    "content": mean_square(FEATURES, OTHER),
    "content-sum": np.sum((FEATURES - OTHER) ** 2),
    "gram": mean_square(gram(FEATURES) / 35, gram(SMALLER) / 12),
    "gram-size": mean_square(gram(FEATURES) / 140, gram(SMALLER) / 48),
    "gram-sum": GRAM_SQUARES / (4 * 4**2 * 35**2),  # Gatys et al., equation 4
    "gram-keras": GRAM_SQUARES / (4 * 3**2 * (30 * 20) ** 2),  # of three channels and all pixels
    "gram-centered": mean_square(covariance(FEATURES), covariance(SMALLER)),
    "mean-std": mean_square(FEATURES.mean(AXES), SMALLER.mean(AXES))
    + mean_square(FEATURES.std(AXES), SMALLER.std(AXES)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_loss_is_its_formula(name):
    picture = OTHER if name in CONTENT_LOSSES else SMALLER
    np.testing.assert_allclose(score(name, FEATURES, picture), FORMULAS[name], rtol=1e-5)


def test_gram_sum_of_a_large_map_stays_within_float32():
    """A Gram of 10^21 squared is more than float32 holds; divided first, it is not."""
    found = score("gram-sum", np.full((10, 10, 2), 3e9), np.zeros((10, 10, 2)))
    np.testing.assert_allclose(found, (9e18) ** 2 / 4, rtol=1e-5)


@pytest.mark.parametrize("name", ["content", "gram"])
def test_the_relative_form_does_not_depend_on_the_scale_of_the_network(name):
    target = np.asarray(LOSSES[name].statistics(jnp.asarray(OTHER)))
    expected = score(name, FEATURES, OTHER) / np.mean(target**2)
    for scale in (1.0, 30.0):
        found = score(f"{name}-relative", scale * FEATURES, scale * OTHER)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.isfinite(score(f"{name}-relative", FEATURES, 0 * OTHER))


@pytest.mark.parametrize("name", CONTENT_LOSSES + STYLE_LOSSES)
def test_a_loss_is_zero_only_at_its_own_target(name):
    assert score(name, FEATURES, OTHER) > 1e-6
    bound = 1e-5 if name == "wasserstein" else 1e-12  # it compares two roots of one matrix
    assert abs(score(name, FEATURES, FEATURES)) <= bound


@pytest.mark.parametrize("name", OF_FEATURES)
def test_in_float64_values_and_gradients_are_exact(float64, name):
    target = target_of(name, OTHER)
    kept = jax.eval_shape(LOSSES[name].statistics, FEATURES)
    for leaf in jax.tree.leaves((target, kept, graded(name, FEATURES, target))):
        assert leaf.dtype == jnp.float64
    assert_gradient(lambda x: graded(name, x, target), FEATURES, OTHER, rtol=1e-7)


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
        for each in graded(name, features, target):
            assert np.isfinite(each).all(), f"{image} against {of}"


@pytest.mark.parametrize("name", OF_FEATURES)
def test_losses_of_a_batch_are_those_of_its_images(name):
    batch, target = np.stack([FEATURES, OTHER * 2, np.ones((7, 5, 4))]), target_of(name, OTHER)
    together = jax.jit(jax.vmap(lambda image: graded(name, image, target)))(batch)
    for index, image in enumerate(batch):
        found = jax.tree.map(lambda leaves, index=index: leaves[index], together)
        assert_trees_close(found, graded(name, image, target), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_a_region_has_the_statistics_of_its_features_alone(name):
    """Where the mean square of the guide is one, as `jaxstyle.guidance.propagate` makes it."""
    guide = np.zeros((7, 5))
    guide[2:5, 1:] = np.sqrt(35 / 12)
    factor = 35 / 12 if name in ("gram-sum", "gram-keras") else 1  # sums over all of the map
    alone = jax.tree.map(lambda x: factor * x, target_of(name, FEATURES[2:5, 1:]))
    assert_trees_close(target_of(name, FEATURES, guide), alone, rtol=1e-4, atol=1e-5)
    everywhere = target_of(name, FEATURES, np.ones((7, 5)))
    assert_trees_close(everywhere, target_of(name, FEATURES), rtol=1e-5, atol=1e-6)


def test_a_soft_guide_weighs_positions_by_its_square():
    guide = np.random.default_rng(2).uniform(0, 2, (7, 5))
    flat, weights = FEATURES.reshape(35, 4), (guide**2).reshape(35)
    mean, covariance = np.average(flat, 0, weights), np.cov(flat.T, aweights=weights, ddof=0)
    for name, expected in (
        ("gram", [flat.T * weights @ flat / 35]),
        ("gram-centered", [covariance]),
        ("mean-std", [mean, np.sqrt(np.diag(covariance))]),
    ):
        found = jax.tree.leaves(target_of(name, FEATURES, guide))
        assert_trees_close(found, expected, rtol=1e-4, atol=1e-6)
