"""Tests of local affine maps against loops over pixels in float64, and on known maps."""

import numpy as np
import pytest

from jaxstyle.images.affine import RIDGE, applied, fit, smoothed
from tests.cases import for_each

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.random((9, 13, 3), np.float32)
RESULT = RANDOM.random((9, 13, 3), np.float32)
MAPS = RANDOM.normal(size=(9, 13, 3, 4)).astype(np.float32)
TRUE = np.array([[0.6, 0.3, -0.1, 0.2], [0.1, 0.9, 0, -0.05], [-0.2, 0.2, 0.7, 0.1]], np.float32)


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


def close(found, expected, **tolerances):
    np.testing.assert_allclose(found, expected, **tolerances)


@for_each(
    ("photo", "result", "ridge", "atol"),
    [
        (PHOTO, RESULT, 1e-3, 1e-4),
        (PHOTO, RESULT, 1.0, 1e-4),
        (PHOTO[:1, :1], RESULT[:1, :1], 1e-3, 1e-4),
        (PHOTO[:7, :1], RESULT[:7, :1], 1e-3, 1e-4),
        (0.9 + 0.003 * PHOTO, RESULT, 1e-3, 3e-4),  # precise where the photo hardly varies
        (np.full_like(PHOTO, 0.3), RESULT, 1e-3, 1e-6),
    ],
)
def test_fit_solves_the_normal_equations(photo, result, ridge, atol):
    close(fit(photo, result, ridge), fitted(photo, result, ridge), rtol=1e-3, atol=atol)
    if ridge == RIDGE:
        close(fit(photo, result), fit(photo, result, ridge), rtol=0)


@for_each(
    ("sides", "radius", "edge"),
    [
        ((9, 13), 3, 0.2),
        ((9, 13), 4, 0.1),
        ((9, 13), 15, 0.5),
        ((1, 1), 15, 0.01),
        ((7, 1), 15, 0.01),
    ],
)
def test_smoothed_is_a_joint_bilateral_filter(sides, radius, edge):
    maps, photo = (values[: sides[0], : sides[1]] for values in (MAPS, PHOTO))
    close(smoothed(maps, photo, radius, edge), averaged(maps, photo, radius, edge), atol=1e-5)


def test_a_global_recoloring_is_reproduced():
    recolored = PHOTO @ TRUE[:, :3].T + TRUE[:, 3]
    maps = smoothed(fit(PHOTO, recolored, 1e-6), PHOTO)
    inner = maps[1:-1, 1:-1]  # in a corner four pixels tell hardly enough
    close(inner, np.broadcast_to(TRUE, inner.shape), atol=1e-3)
    close(applied(maps, PHOTO), recolored, atol=1e-4)


NAN = float("nan")


@for_each(
    ("ridge", "radius", "edge", "message"),
    [
        *((ridge, 3, 0.1, "ridge must be") for ridge in (0.0, -1.0, NAN)),
        (1.0, 0, 0.1, "radius must be"),
        *((1.0, 3, edge, "edge must be") for edge in (0.0, NAN)),
    ],
)
def test_invalid_parameters_are_refused(ridge, radius, edge, message):
    with pytest.raises(ValueError, match=message):
        smoothed(fit(PHOTO, RESULT, ridge), PHOTO, radius, edge)
