"""Colors moved to a style's, and the color space that this is done in."""

import numpy as np
import pytest

from jaxstyle.images.style_colors import from_oklab, oklab, with_style_colors

RNG = np.random.default_rng(0)


def smooth(seed, height=96, width=128):
    """A picture without fine detail."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 60
    waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-2, 2, (3, 3))]
    return (0.5 + 0.25 * np.stack(waves, axis=-1)).astype(np.float32)


def test_colors_come_back_from_oklab():
    colors = RNG.uniform(size=(50, 3))
    np.testing.assert_allclose(from_oklab(oklab(colors)), colors, atol=1e-9)


def test_gray_has_no_chroma_and_white_is_one():
    for gray in (0.0, 0.2, 1.0):
        lightness, *chroma = oklab(np.full(3, gray))
        np.testing.assert_allclose(lightness, np.cbrt(gray), atol=1e-6)
        np.testing.assert_allclose(chroma, 0, atol=1e-6)


def test_a_photo_in_its_own_colors_stays_as_it_is():
    photo = smooth(0)
    found = with_style_colors(photo, photo, [photo], [1])
    np.testing.assert_allclose(found, photo, atol=0.02)


def test_chroma_gets_the_mean_and_covariance_of_the_style():
    result, content, style = smooth(1), smooth(2), 0.5 * smooth(3) + 0.25
    found = oklab(with_style_colors(result, content, [style], [1]))
    wanted, before = (oklab(x)[..., 1:].reshape(-1, 2) for x in (style, result))
    chroma = found[..., 1:].reshape(-1, 2)
    apart = np.linalg.norm(chroma.mean(0) - wanted.mean(0))
    assert apart < 0.1 * np.linalg.norm(before.mean(0) - wanted.mean(0)) + 2e-3
    np.testing.assert_allclose(np.cov(chroma.T), np.cov(wanted.T), atol=0.3 * wanted.var())
    np.testing.assert_allclose(found[..., 0], oklab(result)[..., 0], atol=0.02)


def test_the_finest_detail_stays():
    noise = 0.1 * RNG.choice([-1, 1], size=(96, 128, 1)).astype(np.float32)
    result, content, style = smooth(1), smooth(2), smooth(3)
    plain, noisy = (with_style_colors(x, content, [style], [1]) for x in (result, result + noise))
    np.testing.assert_allclose((noisy - plain).std(), noise.std(), rtol=0.1)


def test_styles_count_by_their_shares():
    result, content, one, other = map(smooth, (1, 2, 3, 4))
    alone = with_style_colors(result, content, [one], [1])
    both = with_style_colors(result, content, [one, other], [1.0, 0.0])
    assert np.abs(alone - both).max() < 0.1
    assert np.abs(with_style_colors(result, content, [other], [1]) - alone).max() > 0.1


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_gray_pictures_have_finite_results(level):
    gray = np.full((20, 20, 3), level, np.float32)
    assert np.isfinite(with_style_colors(gray, gray, [gray], [1])).all()
    assert np.isfinite(with_style_colors(smooth(0, 20, 20), gray, [gray], [1])).all()
