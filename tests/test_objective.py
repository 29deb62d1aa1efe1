"""The objective as a pytree: values, gradients, no recompilation, vmap over weights."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle import objective
from jaxstyle.compilation import counted
from jaxstyle.objective import Objective, Term
from tests.conftest import features, small_network

CONTENT = {"relu3_2": 1.5, "conv2_1": 0.5}
STYLE = {"relu1_1": 2.0, "relu3_1": 30.0}


@pytest.fixture
def pictures(picture):
    return picture(0), [picture(1, 33, 44), picture(2, 64, 20)]


def build(network, pictures, **options):
    weights = {"content_weights": CONTENT, "style_weights": STYLE, "tv_weight": 0.7}
    return objective.build(network, *pictures, **{**weights, **options})


@jax.jit
def score(scored, image):
    return scored(image)


def numpy_gram(features):
    flat = np.asarray(features, np.float64).reshape(-1, features.shape[-1])
    return flat.T @ flat / len(flat)


def test_parts_are_the_weighted_losses_and_add_up(network, picture, pictures):
    image = picture(3)
    layers = [*CONTENT, *STYLE]
    of_image = features(network, image, layers)
    of_content = features(network, pictures[0], layers)
    of_styles = [features(network, style, layers) for style in pictures[1]]
    total, parts = score(build(network, pictures, style_blend=(1.0, 3.0)), image)
    for layer, weight in CONTENT.items():
        expected = weight * np.mean((of_image[layer] - of_content[layer]) ** 2)
        np.testing.assert_allclose(parts[f"content/{layer}"], expected, rtol=1e-5)
    for layer, weight in STYLE.items():
        first, second = (numpy_gram(of_style[layer]) for of_style in of_styles)
        target = 0.25 * first + 0.75 * second
        expected = weight * np.mean((numpy_gram(of_image[layer]) - target) ** 2)
        np.testing.assert_allclose(parts[f"style/{layer}"], expected, rtol=1e-4)
    assert set(parts) == {*(f"content/{c}" for c in CONTENT), *(f"style/{s}" for s in STYLE), "tv"}
    np.testing.assert_allclose(total, sum(parts.values()), rtol=1e-5)


def test_without_a_blend_the_styles_are_equal(network, picture, pictures):
    equal, same, other = (
        score(build(network, pictures, **options), picture(3))[0]
        for options in ({}, {"style_blend": (5.0, 5.0)}, {"style_blend": (1.0, 5.0)})
    )
    np.testing.assert_allclose(equal, same)
    assert not np.isclose(equal, other)


def test_gradient_of_the_whole_objective_equals_finite_differences(float64, picture, pictures):
    content, styles = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), pictures)
    scored = build(small_network(jnp.float64, pooling="average"), (content, styles))
    image = jnp.asarray(picture(3), jnp.float64)
    direction, step = jnp.asarray(np.random.default_rng(1).normal(size=image.shape)), 1e-6
    ahead, behind = (score(scored, image + sign * step * direction)[0] for sign in (1, -1))
    numeric = (ahead - behind) / (2 * step)
    exact = jnp.vdot(jax.jit(jax.grad(scored, has_aux=True))(image)[0], direction)
    np.testing.assert_allclose(exact, numeric, rtol=1e-5)


def test_new_weights_targets_and_pictures_do_not_recompile(network, picture, pictures):
    first = build(network, pictures)
    score(first, picture(3))
    heavier = build(
        network,
        (picture(7), [picture(8, 33, 44), picture(9, 64, 20)]),
        style_weights={layer: 100 * weight for layer, weight in STYLE.items()},
        tv_weight=0.0,
        style_blend=(1.0, 9.0),
    )
    with counted() as compiled:
        second = score(heavier, picture(4))[0]
    assert not compiled.programs
    assert second != score(first, picture(4))[0]


def test_vmap_over_a_weight_equals_one_by_one(network, picture, pictures):
    scored, image = build(network, pictures), picture(3)
    weights = jnp.asarray([0.0, 1.0, 50.0])

    @jax.jit
    def weighted(weight):
        term = replace(scored.terms["style/relu3_1"], weight=weight)
        return replace(scored, terms={**scored.terms, "style/relu3_1": term})(image)[0]

    batched = jax.jit(jax.vmap(weighted))(weights)
    np.testing.assert_allclose(batched, [weighted(weight) for weight in weights], rtol=1e-5)
    np.testing.assert_allclose(batched[1] - batched[0], (batched[2] - batched[0]) / 50, rtol=1e-3)


def test_vmap_axes_can_be_an_objective_themselves(network, picture, pictures):
    scored, image = build(network, pictures), picture(3)
    stacked = replace(
        scored,
        terms={
            name: replace(term, weight=term.weight * jnp.arange(1.0, 4.0))
            for name, term in scored.terms.items()
        },
    )
    axes = Objective(
        None,
        {name: Term(0, None, None, term.loss, term.layer) for name, term in scored.terms.items()},
        None,
    )
    totals = jax.jit(jax.vmap(lambda o: o(image)[0], in_axes=(axes,)))(stacked)
    np.testing.assert_allclose(totals, score(scored, image)[0] * jnp.arange(1.0, 4.0), rtol=1e-5)
