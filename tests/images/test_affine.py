"""Tests of local affine maps against loops over pixels in float64, and on known maps."""

import numpy as np
import pytest

from jaxstyle.images.affine import _smoothed, applied, fit, smoothed

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.random((9, 13, 3), np.float32)
RESULT = RANDOM.random((9, 13, 3), np.float32)
MAPS = RANDOM.normal(size=(9, 13, 3, 4)).astype(np.float32)
TRUE = np.array([[0.6, 0.3, -0.1, 0.2], [0.1, 0.9, 0, -0.05], [-0.2, 0.2, 0.7, 0.1]], np.float32)


def recolored(photo):
    return photo @ TRUE[:, :3].T + TRUE[:, 3]


def fitted(photo, result, ridge):
    """Solve the normal equations of the authors' code: sums over windows, ridge on slopes."""
    maps = np.empty((*photo.shape[:2], 3, 4))
    for i, j in np.ndindex(photo.shape[:2]):
        window = slice(max(i - 1, 0), i + 2), slice(max(j - 1, 0), j + 2)
        colors = photo[window].reshape(-1, 3).astype(np.float64)
        inputs = np.concatenate([colors, np.ones((len(colors), 1))], axis=1)
        normal = inputs.T @ inputs + np.diag([ridge, ridge, ridge, 0])
        maps[i, j] = np.linalg.solve(normal, inputs.T @ result[window].reshape(-1, 3)).T
    return maps


def averaged(maps, photo, radius, edge):
    photo = photo.astype(np.float64)
    out = np.empty(maps.shape)
    for i, j in np.ndindex(photo.shape[:2]):
        top, left = max(i - radius, 0), max(j - radius, 0)
        window = slice(top, i + radius + 1), slice(left, j + radius + 1)
        rows, columns = np.indices(photo[window].shape[:2])
        apart = (rows + top - i) ** 2 + (columns + left - j) ** 2
        unlike = np.mean((photo[window] - photo[i, j]) ** 2, axis=-1)
        weights = np.exp(-apart / (2 * (radius / 3) ** 2) - unlike / (2 * edge**2))
        out[i, j] = np.tensordot(weights, maps[window], axes=2) / weights.sum()
    return out


@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_fit_solves_the_normal_equations(ridge):
    np.testing.assert_allclose(
        fit(PHOTO, RESULT, ridge), fitted(PHOTO, RESULT, ridge), rtol=1e-3, atol=1e-4
    )


def test_fit_is_precise_where_the_photo_hardly_varies():
    photo = 0.9 + 0.003 * PHOTO
    np.testing.assert_allclose(fit(photo, RESULT), fitted(photo, RESULT, 1e-3), atol=3e-4)


@pytest.mark.parametrize("radius, edge", [(4, 0.1), (15, 0.5)])
def test_smoothed_is_a_joint_bilateral_filter(radius, edge):
    expected = averaged(MAPS, PHOTO, radius, edge)
    np.testing.assert_allclose(smoothed(MAPS, PHOTO, radius, edge), expected, atol=1e-5)


@pytest.mark.parametrize("strip", [4, 20])
def test_the_height_of_strips_does_not_change_the_result(strip):
    expected = averaged(MAPS, PHOTO, 3, 0.2)
    np.testing.assert_allclose(_smoothed(MAPS, PHOTO, 3, 0.2, strip), expected, atol=1e-5)


@pytest.mark.parametrize("sides", [(1, 1), (7, 1)])
def test_small_pictures(sides):
    photo, result = PHOTO[: sides[0], : sides[1]], RESULT[: sides[0], : sides[1]]
    maps = fit(photo, result)
    np.testing.assert_allclose(maps, fitted(photo, result, 1e-3), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        smoothed(maps, photo), averaged(np.asarray(maps), photo, 15, 0.01), atol=1e-4
    )


def test_a_constant_photo_gets_the_mean_of_its_windows_and_no_slopes():
    maps = np.asarray(fit(np.full_like(PHOTO, 0.3), RESULT))
    np.testing.assert_allclose(maps[..., :3], 0, atol=1e-6)
    np.testing.assert_allclose(maps[4, 4, :, 3], RESULT[3:6, 3:6].mean(axis=(0, 1)), rtol=1e-5)


def test_a_photo_as_its_own_result_is_unchanged():
    maps = smoothed(fit(PHOTO, PHOTO), PHOTO)
    np.testing.assert_allclose(applied(maps, PHOTO), PHOTO, atol=0.01)


def test_a_global_recoloring_is_reproduced():
    maps = smoothed(fit(PHOTO, recolored(PHOTO), 1e-6), PHOTO)
    inner = maps[1:-1, 1:-1]  # in a corner four pixels tell hardly enough
    np.testing.assert_allclose(inner, np.broadcast_to(TRUE, inner.shape), atol=1e-3)
    np.testing.assert_allclose(applied(maps, PHOTO), recolored(PHOTO), atol=1e-4)


def test_details_that_the_photo_lacks_are_removed():
    photo = np.linspace(0, 1, 40 * 40, dtype=np.float32).reshape(40, 40, 1).repeat(3, axis=2)
    brushwork = 0.1 * RANDOM.standard_normal(photo.shape).astype(np.float32)
    found = applied(smoothed(fit(photo, photo + brushwork), photo, edge=0.1), photo)
    assert np.std(found - photo) < 0.2 * brushwork.std()


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan")])
def test_invalid_ridge_is_refused(ridge):
    with pytest.raises(ValueError, match="ridge must be"):
        fit(PHOTO, RESULT, ridge)


@pytest.mark.parametrize("radius, edge", [(0, 0.1), (3, 0.0), (3, float("nan"))])
def test_invalid_smoothing_is_refused(radius, edge):
    with pytest.raises(ValueError, match="must be"):
        smoothed(MAPS, PHOTO, radius, edge)
