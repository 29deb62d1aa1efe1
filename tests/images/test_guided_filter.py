"""Tests of the guided filter against loops over windows in float64, and on known results."""

import numpy as np
import pytest

from jaxstyle.images.guided_filter import (
    affine_applied,
    guided_filter,
    local_affine,
    refined,
    window_mean,
)

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.random((9, 12, 3), np.float32)
VALUES = RANDOM.random((9, 12, 2), np.float32)


def windows(sides, radius):
    """Yield row and column of each pixel and the slices of its window, cropped at the border."""
    for i in range(sides[0]):
        for j in range(sides[1]):
            rows = slice(max(i - radius, 0), i + radius + 1)
            yield i, j, (rows, slice(max(j - radius, 0), j + radius + 1))


def means(values, radius):
    out = np.empty(values.shape)
    for i, j, window in windows(values.shape, radius):
        out[i, j] = values[window].mean(axis=(0, 1))
    return out


def fitted(guide, values, radius, epsilon):
    """Fit each window by least squares, with a penalty of epsilon per pixel on the slopes."""
    maps = np.empty((*guide.shape[:2], values.shape[-1], guide.shape[-1] + 1))
    for i, j, window in windows(guide.shape, radius):
        colors = guide[window].reshape(-1, guide.shape[-1]).astype(np.float64)
        inputs = np.concatenate([colors, np.ones((len(colors), 1))], axis=1)
        ridge = np.diag([len(colors) * epsilon] * guide.shape[-1] + [0])
        outputs = values[window].reshape(len(colors), -1).astype(np.float64)
        maps[i, j] = np.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ outputs).T
    return maps


def filtered(guide, values, radius, epsilon):
    maps = fitted(guide, values, radius, epsilon)
    averaged = means(maps.reshape(*guide.shape[:2], -1), radius).reshape(maps.shape)
    inputs = np.concatenate([guide, np.ones((*guide.shape[:2], 1))], axis=-1)
    return np.einsum("hwcg,hwg->hwc", averaged, inputs)


@pytest.mark.parametrize("radius, epsilon", [(0, 0.1), (1, 1e-3), (2, 0.01), (20, 1e-4)])
def test_color_guide(radius, epsilon):
    expected = filtered(PHOTO, VALUES, radius, epsilon)
    np.testing.assert_allclose(guided_filter(PHOTO, VALUES, radius, epsilon), expected, atol=2e-5)


def test_gray_guide_and_values_without_channels():
    expected = filtered(PHOTO[..., :1], VALUES[..., :1], 2, 0.01)[..., 0]
    found = guided_filter(PHOTO[..., 0], VALUES[..., 0], 2, 0.01)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_float32_is_precise_where_the_guide_hardly_varies():
    guide = 0.9 + 1e-3 * PHOTO
    expected = filtered(guide, VALUES, 2, 1e-7)
    np.testing.assert_allclose(guided_filter(guide, VALUES, 2, 1e-7), expected, atol=2e-4)


def test_float32_is_precise_along_an_edge():
    edge = np.where(np.arange(12)[None, :, None] < 6, 0.05, 0.95) + 0.01 * PHOTO
    expected = filtered(edge, VALUES, 2, 1e-5)
    np.testing.assert_allclose(guided_filter(edge, VALUES, 2, 1e-5), expected, atol=2e-4)


def test_keeps_edges_of_the_guide_and_smooths_all_others():
    guide = np.zeros((16, 16), np.float32)
    guide[:, 8:] = 1
    noise = 0.1 * RANDOM.standard_normal((16, 16)).astype(np.float32)
    smoothed = np.asarray(guided_filter(guide, guide + noise, 4, 1e-4))
    assert (smoothed[:, 8] - smoothed[:, 7]).min() > 0.9
    assert (smoothed - guide).std() < noise.std() / 4


@pytest.mark.parametrize("sides", [(1, 1), (1, 7), (7, 1)])
def test_pictures_of_one_row_or_column(sides):
    photo, values = PHOTO[: sides[0], : sides[1]], VALUES[: sides[0], : sides[1]]
    expected = filtered(photo, values, 3, 0.01)
    np.testing.assert_allclose(guided_filter(photo, values, 3, 0.01), expected, atol=2e-5)


def test_a_constant_guide_leaves_means_of_means():
    guide = np.full_like(PHOTO, 0.7)
    expected = means(means(VALUES, 2), 2)
    np.testing.assert_allclose(guided_filter(guide, VALUES, 2, 1e-6), expected, atol=1e-6)


def test_window_mean():
    np.testing.assert_allclose(window_mean(VALUES, 2), means(VALUES, 2), atol=1e-6)


def test_local_affine_takes_an_epsilon_for_each_window():
    epsilon = np.full((9, 12), 0.01, np.float32)
    epsilon[:, 6:] = 1.0
    maps = local_affine(PHOTO, VALUES, 1, epsilon)
    np.testing.assert_allclose(maps[:, :6], fitted(PHOTO, VALUES, 1, 0.01)[:, :6], atol=2e-5)
    np.testing.assert_allclose(maps[:, 6:], fitted(PHOTO, VALUES, 1, 1.0)[:, 6:], atol=2e-5)


def test_local_affine_finds_the_map_that_made_the_values():
    true = RANDOM.normal(size=(3, 4)).astype(np.float32)
    maps = local_affine(PHOTO, PHOTO @ true[:, :3].T + true[:, 3], 2, 1e-7)
    np.testing.assert_allclose(maps, np.broadcast_to(true, maps.shape), atol=1e-3)
    exact = affine_applied(maps, PHOTO)
    np.testing.assert_allclose(exact, PHOTO @ true[:, :3].T + true[:, 3], atol=1e-4)


def test_refined_adds_the_detail_of_the_photo():
    flat = np.full_like(PHOTO, 0.5)
    detail = PHOTO - filtered(PHOTO, PHOTO, 8, 0.01)
    np.testing.assert_allclose(refined(flat, PHOTO), flat + detail, atol=2e-5)


def test_refined_leaves_a_result_alone_where_the_photo_is_flat():
    flat = np.full_like(PHOTO, 0.5)
    np.testing.assert_allclose(refined(PHOTO, flat), PHOTO, atol=1e-6)


@pytest.mark.parametrize("radius, epsilon", [(-1, 0.1), (1, 0.0), (1, -1.0), (1, float("nan"))])
def test_invalid_parameters_are_refused(radius, epsilon):
    with pytest.raises(ValueError, match="must be"):
        guided_filter(PHOTO, VALUES, radius, epsilon)


def test_an_epsilon_of_a_window_that_is_not_positive_is_refused():
    epsilon = np.full((9, 12), 0.1, np.float32)
    epsilon[3, 4] = 0
    with pytest.raises(ValueError, match="epsilon must be more than 0: 0.0"):
        local_affine(PHOTO, VALUES, 1, epsilon)
