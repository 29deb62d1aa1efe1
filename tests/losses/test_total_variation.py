"""Total variations against loops over pixels."""

from functools import partial
from itertools import product

import jax
import numpy as np
import pytest

from jaxstyle.losses import LOSSES, TV_LOSSES

IMAGE = np.random.default_rng(0).normal(size=(6, 8, 3))


@partial(jax.jit, static_argnums=0)
def graded(name, image):
    """The total variation of an image, and its gradient."""
    loss = LOSSES[name]
    return jax.value_and_grad(lambda x: loss.distance(loss.statistics(x), None))(image)


def differences(image, down, right, until_down, until_right):
    """Those of each pixel to the one so far down and right, over the given range of pixels."""
    places = product(range(until_down), range(until_right))
    return np.array([image[i + down, j + right] - image[i, j] for i, j in places])


VERTICAL, HORIZONTAL = differences(IMAGE, 1, 0, 5, 8), differences(IMAGE, 0, 1, 6, 7)
INNER = differences(IMAGE, 1, 0, 5, 7) ** 2 + differences(IMAGE, 0, 1, 5, 7) ** 2


def nine_point(image):
    """The stencil, pixel by pixel, reading the nearest pixel where there is none."""
    height, width, _ = image.shape

    def at(i, j):
        return image[np.clip(i, 0, height - 1), np.clip(j, 0, width - 1)]

    def mean(step, rows, columns):
        squares = [(at(i + step[0], j + step[1]) - at(i, j)) ** 2 for i in rows for j in columns]
        return np.mean(squares)

    rows, columns = range(height), range(width)
    around, across = range(-1, height), range(-1, width)
    straight = mean((0, 1), rows, columns) + mean((1, 0), rows, columns)
    falling = mean((1, 1), around, across)
    rising = mean((1, -1), around, range(0, width + 1))
    return 2 * (straight / 3 + (falling + rising) / 12)


FORMULAS = {
    "total-variation": np.mean(VERTICAL**2) + np.mean(HORIZONTAL**2),
    "total-variation-absolute": np.abs(VERTICAL).sum() + np.abs(HORIZONTAL).sum(),
    "total-variation-half": INNER.sum() / 2,
    "total-variation-power": (INNER**1.25).sum(),
    "total-variation-nine": nine_point(IMAGE),
}


@pytest.mark.parametrize("name", TV_LOSSES)
def test_total_variation_is_its_formula(name):
    np.testing.assert_allclose(graded(name, IMAGE)[0], FORMULAS[name], rtol=1e-5)


@pytest.mark.parametrize("name", TV_LOSSES)
def test_a_flat_image_has_no_variation_and_no_gradient(name):
    value, gradient = graded(name, np.full((6, 8, 3), 0.3))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((6, 8, 3)))


@pytest.mark.parametrize("name", TV_LOSSES)
@pytest.mark.parametrize("shape", [(1, 5, 3), (5, 1, 3), (1, 1, 3)])
def test_a_single_row_or_column_has_a_finite_variation(name, shape):
    value, gradient = graded(name, np.random.default_rng(0).normal(size=shape))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
