"""Tests of the propagation of masks through the network."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.guidance.masks import Regions, everywhere
from jaxstyle.guidance.propagate import GUIDANCES, guides
from tests.networks import features, small_network
from tests.numerics import left_and_right

LAYERS = ["relu1_1", "relu2_1", "relu3_1"]
SIDES = (24, 32)


def guided(guidance, masks=None, styles=None, **options):
    masks = left_and_right(*SIDES) if masks is None else masks
    styles = [masks] if styles is None else styles
    names = tuple("abcdefgh"[: len(masks)])
    regions = Regions(names, masks, tuple(styles))
    sides = [of.shape[1:] for of in styles]
    return guides(regions, small_network(**options), SIDES, sides, LAYERS, guidance)


def three_by_three(mask):
    """Compute the mean over 3x3 positions with zero padding, as a plain sum."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    return sum(padded[i : i + height, j : j + width] for i in range(3) for j in range(3)) / 9


def halved(mask):
    return (mask[::2, ::2] + mask[1::2, ::2] + mask[::2, 1::2] + mask[1::2, 1::2]) / 4


def test_augmented_masks_are_averaged_with_every_convolution_and_pooling():
    found = guided("augmented")
    mask = three_by_three(left_and_right(*SIDES)[0].astype(np.float64))
    for layer, more in (("relu1_1", 0), ("relu2_1", 1)):
        if more:
            mask = three_by_three(halved(three_by_three(mask)))
        np.testing.assert_allclose(
            found.content[layer][0], mask / np.sqrt(mask.mean()), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(found.weights[layer][0], mask.mean(), rtol=1e-6)


@pytest.mark.parametrize("guidance", GUIDANCES[1:])
def test_guides_of_gatys_have_as_much_energy_as_the_whole_picture(guidance):
    """This includes edges at odd columns, which pooling makes soft."""
    left = np.zeros(SIDES, np.float32)
    left[:, :13] = 1
    found = guided(guidance, np.stack([left, 1 - left]))
    for layer in LAYERS:
        for guide in found.content[layer]:
            np.testing.assert_allclose((guide**2).mean(), 1, rtol=1e-5)
        np.testing.assert_allclose(found.weights[layer], [1 / 2, 1 / 2])


def test_inside_and_all_follow_receptive_fields():
    """relu2_1 has a receptive field of 10 pixels: two convolutions reach 2, the third 2 more."""
    place = {
        name: guided(name).content["relu2_1"][0][0] > 0 for name in ("simple", "inside", "all")
    }
    assert place["simple"].sum() == 8
    assert place["inside"].sum() == 6 and place["all"].sum() == 10


def test_a_region_smaller_than_receptive_fields_falls_back_to_simple():
    masks = np.zeros((2, *SIDES), np.float32)
    masks[0, 4:8, 4:8] = 1
    masks[1] = 1 - masks[0]
    inside, simple = guided("inside", masks), guided("simple", masks)
    np.testing.assert_array_equal(inside.content["relu3_1"][0], simple.content["relu3_1"][0])
    assert inside.content["relu1_1"][0].astype(bool).sum() == 4


@pytest.mark.parametrize("guidance", GUIDANCES[1:])
def test_the_whole_picture_as_one_region_has_a_guide_of_ones(guidance):
    found = guided(guidance, np.ones((1, *SIDES), np.float32))
    np.testing.assert_allclose(found.content["relu3_1"][0], 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "sides"),
    [({"rounding": "floor"}, (4, 6)), ({"rounding": "ceil"}, (5, 7))],
)
def test_guides_have_the_sides_of_the_features(options, sides):
    masks = np.ones((1, 19, 27), np.float32)
    regions = Regions(("a",), masks, (masks,))
    network = small_network(**options)
    found = guides(regions, network, (19, 27), [(19, 27)], ["relu3_1"], "augmented")
    maps = features(network, jnp.zeros((19, 27, 3)), ["relu3_1"])["relu3_1"]
    assert found.content["relu3_1"].shape[1:] == maps.shape[:2] == sides


def test_only_style_pictures_that_have_a_region_count_for_it():
    both, right = left_and_right(16, 16), left_and_right(16, 16)
    right[0] = 0
    found = guided("simple", styles=[both, right])
    np.testing.assert_array_equal(found.present, [[1, 0], [1, 1]])
    assert not found.styles[1]["relu1_1"][0].any()


def test_one_pixel_is_a_region():
    masks = np.zeros((1, *SIDES), np.float32)
    masks[0, 5, 7] = 1
    for guidance in GUIDANCES:
        for guide in guided(guidance, masks).content.values():
            assert np.isfinite(guide).all() and guide.any()


def test_without_masks_positions_count_as_much_as_they_are_visible():
    network, layers = small_network(), LAYERS[:2]
    alpha = np.linspace(0, 1, 24 * 32, dtype=np.float32).reshape(SIDES)
    for guidance in GUIDANCES:
        found = guides(
            everywhere(1), network, SIDES, [SIDES], layers, guidance, [alpha, None], layers
        )
        for layer, seen in (("relu1_1", alpha), ("relu2_1", halved(alpha))):
            expected = np.sqrt(seen / seen.mean())
            np.testing.assert_allclose(found.content[layer][0], expected, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(found.seen[layer], expected, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(found.styles[0][layer], 1, rtol=1e-6)
            np.testing.assert_allclose(found.weights[layer], [1])


def test_an_opaque_content_has_no_guide_of_its_loss():
    alpha = np.full(SIDES, 0.5, np.float32)
    both = everywhere(1), small_network(), SIDES, [SIDES], LAYERS, "simple"
    assert not guides(*both, [None, alpha], LAYERS).seen


def test_masks_hold_for_what_is_visible():
    left, right = left_and_right(*SIDES)
    masks = np.stack([left, right])
    regions = Regions(("left", "right"), masks, (masks,))
    found = guides(
        regions, small_network(), SIDES, [SIDES], ["relu1_1"], "simple", [None, left], []
    )
    inside, fallback = found.styles[0]["relu1_1"]
    np.testing.assert_array_equal(inside > 0, left > 0)
    np.testing.assert_array_equal(fallback > 0, left > 0)  # of the right nothing is visible
    np.testing.assert_array_equal(found.present, [[1], [1]])
