"""The Wasserstein loss against exact roots, and against crowsonkb's recipe in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jaxstyle.losses import LOSSES

LOSS = LOSSES["wasserstein"]
RNG = np.random.default_rng(0)


def features(height, width, channels, mean=1.0):
    """Correlated features after a ReLU, some channels stronger than others."""
    mixing = np.eye(channels) + RNG.normal(size=(channels, channels)) / (3 * np.sqrt(channels))
    independent = RNG.normal(size=(height, width, channels)) * np.geomspace(1, 0.5, channels)
    return np.maximum(independent @ mixing + mean, 0)


IMAGE, STYLE = features(20, 30, 6), features(15, 15, 6, mean=0.5)


@jax.jit
def score(image, *styles):
    """The loss of an image against a blend of styles of equal shares."""
    each = [LOSS.statistics(style) for style in styles]
    blended = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *each)
    return LOSS.distance(LOSS.statistics(image), LOSS.target(blended))


def gaussian(picture):
    """Mean, and covariance with a ridge."""
    flat = picture.reshape(-1, picture.shape[-1])
    return flat.mean(0), np.cov(flat.T, bias=True) + 1e-4 * np.eye(flat.shape[1])


def exact(image, style):
    """The formula, with the matrix roots of SciPy."""
    (mean, covariance), (target_mean, target) = gaussian(image), gaussian(style)
    root = scipy.linalg.sqrtm(target)
    traces = np.trace(covariance + target - 2 * scipy.linalg.sqrtm(root @ covariance @ root))
    return np.mean((mean - target_mean) ** 2) + traces / len(mean)


@pytest.mark.parametrize(
    "double, error", [(False, 1e-5), (True, 1e-10)], ids=["float32", "float64"]
)
def test_the_loss_is_its_formula_of_exact_roots(double, error):
    with jax.enable_x64(double):
        np.testing.assert_allclose(score(IMAGE, STYLE), exact(IMAGE, STYLE), rtol=error)


def test_blended_styles_equal_one_style_of_all_their_features(float64):
    far = STYLE + 3
    both = np.concatenate([STYLE, far])
    np.testing.assert_allclose(score(IMAGE, STYLE, far), exact(IMAGE, both), rtol=1e-10)


def test_a_flat_style_blended_with_itself_is_flat():
    """Its means differ by rounding alone, which is more than the ridge: that is no spread."""

    @jax.jit
    def root_of(picture, shares):
        moments = LOSS.statistics(picture)
        return LOSS.target(jax.tree.map(lambda x: sum(s * x for s in shares), moments)).root

    for seed in range(4):
        rng = np.random.default_rng(seed)
        picture = (rng.uniform(0, 1000, 8) * np.ones((6, 6, 8))).astype(np.float32)
        shares = rng.dirichlet(np.ones(3)).astype(np.float32)
        expected = 0.01 * np.eye(8)  # of the ridge
        np.testing.assert_allclose(root_of(picture, shares), expected, rtol=0, atol=1e-5)


def test_features_far_from_zero_keep_their_covariance():
    """Which, in float32, is no more than rounding next to their raw second moment."""
    image, style = (np.round(f * 256) / 256 + 512 for f in (IMAGE, STYLE))
    expected = exact(image - 512, style - 512)
    np.testing.assert_allclose(score(image, style), expected, rtol=1e-3)


def twelve_iterations(matrix):
    """As near to the square root of a matrix as the published program comes."""
    size, eye = np.linalg.norm(matrix), np.eye(len(matrix))
    root, inverse = matrix / size, eye
    for _ in range(12):
        step = (3 * eye - inverse @ root) / 2
        root, inverse = root @ step, step @ inverse
    return root * np.sqrt(size)


def slope_through(root, slope):
    """Its gradient with respect to the matrix: Lin & Maji 2017, of the Lyapunov equation."""
    size = np.linalg.norm(root)
    a, q = root / size, slope / size
    for _ in range(12):
        step = 3 * np.eye(len(a)) - a @ a
        q = (q @ step - a.T @ (a.T @ q - q @ a)) / 2
        a = a @ step / 2
    return q / 2


def recipe(image, style):
    """What crowsonkb/style-transfer-pytorch computes: the loss and its gradient at the image."""
    (mean, covariance), (target_mean, target) = gaussian(image), gaussian(style)
    half, share = twelve_iterations(target), np.eye(len(mean)) / len(mean)
    between = twelve_iterations(half @ covariance @ half)
    traces = np.sum(share * (target + covariance - 2 * between))
    through = share + half @ slope_through(between, -2 * share) @ half
    apart = mean - target_mean
    slope = (image - mean) @ (through + through.T) + 2 * apart / len(mean)
    return np.mean(apart**2) + traces, slope / (image.shape[0] * image.shape[1])


@pytest.mark.parametrize(
    "double, channels, positions",
    [(False, 6, 600), (False, 64, 600), (True, 64, 600), (True, 64, 40)],
    ids=["6 channels", "64 channels", "float64", "fewer positions than channels"],
)
def test_value_and_gradient_are_those_of_the_published_recipe(double, channels, positions):
    image = features(positions // 10, 10, channels)
    style = features(positions // 10, 10, channels, mean=0.5)
    value, gradient = recipe(image, style)
    with jax.enable_x64(double):
        found, slope = jax.value_and_grad(score)(jnp.asarray(image), style)
    np.testing.assert_allclose(found, value, rtol=1e-9 if double else 1e-4)
    atol = (1e-7 if double else 1e-3) * np.abs(gradient).max()
    np.testing.assert_allclose(slope, gradient, rtol=0, atol=atol)
