"""Tests of the guided filter against loops over windows in float64, and on known results."""

import numpy as np
import pytest

from jaxstyle.images.guided_filter import guided_filter, local_affine, refined
from tests.cases import for_each

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.random((9, 12, 3), np.float32)
VALUES = RANDOM.random((9, 12, 2), np.float32)


def windows(sides, radius):
    """Yield row and column of each pixel and the slices of its window, cropped at the border."""
    for i, j in np.ndindex(*sides[:2]):
        rows, columns = (slice(max(k - radius, 0), k + radius + 1) for k in (i, j))
        yield i, j, (rows, columns)


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


EDGE = np.where(np.arange(12)[None, :, None] < 6, 0.05, 0.95)


@for_each(
    ("guide", "values", "radius", "epsilon", "within"),
    [
        (PHOTO, VALUES, 0, 0.1, 2e-5),
        (PHOTO, VALUES, 1, 1e-3, 2e-5),
        (PHOTO, VALUES, 2, 0.01, 2e-5),
        (PHOTO, VALUES, 20, 1e-4, 2e-5),
        # Pictures of one row or column.
        (PHOTO[:1, :1], VALUES[:1, :1], 3, 0.01, 2e-5),
        (PHOTO[:1, :7], VALUES[:1, :7], 3, 0.01, 2e-5),
        (PHOTO[:7, :1], VALUES[:7, :1], 3, 0.01, 2e-5),
        # float32 is precise where the guide hardly varies, and along an edge.
        (np.full_like(PHOTO, 0.7), VALUES, 2, 1e-6, 1e-6),
        (0.9 + 1e-3 * PHOTO, VALUES, 2, 1e-7, 2e-4),
        (EDGE + 0.01 * PHOTO, VALUES, 2, 1e-5, 2e-4),
    ],
)
def test_the_filter_is_that_of_the_paper(guide, values, radius, epsilon, within):
    expected = filtered(guide, values, radius, epsilon)
    np.testing.assert_allclose(guided_filter(guide, values, radius, epsilon), expected, atol=within)


def test_guide_and_values_may_have_no_channels():
    expected = filtered(PHOTO[..., :1], VALUES[..., :1], 2, 0.01)[..., 0]
    found = guided_filter(PHOTO[..., 0], VALUES[..., 0], 2, 0.01)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_local_affine_takes_an_epsilon_for_each_window():
    epsilon = np.full((9, 12), 0.01, np.float32)
    epsilon[:, 6:] = 1.0
    maps = local_affine(PHOTO, VALUES, 1, epsilon)
    np.testing.assert_allclose(maps[:, :6], fitted(PHOTO, VALUES, 1, 0.01)[:, :6], atol=2e-5)
    np.testing.assert_allclose(maps[:, 6:], fitted(PHOTO, VALUES, 1, 1.0)[:, 6:], atol=2e-5)


def test_refined_adds_the_detail_of_the_photo():
    flat = np.full_like(PHOTO, 0.5)
    detail = PHOTO - filtered(PHOTO, PHOTO, 8, 0.01)
    np.testing.assert_allclose(refined(flat, PHOTO), flat + detail, atol=2e-5)
    np.testing.assert_allclose(refined(PHOTO, flat), PHOTO, atol=1e-6)


@for_each(("radius", "epsilon"), [(-1, 0.1), (1, 0.0), (1, -1.0), (1, float("nan"))])
def test_invalid_parameters_are_refused(radius, epsilon):
    with pytest.raises(ValueError, match="must be"):
        guided_filter(PHOTO, VALUES, radius, epsilon)


def test_an_epsilon_of_a_window_that_is_not_positive_is_refused():
    epsilon = np.full((9, 12), 0.1, np.float32)
    epsilon[3, 4] = 0
    with pytest.raises(ValueError, match="epsilon must be more than 0: 0.0"):
        local_affine(PHOTO, VALUES, 1, epsilon)
