"""The objective as a pytree: values, gradients, no recompilation, vmap over weights."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle import objective
from jaxstyle.compilation import counted
from jaxstyle.guide.masks import Regions
from jaxstyle.guide.propagate import guides
from jaxstyle.losses import STYLE_LOSSES, TV_LOSSES, matting
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


def test_summed_styles_are_the_losses_of_each_alone_by_share(network, picture, pictures):
    content, styles = pictures
    image, shares = picture(3), (1.0, 3.0)
    summed, blended = (
        score(build(network, pictures, style_blend=shares, sum_styles=each), image)[1]
        for each in (True, False)
    )
    first, second = (score(build(network, (content, [style])), image)[1] for style in styles)
    for layer in STYLE:
        name = f"style/{layer}"
        expected = 0.25 * first[name] + 0.75 * second[name]
        np.testing.assert_allclose(summed[name], expected, rtol=1e-5)
        # Half the sum of squares is more than the square of the mean: the variance of the targets.
        assert summed[name] > 1.001 * blended[name]
    for name in ("content/relu3_2", "tv"):
        np.testing.assert_allclose(summed[name], first[name], rtol=1e-6)


def test_one_style_summed_is_one_style_blended(network, picture, pictures):
    alone = pictures[0], pictures[1][:1]
    summed, blended = (
        score(build(network, alone, sum_styles=each), picture(3))[0] for each in (True, False)
    )
    assert summed == blended


@jax.jit
def gradient_of(scored, image):
    return jax.grad(scored, has_aux=True)(image)[0]


@partial(jax.jit, static_argnums=2)
def gradient_at_layer(term, maps, size):
    return jax.grad(lambda x: term({term.layer: x}, size))(maps)


@pytest.mark.parametrize("sum_styles", [False, True])
@pytest.mark.parametrize("weight", [1e-3, 1.0, 4e4])
def test_a_normalized_gradient_has_the_l1_norm_of_its_weight(
    network, picture, pictures, weight, sum_styles
):
    image = picture(3)
    options = {
        "content_weights": {"relu3_1": weight},
        "style_weights": {"relu3_1": 2 * weight, "relu1_1": weight},
        "style_loss": "gram-keras",  # has an image factor
        "sum_styles": sum_styles,
    }
    scored = build(network, pictures, normalize_gradients=True, **options)
    plain = build(network, pictures, **options)
    maps = features(network, image, ["relu1_1", "relu3_1"])
    for name, of in (("content/relu3_1", 1), ("style/relu3_1", 2), ("style/relu1_1", 1)):
        unweighted = replace(plain.terms[name], weight=jnp.ones(()))
        x, size = maps[unweighted.layer], image.shape[:2]
        g = np.asarray(gradient_at_layer(unweighted, x, size), np.float64)
        expected = of * weight * g / (np.abs(g).sum() + 1e-8)
        found = gradient_at_layer(scored.terms[name], x, size)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_normalizing_gradients_changes_no_loss(network, picture, pictures):
    plain, normalized = (
        score(build(network, pictures, normalize_gradients=choice), picture(3))
        for choice in (False, True)
    )
    assert plain[0] == normalized[0]
    assert plain[1] == normalized[1]


@partial(jax.jit, static_argnums=3)
def pulled_back(network, image, pull, layer):
    """The gradient at the image that one at a layer becomes."""
    return jax.vjp(lambda x: network(x, [layer])[layer], image)[1](pull)[0]


def test_normalized_gradients_add_up_on_their_way_to_the_image(network, picture, pictures):
    """Total variation as it is; every other term through the network on its own."""
    image, size = picture(3), picture(3).shape[:2]
    scored = build(network, pictures, normalize_gradients=True)
    plain = build(network, pictures)
    expected = gradient_of(replace(plain, terms={"tv": plain.terms["tv"]}), image)
    for name, term in plain.terms.items():
        if name == "tv":
            continue
        maps = features(network, image, [term.layer])[term.layer]
        g = gradient_at_layer(replace(term, weight=jnp.ones(())), maps, size)
        pull = term.weight * g / (jnp.abs(g).sum() + 1e-8)
        expected += pulled_back(network, image, pull, term.layer)
    found = gradient_of(scored, image)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert not np.allclose(found, gradient_of(plain, image), rtol=0.1)


@pytest.mark.parametrize("normalize", [False, True])
def test_a_weight_of_zero_is_neither_seen_nor_felt(network, picture, pictures, normalize):
    zeros = {"content_weights": {"relu3_2": 0.0}, "style_weights": {"relu1_1": 0.0}}
    scored = build(network, pictures, tv_weight=0.0, normalize_gradients=normalize, **zeros)
    total, parts = score(scored, picture(3))
    assert total == 0
    assert not any(parts.values())
    np.testing.assert_array_equal(gradient_of(scored, picture(3)), 0)


def test_no_layers_at_all_leave_total_variation(network, picture, pictures):
    scored = build(network, pictures, content_weights={}, style_weights={})
    total, parts = score(scored, picture(3))
    assert set(parts) == {"tv"}
    assert total == parts["tv"] > 0


@pytest.mark.parametrize(
    ("tv_loss", "factor"),
    [
        ("total-variation", 255**2),
        ("total-variation-absolute", 255),
        ("total-variation-half", 255**2),
        ("total-variation-power", 255**2.5),
        ("total-variation-nine", 255**2),
    ],
)
def test_white_is_the_unit_of_total_variation_alone(network, picture, pictures, tv_loss, factor):
    one, many = (
        score(build(network, pictures, tv_loss=tv_loss, white=white), picture(3))[1]
        for white in (1.0, 255.0)
    )
    np.testing.assert_allclose(many["tv"], factor * one["tv"], rtol=1e-5)
    for name in one:
        assert name == "tv" or one[name] == many[name]


@pytest.fixture(scope="module")
def wrapping():
    return small_network(padding="circular")


def test_a_style_picture_has_borders_where_the_result_has_none(wrapping, pictures):
    circular = build(wrapping, pictures)
    reflected = build(small_network(padding="reflect"), pictures)
    for name, term in circular.terms.items():
        ours = jax.tree.leaves(term.targets)
        theirs = jax.tree.leaves(reflected.terms[name].targets)
        for one, other in zip(ours, theirs, strict=True):
            if name.startswith("style"):
                np.testing.assert_allclose(one, other, rtol=1e-5)
            else:  # the content is a picture like the result, and wraps as it does
                assert not np.allclose(one, other, rtol=1e-3)


@pytest.mark.parametrize("tv_loss", TV_LOSSES)
def test_total_variation_sees_the_seam_of_a_picture_that_wraps(wrapping, picture, tv_loss):
    """Half black and half white: one edge inside, and another between the last and the first."""
    image = jnp.zeros((32, 32, 3)).at[:, 16:].set(1.0)
    options = {"content_weights": {}, "style_weights": {}, "tv_weight": 1.0, "tv_loss": tv_loss}
    bordered = objective.build(small_network(), image, [image], **options)
    seamless = objective.build(wrapping, image, [image], **options)
    ratio = score(seamless, image)[0] / score(bordered, image)[0]
    np.testing.assert_allclose(ratio, 2.0, rtol=0.05)


@pytest.mark.parametrize("tv_loss", TV_LOSSES)
def test_a_picture_that_wraps_can_be_rolled(wrapping, picture, tv_loss):
    image = picture(3, 48, 64)
    layers = {"relu1_1": 1.0, "relu5_1": 1.0}
    scored = objective.build(
        wrapping,
        image,
        [picture(1, 40, 50)],
        content_weights={},
        style_weights=layers,
        tv_weight=1.0,
        tv_loss=tv_loss,
    )
    here = score(scored, image)[1]
    for shift in ((16, 0), (0, 16), (-16, 32)):
        there = score(scored, jnp.roll(image, shift, (0, 1)))[1]
        for name in here:  # some priors count what lies along the first row and column twice
            exact = name != "tv" or tv_loss in ("total-variation-half", "total-variation-power")
            rtol = 1e-5 if exact else 0.02
            np.testing.assert_allclose(here[name], there[name], rtol=rtol, err_msg=name)
    assert not np.isclose(here["tv"], score(scored, jnp.flip(image, 0) ** 2)[1]["tv"])


def test_double_precision_leaves_statistics_of_a_float32_network_alone(float64, picture):
    network = small_network(jnp.float32)
    image = picture(0).astype(jnp.float32)
    options = {"content_weights": {}, "style_weights": {"relu5_1": 1.0}}
    built = objective.build(network, image, [image], style_loss="wasserstein", **options)
    target = built.terms["style/relu5_1"].targets[0]
    assert {leaf.dtype for leaf in jax.tree.leaves(target)} == {jnp.dtype("float32")}


def test_where_nothing_is_to_be_gained_nothing_is_normalized():
    """The gradient of the content loss at the content picture, by any algorithm, is zero: dividing
    it by its norm must not make it as large as any other."""
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(size=(32, 32, 3)), jnp.float32)
    fast = small_network(algorithms={"conv1_2": "winograd", "conv2_1": "winograd"})
    scored = objective.build(
        fast,
        image,
        [image],
        content_weights={"relu2_1": 1.0},
        style_weights={},
        normalize_gradients=True,
    )
    gradient = jax.jit(jax.grad(scored, has_aux=True))(image)[0]
    assert float(jnp.sum(jnp.abs(gradient))) < 1e-3


def two_regions(*sides):
    """Left and right halves of pictures of these heights and widths, as guides of Gatys et al."""
    masks = []
    for height, width in sides:
        left = np.zeros((height, width), np.float32)
        left[:, : width // 2] = 1
        masks.append(np.stack([left, 1 - left]))
    content, *styles = masks
    return Regions(("left", "right"), content, tuple(styles))


def guided_build(network, pictures, regions, guidance="simple", **options):
    content, styles = pictures
    sides = [style.shape[:2] for style in styles]
    found = guides(regions, network, content.shape[:2], sides, list(STYLE), guidance)
    return build(network, pictures, guides=found, **options)


def test_a_region_is_compared_with_its_own(network, picture):
    content, style, image = picture(0, 32, 32), picture(1, 32, 32), picture(2, 32, 32)
    regions = two_regions((32, 32), (32, 32))
    _, parts = score(guided_build(network, (content, [style]), regions), image)
    for layer, weight in STYLE.items():
        of = [features(network, p, [layer])[layer] for p in (image, style)]
        half = of[0].shape[1] // 2
        for name, place in (("left", np.s_[:, :half]), ("right", np.s_[:, half:])):
            grams = [numpy_gram(f[place]) for f in of]
            expected = weight / 2 * np.mean((grams[0] - grams[1]) ** 2)
            np.testing.assert_allclose(parts[f"style/{layer}/{name}"], expected, rtol=1e-4)


@pytest.mark.parametrize("loss", STYLE_LOSSES)
def test_every_style_loss_is_zero_for_its_own_regions_and_not_for_others(network, picture, loss):
    style = picture(1, 32, 32)
    same, swapped = two_regions((32, 32), (32, 32)), two_regions((32, 32), (32, 32))
    swapped = Regions(same.names, same.content, (same.content[::-1].copy(),))
    style = style.at[:, :16].multiply(0.3)
    own, others = (
        score(guided_build(network, (style, [style]), regions, style_loss=loss), style)[0]
        for regions in (same, swapped)
    )
    tv = score(build(network, (style, [style]), style_loss=loss), style)[1]["tv"]
    assert abs(own - tv) < 0.02 * (others - tv)


@pytest.mark.parametrize("loss", STYLE_LOSSES)
def test_a_guide_of_ones_changes_nothing(network, picture, loss):
    content, style, image = picture(0), picture(1), picture(2)
    ones = [np.ones((1, *p.shape[:2]), np.float32) for p in (content, style)]
    regions = Regions(("all",), ones[0], (ones[1],))
    _, guided_parts = score(
        guided_build(network, (content, [style]), regions, style_loss=loss), image
    )
    _, plain = score(build(network, (content, [style]), style_loss=loss), image)
    for layer in STYLE:
        np.testing.assert_allclose(
            guided_parts[f"style/{layer}/all"], plain[f"style/{layer}"], rtol=2e-3
        )


def test_a_style_picture_without_a_region_has_no_share_in_it(network, picture):
    content, first, second = picture(0, 32, 32), picture(1, 32, 32), picture(2, 32, 32)
    regions = two_regions((32, 32), (32, 32), (32, 32))
    regions.styles[1][0] = 0
    both = guided_build(network, (content, [first, second]), regions)
    alone = guided_build(network, (content, [first]), two_regions((32, 32), (32, 32)))
    of_both, of_one = (score(each, content)[1] for each in (both, alone))
    for layer in STYLE:
        name = f"style/{layer}/left"
        np.testing.assert_allclose(of_both[name], of_one[name], rtol=1e-5)


def test_a_photorealism_term_is_the_energy_whatever_the_units(network, picture):
    content, style, image = picture(0), picture(1), picture(2)
    local = matting.target(content)
    for white in (1.0, 255.0):
        scored = build(
            network, (content, [style]), photorealism_weight=3.0, local_colors=local, white=white
        )
        expected = 3 * matting.energy(image, local)
        np.testing.assert_allclose(score(scored, image)[1]["photorealism"], expected, rtol=1e-5)
