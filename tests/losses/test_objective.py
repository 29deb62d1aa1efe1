"""The objective as a pytree: values, gradients, no recompilation, vmap over weights."""

import re
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.errors import ImageError, SettingError
from jaxstyle.execution.compilation import counted
from jaxstyle.guidance.masks import Regions
from jaxstyle.guidance.propagate import guides
from jaxstyle.losses import STYLE_LOSSES, TV_LOSSES, matting, objective
from jaxstyle.losses.objective import LossSpec, Objective, Term
from jaxstyle.losses.targets import IMAGE
from tests.networks import features, small_network
from tests.numerics import assert_gradient, assert_trees_close, left_and_right

CONTENT = {"relu2_2": 1.5, "conv2_1": 0.5}
STYLE = {"relu1_1": 2.0, "relu2_1": 30.0}


@pytest.fixture
def pictures(picture):
    return picture(0, 32, 24), [picture(1, 33, 28), picture(2, 48, 20)]


@pytest.fixture
def image(picture):
    return picture(3, 32, 24)


def build(network, pictures, **options):
    weights = {"content_weights": CONTENT, "style_weights": STYLE, "tv_weight": 0.7}
    return objective.build(network, *pictures, LossSpec(**{**weights, **options}))


@jax.jit
def score(scored, image):
    return scored(image)


@jax.jit
def graded(scored, image):
    """The loss and its parts, and the gradient of the loss."""
    return jax.value_and_grad(scored, has_aux=True)(image)


def numpy_gram(features):
    flat = np.asarray(features, np.float64).reshape(-1, features.shape[-1])
    return flat.T @ flat / len(flat)


@pytest.mark.parametrize("sum_styles", [False, True], ids=["blended", "summed"])
@pytest.mark.parametrize(
    "blend, shares",
    [((), (0.5, 0.5)), ((1.0, 3.0), (0.25, 0.75))],
    ids=["equal shares", "given shares"],
)
def test_parts_are_the_weighted_losses_and_add_up(
    network, image, pictures, blend, shares, sum_styles
):
    of_image, of_content, *of_styles = (
        features(network, each, [*CONTENT, *STYLE]) for each in (image, pictures[0], *pictures[1])
    )
    variation = sum(np.mean(np.diff(np.asarray(image), axis=axis) ** 2) for axis in (0, 1))
    expected = {"tv": 0.7 * variation}
    for layer, weight in CONTENT.items():
        apart = np.subtract(of_image[layer], of_content[layer])
        expected[f"content/{layer}"] = weight * np.mean(apart**2)
    for layer, weight in STYLE.items():
        grams = [numpy_gram(of_style[layer]) for of_style in of_styles]
        targets = grams if sum_styles else [np.average(grams, 0, shares)]
        losses = [np.mean((numpy_gram(of_image[layer]) - target) ** 2) for target in targets]
        expected[f"style/{layer}"] = weight * np.dot(shares if sum_styles else [1.0], losses)
    scored = build(network, pictures, style_blend=blend, sum_styles=sum_styles)
    total, parts = score(scored, image)
    assert parts == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(total, sum(map(float, parts.values())), rtol=1e-5)


def test_gradient_of_the_whole_objective_equals_finite_differences(float64, image, pictures):
    content, *styles = (jnp.asarray(x, jnp.float64) for x in (pictures[0], *pictures[1]))
    scored = objective.build(
        small_network(jnp.float64, pooling="average"),
        content,
        styles,
        LossSpec(CONTENT, STYLE, 0.7, photorealism_weight=0.01),
        local_colors=matting.target(content),
    )

    def value_and_gradient(image):
        (value, _), gradient = graded(scored, image)
        return value, gradient

    along = np.random.default_rng(1).normal(size=image.shape)
    assert_gradient(value_and_gradient, np.float64(image), along, rtol=1e-5)


def test_new_weights_targets_and_pictures_do_not_recompile(network, image, picture, pictures):
    first = build(network, pictures)
    before = score(first, image)[0]
    heavier = build(
        network,
        (picture(7, 32, 24), [picture(8, 33, 28), picture(9, 48, 20)]),
        style_weights={layer: 100 * weight for layer, weight in STYLE.items()},
        tv_weight=0.0,
        style_blend=(1.0, 9.0),
    )
    with counted() as compiled:
        after = score(heavier, image)[0]
    assert compiled.count == 0
    assert after != before


def test_vmap_axes_can_be_an_objective_themselves(network, image, pictures):
    scored, times = build(network, pictures), np.arange(3, dtype=np.float32)
    stacked = {n: replace(t, weight=np.float32(t.weight) * times) for n, t in scored.terms.items()}
    stacked = replace(scored, terms=stacked)
    axes = {n: Term(0, None, None, t.loss, t.layer) for n, t in scored.terms.items()}
    axes = Objective(None, axes, None)
    totals = jax.jit(jax.vmap(lambda o: o(image)[0], in_axes=(axes,)))(stacked)
    np.testing.assert_allclose(totals, score(scored, image)[0] * times, rtol=1e-5)


@partial(jax.jit, static_argnums=2)
def graded_at_layer(term, maps, size):
    return jax.value_and_grad(lambda x: term({term.layer: x}, size))(maps)


@pytest.mark.parametrize("sum_styles", [False, True], ids=["blended", "summed"])
def test_a_normalized_gradient_has_the_l1_norm_of_its_weight(network, image, pictures, sum_styles):
    """At its layer; that of total variation, and all losses, are as they would be."""
    options = {"style_loss": "gram-keras", "sum_styles": sum_styles}  # with an image factor
    normalized, plain = (
        build(network, pictures, normalize_gradients=choice, **options) for choice in (True, False)
    )
    maps = {**features(network, image, [*CONTENT, *STYLE]), IMAGE: image}
    for name, term in plain.terms.items():
        of, x, size = float(term.weight), maps[term.layer], image.shape[:2]
        value, gradient = graded_at_layer(replace(term, weight=1.0), x, size)
        norm = 1 if name == "tv" else np.abs(gradient).sum(dtype=np.float64) + 1e-8
        for weight in (1e-3 * of, of, 4e4 * of):
            weighted = replace(normalized.terms[name], weight=weight)
            found_value, found = graded_at_layer(weighted, x, size)
            np.testing.assert_allclose(found_value, weight * value, rtol=1e-5)
            expected = weight * np.asarray(gradient) / norm
            atol = 1e-5 * np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=atol)


@pytest.mark.parametrize("normalize", [False, True])
def test_terms_of_weight_zero_add_no_loss_and_no_gradient(network, image, pictures, normalize):
    contents, styles = dict.fromkeys(CONTENT, 0.0), dict.fromkeys(STYLE, 0.0)
    spec = LossSpec(contents, styles, 0.0, normalize_gradients=normalize)
    scored = objective.build(network, *pictures, spec)
    (total, parts), gradient = graded(scored, image)
    assert total == 0
    assert not any(parts.values())
    np.testing.assert_array_equal(gradient, 0)


def test_white_is_the_unit_of_total_variation_alone(network, image, pictures):
    local = matting.target(pictures[0])
    spec = LossSpec(
        {"conv1_1": 1.0}, {}, 1.0, tv_loss="total-variation-power", photorealism_weight=3.0
    )
    one, many = (
        score(objective.build(network, *pictures, each, local_colors=local), image)[1]
        for each in (spec, replace(spec, white=255.0))
    )
    np.testing.assert_allclose(one["photorealism"], 3 * matting.energy(image, local), rtol=1e-5)
    assert_trees_close(many, {**one, "tv": 255**2.5 * one["tv"]}, rtol=1e-5)


@pytest.fixture(scope="module")
def wrapping():
    return small_network(padding="circular")


def test_a_style_picture_has_borders_where_the_result_has_none(wrapping, pictures):
    circular = build(wrapping, pictures)
    reflected = build(small_network(padding="reflect"), pictures)
    for layer in STYLE:
        ours, theirs = (each.terms[f"style/{layer}"].targets for each in (circular, reflected))
        assert_trees_close(ours, theirs, rtol=1e-5)
    for layer in CONTENT:  # the content is a picture like the result, and wraps as it does
        ours, theirs = (each.terms[f"content/{layer}"].targets for each in (circular, reflected))
        assert not np.allclose(ours, theirs, rtol=1e-3)


def test_a_picture_that_wraps_can_be_rolled(wrapping, picture):
    """Neither its styles nor any total variation see where the border is."""
    image, layers = np.asarray(picture(3, 48, 64)), {"relu1_1": 1.0, "relu3_1": 1.0}

    def with_prior(tv_loss):
        spec = LossSpec({}, layers, 1.0, tv_loss=tv_loss)
        return objective.build(wrapping, jnp.asarray(image), [picture(1, 33, 28)], spec)

    terms = {tv_loss: with_prior(tv_loss).terms["tv"] for tv_loss in TV_LOSSES}
    styles = with_prior("total-variation")
    scored = replace(styles, terms={**styles.terms, **terms})
    here, changed = score(scored, image)[1], score(scored, image[::-1] ** 2)[1]
    for shift in ((16, 0), (0, 16), (-16, 32)):
        there = score(scored, np.roll(image, shift, (0, 1)))[1]
        for name, value in here.items():
            # Some priors count what lies along the first row and column twice.
            exact = name.startswith("style") or name.endswith(("-half", "-power"))
            np.testing.assert_allclose(there[name], value, rtol=1e-5 if exact else 0.02)
            assert not np.isclose(value, changed[name])


def test_double_precision_leaves_statistics_of_a_float32_network_alone(float64, picture):
    image = jnp.asarray(picture(0, 32, 24), jnp.float32)
    spec = LossSpec({}, {"relu2_1": 1.0}, style_loss="wasserstein")
    scored = objective.build(small_network(jnp.float32), image, [image], spec)
    target = scored.terms["style/relu2_1"].targets[0]
    assert {leaf.dtype for leaf in jax.tree.leaves(target)} == {jnp.dtype("float32")}


def test_normalizing_leaves_a_zero_gradient_at_zero():
    """The gradient of the content loss at the content picture, by any algorithm, is zero: dividing
    it by its norm must not make it as large as any other."""
    image = np.random.default_rng(0).uniform(size=(32, 32, 3)).astype(np.float32)
    fast = small_network(algorithms={"conv1_2": "winograd"})
    spec = LossSpec({"relu1_2": 1.0}, {}, normalize_gradients=True)
    scored = objective.build(fast, image, [image], spec)
    assert np.abs(graded(scored, image)[1]).sum() < 1e-3


def halves(count):
    """Left and right halves of the content and of so many style pictures, 32 pixels square."""
    content, *styles = (left_and_right(32, 32) for _ in range(count + 1))
    return Regions(("left", "right"), content, tuple(styles))


def guided_build(network, content, styles, regions, style_loss="gram"):
    sides = [style.shape[:2] for style in styles]
    found = guides(regions, network, content.shape[:2], sides, list(STYLE), "simple")
    spec = LossSpec({}, STYLE, style_loss=style_loss)
    return objective.build(network, content, styles, spec, guides=found)


@pytest.fixture
def squares(picture):
    return [picture(seed, 32, 32) for seed in range(3)]


def test_a_region_is_compared_with_its_own(network, squares):
    content, style, image = squares
    _, parts = score(guided_build(network, content, [style], halves(1)), image)
    of_image, of_style = (features(network, p, list(STYLE)) for p in (image, style))
    for layer, weight in STYLE.items():
        of = [np.asarray(f[layer]) for f in (of_image, of_style)]
        half = of[0].shape[1] // 2
        for name, place in (("left", np.s_[:, :half]), ("right", np.s_[:, half:])):
            grams = [numpy_gram(f[place]) for f in of]
            expected = weight / 2 * np.mean((grams[0] - grams[1]) ** 2)
            np.testing.assert_allclose(parts[f"style/{layer}/{name}"], expected, rtol=1e-4)


SLOW = set(STYLE_LOSSES) - {"gram", "mean-std"}
REGION_LOSSES = [
    pytest.param(loss, marks=pytest.mark.slow if loss in SLOW else ()) for loss in STYLE_LOSSES
]


@pytest.mark.parametrize("loss", REGION_LOSSES)
def test_every_style_loss_is_zero_for_its_own_regions_and_not_for_others(network, squares, loss):
    style = np.array(squares[1])
    style[:, :16] *= 0.3
    style, same = jnp.asarray(style), halves(1)
    swapped = Regions(same.names, same.content, (same.content[::-1].copy(),))
    own, others = (
        score(guided_build(network, style, [style], regions, loss), style)[0]
        for regions in (same, swapped)
    )
    assert abs(own) < 0.02 * others


def test_a_style_picture_without_a_region_has_no_share_in_it(network, squares):
    content, first, second = squares
    regions = halves(2)
    regions.styles[1][0] = 0
    both = guided_build(network, content, [first, second], regions)
    alone = guided_build(network, content, [first], halves(1))
    of_both, of_one = (score(each, content)[1] for each in (both, alone))
    for layer in STYLE:
        name = f"style/{layer}/left"
        np.testing.assert_allclose(of_both[name], of_one[name], rtol=1e-5)


def test_a_grid_of_weights_is_built_under_vmap(network, pictures, image):
    def loss(style_weight, tv_weight):
        spec = LossSpec({"relu2_1": 1.0}, {"relu1_1": style_weight}, tv_weight)
        return objective.build(network, *pictures, spec)(image)[0]

    weights, priors = jnp.array([0.0, 1.0, 50.0]), jnp.array([1.0, 0.5, 0.0])
    found = jax.jit(jax.vmap(loss))(weights, priors)
    for value, *each in zip(found, weights, priors, strict=True):
        np.testing.assert_allclose(value, loss(*map(float, each)), rtol=1e-5)


def test_arrays_that_are_no_images_are_refused(network, pictures):
    content, styles = pictures
    spec, bytes_ = LossSpec({"relu1_1": 1.0}, {}), (255 * content).astype(jnp.uint8)
    scored = objective.build(network, content, styles, spec)
    for call, said in (
        (lambda: objective.build(network, bytes_, styles, spec), "the content picture is an array"),
        (lambda: objective.build(network, content, [bytes_], spec), "a style picture is an array"),
        (lambda: jax.jit(lambda s, x: s(x))(scored, bytes_), "the image is an array of uint8"),
        (lambda: network(bytes_, ["relu1_1"]), "expected floats in [0, 1] (8 bits divided by 255)"),
        (lambda: scored(content[..., 0]), "the image has shape (32, 24): expected height x width"),
    ):
        with pytest.raises(ImageError, match=re.escape(said)):
            call()


def test_an_unknown_loss_is_refused():
    with pytest.raises(SettingError, match="style_loss: 'gramm' is not one of gram, "):
        LossSpec({}, {"relu1_1": 1.0}, style_loss="gramm")
