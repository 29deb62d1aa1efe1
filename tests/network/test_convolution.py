"""Every algorithm is the convolution, and so is its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.network.convolution import ALGORITHMS, convolve, prepare

SIDES = [(8, 8), (7, 10), (1, 1), (5, 2), (3, 13)]
ACCURACY = {"direct": 1e-6, "winograd": 5e-6}


def by_hand(x, kernel, margin):
    """The definition, in double precision."""
    padded = np.pad(np.float64(x), ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    taps = [(i, j) for i in range(3) for j in range(3)]
    return sum(padded[:, i : i + height, j : j + width] @ np.float64(kernel[i, j]) for i, j in taps)


def arrays(height, width, channels=6, outputs=5):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, height, width, channels))
    kernel = rng.normal(size=(3, 3, channels, outputs)) / np.sqrt(9 * channels)
    return x.astype(np.float32), jnp.asarray(kernel, jnp.float32)


def compiled(algorithm, margin, kernel):
    prepared = prepare(kernel, algorithm)

    def run(x, kernel):
        return convolve(x, kernel, prepared, margin=margin)

    return run


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_is_the_convolution(algorithm, sides):
    x, kernel = arrays(*sides)
    y = jax.jit(compiled(algorithm, 1, kernel))(x, kernel)
    np.testing.assert_allclose(y, by_hand(x, kernel, 1), atol=ACCURACY[algorithm] * 4)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_without_a_margin_it_is_smaller(algorithm):
    x, kernel = arrays(9, 6)
    y = jax.jit(compiled(algorithm, 0, kernel))(x, kernel)
    assert y.shape == (1, 7, 4, 5)
    np.testing.assert_allclose(y, by_hand(x, kernel, 0), atol=ACCURACY[algorithm] * 4)


@pytest.mark.parametrize("margin", [0, 1])
def test_its_gradients_are_those_of_the_direct_one(margin):
    """To the input, and to the kernel."""
    x, kernel = arrays(9, 6)
    weights = np.random.default_rng(1).normal(size=by_hand(x, kernel, margin).shape)

    def gradients(name):
        run = compiled(name, margin, kernel)

        def loss(x, kernel):
            return jnp.sum(weights * run(x, kernel))

        return jax.jit(jax.grad(loss, (0, 1)))(x, kernel)

    for one, other in zip(gradients("winograd"), gradients("direct"), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_batch_is_each_of_its_images():
    x, kernel = arrays(5, 6)
    batch = np.stack([x, 2 * x, -x])
    one = compiled("winograd", 1, kernel)
    together = jax.jit(jax.vmap(one, in_axes=(0, None)))(batch, kernel)
    single = jax.jit(one)
    for alone, image in zip(np.asarray(together), batch, strict=True):
        np.testing.assert_allclose(alone, single(image, kernel), atol=1e-5)


def test_double_precision_stays_so(float64):
    x, kernel = (jnp.asarray(np.float64(a)) for a in arrays(9, 6))
    y = jax.jit(compiled("winograd", 1, kernel))(x, kernel)
    np.testing.assert_allclose(y, by_hand(x, kernel, 1), atol=1e-13)


def test_nothing_is_prepared_for_the_compilers_own():
    assert prepare(arrays(4, 4)[1], "direct") is None
