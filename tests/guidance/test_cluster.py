"""Tests of clustering: regions correspond regardless of position and light."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.guidance import cluster
from jaxstyle.guidance.cluster import auto_regions


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Use a quarter of the real sizes, for a small network."""
    monkeypatch.setattr(cluster, "FEATURES_SIDE", 128)
    monkeypatch.setattr(cluster, "MASKS_SIDE", 96)


def scene(mirrored=False, light=(1.0, 1.0, 1.0), seed=0, height=64, width=80):
    """Return a picture that is rough on the left and smooth on the right, or the reverse."""
    rng = np.random.default_rng(seed)
    rough = 0.5 + 0.3 * np.sign(rng.normal(size=(height // 4, width // 8, 1)))
    smooth = np.linspace(0.55, 0.6, height)[:, None, None]
    left = np.kron(rough, np.ones((4, 4, 3)))
    right = np.broadcast_to(smooth, (height, width // 2, 3))
    picture = np.concatenate([right, left] if mirrored else [left, right], axis=1)
    return (picture * light).astype(np.float32)


def assert_whole(regions, *notes):
    """One region, which is the whole of every picture."""
    assert regions.names == ("region 1",)
    assert regions.notes == notes
    for masks in (regions.content, *regions.styles):
        np.testing.assert_allclose(masks, 1, atol=1e-6)


def test_regions_correspond_in_another_position_and_light(network):
    night = scene(mirrored=True, light=(0.3, 0.35, 0.6), seed=1)
    regions = auto_regions(network, scene(), [night], 2)
    (style,) = regions.styles
    assert regions.names == ("region 1", "region 2") and regions.notes == ()
    left, right = regions.content[:, :, :30].mean((1, 2)), regions.content[:, :, -30:].mean((1, 2))
    rough, smooth = int(left.argmax()), int(right.argmax())
    assert {rough, smooth} == {0, 1}
    assert left[rough] > 0.9 and right[smooth] > 0.9
    assert style[rough, :, -30:].mean() > 0.9 and style[smooth, :, :30].mean() > 0.9


def test_an_edge_of_the_masks_is_that_of_the_picture_and_identical_pictures_have_the_same(network):
    content = scene()
    regions = auto_regions(network, content, [content], 2)
    masks = regions.content
    np.testing.assert_allclose(masks, regions.styles[0], atol=1e-5)
    rough = masks[int(masks[:, :, :30].mean((1, 2)).argmax())]
    assert rough[:, :37].mean() > 0.9 > 0.1 > rough[:, 43:].mean()


@pytest.mark.parametrize("count", [5, pytest.param(2, marks=pytest.mark.slow)])
def test_masks_share_every_pixel_and_every_region_is_in_content_and_style(network, picture, count):
    styles = [picture(1, 80, 64), scene()]
    regions = auto_regions(network, picture(0, 64, 80), styles, count)
    found = len(regions.names)
    assert 1 <= found <= count and bool(regions.notes) == (found < count)
    every = regions.content, *regions.styles
    assert [masks.shape for masks in every] == [(found, 64, 80), (found, 80, 64), (found, 64, 80)]
    for masks in every:
        assert masks.dtype == np.float32 and masks.min() >= 0
        np.testing.assert_allclose(masks.sum(0), 1, atol=1e-5)
    least = cluster.LEAST / 3
    assert regions.content.mean((1, 2)).min() > least
    assert np.max([masks.mean((1, 2)) for masks in regions.styles], axis=0).min() > least


def test_the_largest_region_of_the_content_is_the_first(network):
    content = np.concatenate([scene()[:, 20:], scene()[:, 60:]], axis=1)
    shares = auto_regions(network, content, [scene()], 2).content.mean((1, 2))
    assert shares[0] > 0.6 > 0.4 > shares[1]


def test_regions_are_the_same_every_time_and_for_jax_arrays(network):
    content, style = scene(), scene(mirrored=True, seed=1)
    first = auto_regions(network, jnp.asarray(content), [jnp.asarray(style)], 3)
    again = auto_regions(network, content, [style], 3)
    np.testing.assert_array_equal(first.content, again.content)
    np.testing.assert_array_equal(first.styles[0], again.styles[0])


def test_a_single_region_is_the_whole_and_needs_no_features(network, picture, monkeypatch):
    monkeypatch.setattr(cluster, "_features", None)
    pictures = [picture(seed, 64, 80) for seed in range(3)]
    assert_whole(auto_regions(network, pictures[0], pictures[1:], 1))


def test_pictures_without_a_common_cluster_have_one_region_and_a_note(network, picture):
    flat = np.full((64, 80, 3), 0.4, np.float32)
    for content, style in ((flat, scene()), (picture(0, 64, 80), picture(1, 80, 64))):
        note = "asked for 3 regions: 1 found in both content and style"
        assert_whole(auto_regions(network, content, [style], 3), note)


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((3, 200), (1, 96)),  # as large as masks may be
        pytest.param((1, 1), (1, 1), marks=pytest.mark.slow),
        pytest.param((20, 17), (20, 17), marks=pytest.mark.slow),
    ],
)
def test_tiny_and_narrow_pictures(network, shape, sides):
    tiny = np.random.default_rng(0).random((*shape, 3), np.float32)
    regions = auto_regions(network, tiny, [scene()], 3)
    assert regions.content.shape[1:] == sides and regions.styles[0].shape[1:] == (64, 80)
    assert np.isfinite(regions.content).all() and np.isfinite(regions.styles[0]).all()


@pytest.mark.slow
@pytest.mark.real_weights
def test_the_masks_of_a_photo_and_of_its_night_are_nearly_the_same():
    from pathlib import Path

    from jaxstyle import images, resolve
    from jaxstyle.execution.factories import network_of
    from jaxstyle.network import weights

    network = network_of(weights.load(weights.find()), resolve())
    photo = images.read(Path(__file__).parents[2] / "examples" / "photos" / "chelsea.jpg").rgb
    photo = images.resize(photo, 60, 90)
    night = (0.8 * photo**1.6 * [0.4, 0.5, 1]).astype(np.float32)
    regions = auto_regions(network, photo, [night], 3)
    assert len(regions.names) == 3  # it is one picture: they are told apart though they look alike
    assert np.abs(regions.content - regions.styles[0]).sum(0).mean() < 0.3
