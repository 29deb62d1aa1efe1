"""The Wasserstein loss against exact roots, and against crowsonkb's recipe in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jaxstyle.losses import LOSSES
from jaxstyle.losses.matrix_root import square_root, trace_of_root

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


def gaussian(*pictures):
    """Mean and covariance of the union of pictures, each of the same share."""
    means = [f.reshape(-1, f.shape[-1]).mean(0) for f in pictures]
    raw = [np.einsum("hwc,hwd->cd", f, f) / (f.shape[0] * f.shape[1]) for f in pictures]
    mean = np.mean(means, 0)
    return mean, np.mean(raw, 0) - np.outer(mean, mean) + 1e-4 * np.eye(len(mean))


def exact(image, *styles):
    """The formula, with the matrix roots of SciPy."""
    (mean, covariance), (target_mean, target) = gaussian(image), gaussian(*styles)
    root = scipy.linalg.sqrtm(target)
    traces = np.trace(covariance + target - 2 * scipy.linalg.sqrtm(root @ covariance @ root))
    return np.mean((mean - target_mean) ** 2) + traces / len(mean)


def positive(channels, condition):
    """A symmetric matrix with eigenvalues from 3 down to 3 / condition."""
    basis, _ = np.linalg.qr(RNG.normal(size=(channels, channels)))
    return basis * np.geomspace(3, 3 / condition, channels) @ basis.T


def test_the_root_is_exact_in_float64(float64):
    matrix = positive(8, 100)
    expected = scipy.linalg.sqrtm(matrix)
    np.testing.assert_allclose(jax.jit(square_root)(matrix), expected, rtol=0, atol=1e-13)


def test_the_slope_of_the_trace_is_half_the_inverse_root(float64):
    matrix = positive(8, 100)
    value, slope = jax.jit(jax.value_and_grad(trace_of_root))(matrix)
    root = scipy.linalg.sqrtm(matrix)
    np.testing.assert_allclose(value, np.trace(root), rtol=1e-13)
    np.testing.assert_allclose(slope, np.linalg.inv(root) / 2, rtol=0, atol=1e-12)


def test_the_loss_is_exact_in_float64(float64):
    np.testing.assert_allclose(score(IMAGE, STYLE), exact(IMAGE, STYLE), rtol=1e-10)


def test_the_loss_in_float32():
    np.testing.assert_allclose(score(IMAGE, STYLE), exact(IMAGE, STYLE), rtol=1e-5)


def test_gaussians_along_the_axes_have_a_known_distance(float64):
    """Of independent channels it is the squared difference of means and of deviations."""
    corners = np.array(np.meshgrid([-1, 1], [-1, 1])).T.astype(float)  # unit variance, uncorrelated
    image, style = corners * [2, 3] + [5, 0], corners * [1, 7] + [4, 2]
    expected = np.mean([1 + 1, 4 + 16])
    np.testing.assert_allclose(score(image, style), expected, rtol=1e-3)  # but for the ridge


def test_several_styles_are_one_cloud(float64):
    far = STYLE + 3
    found = score(IMAGE, STYLE, far)
    np.testing.assert_allclose(found, exact(IMAGE, STYLE, far), rtol=1e-10)
    both = np.concatenate([STYLE, far])
    np.testing.assert_allclose(found, score(IMAGE, both), rtol=1e-10)


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


def recipe(torch, image, style, dtype):
    """The published recipe: value, and gradient with respect to the features of the image."""

    def root(a):
        size = torch.linalg.matrix_norm(a)
        y, z = a / size, torch.eye(len(a), dtype=dtype)
        for _ in range(12):
            t = (3 * torch.eye(len(a), dtype=dtype) - z @ y) / 2
            y, z = y @ t, t @ z
        return y * size.sqrt()

    class Root(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            result = root(a)
            ctx.save_for_backward(result)
            return result

        @staticmethod
        def backward(ctx, *slopes):
            (result,) = ctx.saved_tensors
            size = torch.linalg.matrix_norm(result)
            a, q = result / size, slopes[0] / size
            for _ in range(12):
                t = 3 * torch.eye(len(a), dtype=dtype) - a @ a
                q = (q @ t - a.T @ (a.T @ q - q @ a)) / 2
                a = a @ t / 2
            return q / 2

    def moments(features):
        flat = features.reshape(-1, features.shape[-1])
        mean = flat.mean(0)
        ridge = 1e-4 * torch.eye(len(mean), dtype=dtype)
        return mean, flat.T @ flat / len(flat) - torch.outer(mean, mean) + ridge

    features = torch.tensor(image, dtype=dtype, requires_grad=True)
    (mean, covariance), (target_mean, target) = map(
        moments, (features, torch.tensor(style, dtype=dtype))
    )
    half = root(target)
    between = Root.apply(half @ covariance @ half)
    value = ((mean - target_mean) ** 2).mean()
    value = value + torch.diagonal(target + covariance - 2 * between).mean()
    value.backward()
    return value.item(), features.grad.numpy()


@pytest.mark.parametrize("channels", [6, 64])
def test_value_and_gradient_are_those_of_the_published_recipe(channels):
    torch = pytest.importorskip("torch")
    image, style = features(20, 30, channels), features(15, 15, channels, mean=0.5)
    value, gradient = recipe(torch, image, style, torch.float32)
    found, slope = jax.value_and_grad(lambda x: score(x, style))(jnp.asarray(image))
    np.testing.assert_allclose(found, value, rtol=1e-4)
    np.testing.assert_allclose(slope, gradient, rtol=0, atol=1e-3 * np.abs(gradient).max())


@pytest.mark.parametrize("positions", [600, 40])
def test_the_recipe_in_float64(float64, positions):
    """With fewer positions than channels too, where twelve iterations are far from the root."""
    torch = pytest.importorskip("torch")
    image, style = features(positions // 10, 10, 64), features(positions // 10, 10, 64, mean=0.5)
    value, gradient = recipe(torch, image, style, torch.float64)
    found, slope = jax.value_and_grad(lambda x: score(x, style))(jnp.asarray(image))
    np.testing.assert_allclose(found, value, rtol=1e-9)
    np.testing.assert_allclose(slope, gradient, rtol=0, atol=1e-7 * np.abs(gradient).max())
