"""Losses on several layers at once, against their formulas in NumPy; see also tests/systems."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.execution.compilation import counted
from jaxstyle.guidance.masks import Regions
from jaxstyle.guidance.propagate import guides
from jaxstyle.losses import JOINT, hypercolumns, neighbors, objective
from jaxstyle.losses.objective import LossSpec
from tests.networks import features, small_network
from tests.numerics import assert_gradient, left_and_right

LAYERS = ("relu1_1", "relu2_1")
STYLE = {"relu1_1": 2.0, "relu2_1": 6.0}  # 1/2 and 3/2 of their mean
STYLE_JOINT = [name for name, loss in JOINT.items() if loss.kind == "style"]
RNG = np.random.default_rng(0)


@pytest.fixture
def pictures(picture):
    """Image, content, style."""
    return picture(3, 40, 28), picture(0, 40, 28), picture(1, 33, 48)


def build(network, pictures, loss, regions=None, **more):
    _, content, style = pictures
    kind = JOINT[loss].kind
    weights = {"content_weights": {}, "style_weights": {}, f"{kind}_weights": STYLE}
    spec = LossSpec(**weights, **{f"{kind}_loss": loss}, **more)
    return objective.build(network, content, [style], spec, guides=regions)


@jax.jit
def score(scored, image):
    return scored.begun(image)(image)[1]


@jax.jit
def graded(begun, image):
    return jax.value_and_grad(lambda x: begun(x)[0])(image)


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-4)


def test_a_map_is_resized_between_its_corners():
    x = RNG.normal(size=(7, 9, 2))
    found = np.asarray(hypercolumns.resized(jnp.asarray(x), 3, 5))
    rows = [[np.interp(np.linspace(0, 8, 5), range(9), r) for r in x[..., i]] for i in range(2)]
    for channel, each in enumerate(rows):
        columns = np.array(each).T
        expected = [np.interp(np.linspace(0, 6, 3), range(7), column) for column in columns]
        np.testing.assert_allclose(found[..., channel], np.transpose(expected), rtol=1e-5)
    assert hypercolumns.resized(jnp.ones((1, 1, 3)), 2, 1).shape == (2, 1, 3)


def test_places_cover_a_picture_evenly():
    rows, columns = hypercolumns.places((64, 48), 768, np.array([0.2, 0.9]))
    cells, _, _ = np.histogram2d(rows, columns, (8, 6), ((0, 64), (0, 48)))
    assert cells.min() >= 12 and cells.max() <= 20  # 16 in each


def test_places_of_a_region_are_in_it_in_proportion_to_its_weights():
    guide = np.zeros((20, 30), np.float32)
    guide[3:9, 5:11], guide[3:9, 11:17] = 1, np.sqrt(3)
    rows, columns = hypercolumns.places((20, 30), 4000, np.array([0.3, 0.6]), jnp.asarray(guide))
    assert np.asarray(guide)[rows, columns].all()
    assert np.mean(np.asarray(columns) >= 11) == pytest.approx(0.75, abs=0.01)


def test_the_nearest_neighbor_is_that_of_all_cosines_about_the_mean():
    x, style = RNG.normal(size=(300, 6)), RNG.normal(size=(500, 6)) + 1
    about = style - style.mean(0)
    cosines = unit(x) @ unit(about).T
    best, at = jax.jit(neighbors.most_alike)(*map(jnp.float32, (x, style, style.mean(0))))
    np.testing.assert_array_equal(at, cosines.argmax(1))
    np.testing.assert_allclose(best, cosines.max(1), rtol=1e-4)


def test_split_neighbors_are_those_of_each_layer(float64, pictures):
    """At maps of up to 64 places a side, all places of the image count, whatever is drawn."""
    network = small_network(jnp.float64)
    image, content, style = (jnp.asarray(each, jnp.float64) for each in pictures)
    scored = build(network, (image, content, style), "neighbors-split")
    (target,), expected = scored.terms["style/hypercolumns"].targets, 0
    for layer, parts in target.items():
        assert parts.shape[0] == 4
        np.testing.assert_allclose(np.linalg.norm(parts, axis=2), 1, atol=1e-3)
        x = np.asarray(features(network, image, [layer])[layer]).reshape(-1, parts.shape[2])
        cosines = unit(x - x.mean(0)) @ np.asarray(parts[2]).T
        expected += 4 * np.mean(1 - cosines.max(1))
    found = score(scored, image)["style/hypercolumns"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_samples_of_a_style_are_features_of_it(network, pictures):
    """Those of the first turn, about the mean of all and of length one."""
    scored = build(network, pictures, "neighbors-split")
    (target,) = scored.terms["style/hypercolumns"].targets
    turned = [np.rot90(pictures[2], turn) for turn in range(4)]
    own = [np.asarray(features(network, jnp.asarray(t), ["relu1_1"])["relu1_1"]) for t in turned]
    every = np.concatenate([x.reshape(-1, x.shape[-1]) for x in own])
    cosines = unit(every - every.mean(0)) @ np.asarray(target["relu1_1"]).reshape(-1, 4).T
    assert np.quantile(cosines.max(0), 0.05) > 0.99


def halves(pictures, network):
    """The regions on the left and on the right."""
    _, content, style = pictures
    of = Regions(
        ("left", "right"),
        left_and_right(*content.shape[:2]),
        (left_and_right(*style.shape[:2]),),
    )
    sides = content.shape[:2], [style.shape[:2]]
    return guides(of, network, *sides, LAYERS, "simple")


@pytest.mark.parametrize("loss", STYLE_JOINT)
def test_each_region_takes_after_its_own(network, pictures, loss):
    """Of a style that is dark on the left, that is worse for an image dark on the right."""
    _, content, style = pictures
    dark = jnp.asarray(style).at[:, :24].multiply(0.2)
    regions = halves((None, content, dark), network)
    image = jnp.asarray(content).at[:, :14].multiply(0.2)
    scored = build(network, (None, content, dark), loss, regions)
    ours, mirrored = score(scored, image), score(scored, image[:, ::-1])
    assert set(ours) == {"style/hypercolumns/left", "style/hypercolumns/right", "tv"}
    assert sum(map(float, ours.values())) < sum(map(float, mirrored.values()))


@pytest.mark.parametrize("loss", JOINT)
def test_gradients_are_those_of_the_values(float64, pictures, loss):
    network = small_network(jnp.float64, pooling="average")
    image, *others = (jnp.asarray(each, jnp.float64) for each in pictures)
    begun = build(network, (image, *others), loss).begun(image)
    along = RNG.normal(size=image.shape)
    assert_gradient(lambda x: graded(begun, jnp.asarray(x)), np.asarray(image), along, rtol=1e-4)


@pytest.mark.parametrize("loss", [name for name, each in JOINT.items() if each.random])
def test_positions_are_those_of_the_seed_and_the_step(network, picture, loss):
    pictures = picture(3, 160, 144), picture(0, 160, 144), picture(1, 150, 170)
    begun = build(network, pictures, loss, seed=3).begun(pictures[0])

    @jax.jit
    def at(scored, step):
        return scored.at(step)(pictures[0])[0]

    first = at(begun, jnp.int32(7))
    with counted() as compiled:
        again, later = at(begun, jnp.int32(7)), at(begun, jnp.int32(8))
    assert compiled.count == 0
    assert first == again != later
    other = build(network, pictures, loss, seed=4).begun(pictures[0])
    assert at(other, jnp.int32(7)) != first
    np.testing.assert_allclose(first, begun(pictures[0])[0], rtol=0.2)


def test_factors_of_the_layers_are_relative_to_their_mean(network, pictures):
    """Of the layers that count: a batch measures more, with weight 0."""
    image = pictures[0]
    ours = score(build(network, pictures, "relaxed-transport"), image)
    scored = build(network, pictures, "relaxed-transport")
    spec = LossSpec({}, {**STYLE, "relu2_2": 0.0}, style_loss="relaxed-transport")
    more = objective.build(network, pictures[1], [pictures[2]], spec)
    assert scored.terms["style/hypercolumns"].weight == 4
    assert more.terms["style/hypercolumns"].weight == 4
    found = score(replace(more, terms={"a": more.terms["style/hypercolumns"]}), image)["a"]
    assert ours["style/hypercolumns"] > 0 and np.isfinite(found)


def test_the_search_picture_is_the_content_where_the_image_is(pictures):
    content = jnp.asarray(pictures[1])
    np.testing.assert_allclose(neighbors.searched(content, content), content, atol=1e-6)
    flat = neighbors.searched(jnp.zeros_like(content), content)
    assert 0.7 * content.mean() < flat.mean() < 0.8 * content.mean()
