"""Arrays, and comparisons of them, for tests of functions of arrays."""

import jax
import numpy as np


def assert_trees_close(found, expected, **tolerance) -> None:
    """As `np.testing.assert_allclose`, of every leaf of two pytrees."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), found, expected)


def assert_gradient(value_and_gradient, at, along, rtol: float) -> None:
    """The gradient of a function is what central differences of its value, in float64, say."""
    step = 1e-6
    ahead, behind = (value_and_gradient(at + sign * step * along)[0] for sign in (1, -1))
    slope = np.vdot(value_and_gradient(at)[1], along)
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=rtol)


def left_and_right(height: int, width: int) -> np.ndarray:
    """The masks of two regions: the left half and the right half."""
    left = np.zeros((height, width), np.float32)
    left[:, : width // 2] = 1
    return np.stack([left, 1 - left])
