"""Every algorithm is the convolution, and so is its gradient."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.network.convolution import ALGORITHMS, convolve, prepare
from tests.numerics import assert_trees_close

CASES = [(8, 8, 1), (7, 10, 1), (1, 1, 1), (5, 2, 1), (3, 13, 1), (9, 6, 0)]
ACCURACY = {"direct": 4e-6, "winograd": 2e-5}


def by_hand(x, kernel, margin):
    """The definition, in double precision."""
    padded = np.pad(np.float64(x), ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    taps = product(range(3), range(3))
    return sum(padded[:, i : i + height, j : j + width] @ np.float64(kernel[i, j]) for i, j in taps)


def arrays(height, width, channels=6, outputs=5):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, height, width, channels))
    kernel = rng.normal(size=(3, 3, channels, outputs)) / np.sqrt(9 * channels)
    return x.astype(np.float32), jnp.asarray(kernel, jnp.float32)


def compiled(algorithm, margin, kernel):
    prepared = prepare(kernel, algorithm)
    return lambda x, kernel: convolve(x, kernel, prepared, margin=margin)


@pytest.mark.parametrize(("height", "width", "margin"), CASES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_equals_the_definition(algorithm, height, width, margin):
    x, kernel = arrays(height, width)
    y = jax.jit(compiled(algorithm, margin, kernel))(x, kernel)
    np.testing.assert_allclose(y, by_hand(x, kernel, margin), atol=ACCURACY[algorithm])


@pytest.mark.parametrize("margin", [0, 1])
def test_gradients_of_winograd_equal_those_of_direct(margin):
    """To the input, and to the kernel."""
    x, kernel = arrays(9, 6)
    weights = np.random.default_rng(1).normal(size=by_hand(x, kernel, margin).shape)

    def gradients(name):
        run = compiled(name, margin, kernel)
        total = jax.grad(lambda x, kernel: jnp.sum(weights * run(x, kernel)), (0, 1))
        return jax.jit(total)(x, kernel)

    assert_trees_close(gradients("winograd"), gradients("direct"), atol=1e-4)


def test_a_batch_equals_its_images_one_by_one():
    x, kernel = arrays(5, 6)
    batch = np.stack([x, 2 * x, -x])
    one = jax.jit(compiled("winograd", 1, kernel))
    together = jax.jit(jax.vmap(one, in_axes=(0, None)))(batch, kernel)
    np.testing.assert_allclose(together, [one(image, kernel) for image in batch], atol=1e-5)


def test_winograd_keeps_double_precision(float64):
    x, kernel = (jnp.asarray(np.float64(a)) for a in arrays(9, 6))
    y = jax.jit(compiled("winograd", 1, kernel))(x, kernel)
    np.testing.assert_allclose(y, by_hand(x, kernel, 1), atol=1e-13)
