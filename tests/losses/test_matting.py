"""The matting energy against pymatting's matrix, and against least squares window by window."""

from functools import partial
from itertools import product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxstyle.losses import matting
from tests.numerics import assert_trees_close

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"

with_gradient = jax.jit(jax.value_and_grad(matting.energy))


def noise(seed, height, width):
    return np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)


def photo(name, height, width):
    """The middle of one of the examples."""
    with Image.open(PHOTOS / f"{name}.jpg") as file:
        picture = np.asarray(file.convert("RGB"), np.float32) / 255
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]


def by_matrix(image, of):
    """Sum over channels of v^T L v, and its gradient, with pymatting's L."""
    from pymatting import cf_laplacian

    laplacian = cf_laplacian(of.astype(np.float64))
    flat = np.asarray(image, np.float64).reshape(-1, image.shape[-1])
    product = laplacian @ flat
    return np.sum(flat * product), 2 * product.reshape(image.shape)


def by_windows(image, of):
    """The same from the definition: (v - a . I - b) / (sqrt(epsilon) a) least squares, QR's way."""
    image, of = np.asarray(image, np.float64), np.asarray(of, np.float64)
    energy, gradient = 0.0, np.zeros_like(image)
    for y, x in product(range(image.shape[0] - 2), range(image.shape[1] - 2)):
        window = np.s_[y : y + 3, x : x + 3]
        colors, values = of[window].reshape(9, 3), image[window].reshape(9, -1)
        colors, values = colors - colors.mean(0), values - values.mean(0)
        design = np.concatenate([colors, np.sqrt(1e-7) * np.eye(3)])
        known = np.concatenate([values, np.zeros((3, values.shape[1]))])
        left = known - design @ np.linalg.lstsq(design, known, rcond=None)[0]
        energy += np.sum(left**2)
        gradient[window] += 2 * left[:9].reshape(3, 3, -1)
    return energy, gradient


def assert_same(found, expected, tolerance=1e-4):
    np.testing.assert_allclose(found[0], expected[0], rtol=tolerance)
    apart = np.linalg.norm(found[1] - expected[1])
    assert apart <= tolerance * np.linalg.norm(expected[1])


PAIRS = {
    "random": (noise(0, 20, 24), noise(1, 20, 24)),
    "random, 5 x 13": (noise(0, 5, 13), noise(1, 5, 13)),
    "one window": (noise(0, 3, 3), noise(1, 3, 3)),
    "photos": (photo("coffee", 20, 24), photo("astronaut", 20, 24)),
    "recolored": (photo("coffee", 20, 24), photo("coffee", 20, 24)[..., ::-1] ** 2),
    "far from the photo": (photo("chelsea", 20, 24), 1000 * noise(1, 20, 24) - 300),
}


@pytest.mark.parametrize("of, image", PAIRS.values(), ids=PAIRS)
def test_the_energy_and_its_gradient_are_those_of_the_matrix(of, image):
    assert_same(with_gradient(jnp.asarray(image), matting.target(of)), by_matrix(image, of))


GRAY = np.repeat(photo("coffee", 20, 24)[..., :1], 3, axis=2)
TWO_COLORS = np.where(photo("rocket", 20, 24)[..., :1] > 0.4, [0.9, 0.2, 0.1], [0.1, 0.3, 0.6])
FLAT = np.full((20, 24, 3), [0.3, 0.6, 0.9], np.float32)
NEARLY_GRAY = GRAY + np.float32(1e-5) * noise(3, 20, 24)
SKY = np.concatenate([FLAT[:10], photo("coffee", 20, 24)[10:]])
HARD = {"gray": GRAY, "nearly gray": NEARLY_GRAY, "two colors": TWO_COLORS.astype(np.float32)}
HARD |= {"flat": FLAT, "flat above": SKY, "photo": photo("coffee", 20, 24)}


@pytest.mark.parametrize(
    "dtype, error", [(np.float32, 1e-5), (np.float64, 1e-11)], ids=["float32", "float64"]
)
@pytest.mark.parametrize("of", HARD.values(), ids=HARD)
def test_the_energy_of_few_colors_is_its_definition_but_for_rounding(of, dtype, error):
    """pymatting inverts covariances, and has lost many digits here."""
    of, image = of.astype(dtype), noise(2, *of.shape[:2]).astype(dtype)
    with jax.enable_x64(dtype == np.float64):
        found = with_gradient(jnp.asarray(image), matting.target(of))
        assert_same(found, by_windows(image, of), error)


@pytest.mark.parametrize("of", HARD.values(), ids=HARD)
def test_a_tiny_energy_is_as_precise(of):
    """The photo itself, and an affine map of its colors: only epsilon |a|^2 is left."""
    mapped = of @ np.float32([[0.5, 0.1, 0], [0.2, 0.9, -0.4], [0.1, 0, 0.7]]) + np.float32(0.1)
    for image in (of, mapped):
        expected, _ = by_windows(image, of)
        found, _ = with_gradient(jnp.asarray(image), matting.target(of))
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        assert expected < 1e-3


@pytest.mark.parametrize("of", HARD.values(), ids=HARD)
def test_a_flat_image_has_no_energy_and_no_gradient(of):
    value, gradient = with_gradient(jnp.full_like(of, 0.7), matting.target(of))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(of))


@pytest.mark.parametrize("shape", [(2, 9), (9, 2), (1, 1)], ids=str)
def test_pictures_too_small_for_a_window_have_no_energy(shape):
    image = jnp.asarray(noise(0, *shape))
    value, gradient = with_gradient(image, matting.target(image))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((*shape, 3)))


def test_the_target_does_not_depend_on_the_size_of_strips(monkeypatch):
    of = photo("coffee", 23, 12)
    whole = matting.target(of)
    monkeypatch.setattr(matting, "STRIP", 4)
    assert_trees_close(matting.target(of), whole, rtol=0)


def test_the_energy_of_any_number_of_channels_is_the_sum_of_theirs():
    local, image = matting.target(noise(0, 20, 24)), noise(1, 20, 24)
    alone = [float(with_gradient(image[..., k : k + 1], local)[0]) for k in range(3)]
    np.testing.assert_allclose(with_gradient(image, local)[0], sum(alone), rtol=1e-5)


def test_the_second_derivative_is_twice_the_matrix():
    of, image, along = noise(0, 9, 7), jnp.asarray(noise(1, 9, 7)), noise(2, 9, 7)
    slope = jax.grad(partial(matting.energy, target=matting.target(of)))
    _, change = jax.jit(partial(jax.jvp, slope))((image,), (jnp.asarray(along),))
    _, expected = by_matrix(along, of)
    np.testing.assert_allclose(change, expected, atol=1e-4 * np.abs(expected).max())


def test_a_batch_has_the_energies_of_its_images():
    locals_ = [matting.target(noise(seed, 20, 24)) for seed in range(3)]
    images = np.stack([noise(seed, 20, 24) for seed in range(3, 6)])
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *locals_)
    values, gradients = jax.jit(jax.vmap(with_gradient))(images, stacked)
    for *found, image, local in zip(values, gradients, images, locals_, strict=True):
        assert_same(found, with_gradient(image, local), 1e-5)


def test_the_target_of_a_device_array_is_that_of_the_host():
    of = noise(0, 6, 7)
    found = matting.target(jnp.asarray(of))
    assert {leaf.dtype for leaf in found} == {np.dtype("float32")}
    assert_trees_close(found, matting.target(of), rtol=0)
