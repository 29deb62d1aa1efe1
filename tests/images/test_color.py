"""Tests of color matching and of luminance transfer."""

import numpy as np
import pytest
import skimage.color

from jaxstyle import images
from jaxstyle.images import color
from tests.cases import for_each

GRAY = np.linspace(0.1, 0.9, 30, dtype=np.float32).reshape(5, 6, 1).repeat(3, axis=-1)
ONE_COLOR = np.broadcast_to(np.array([0.8, 0.3, 0.1], np.float32), (4, 7, 3)).copy()
ONE_PIXEL = np.array([[[0.2, 0.6, 0.7]]], np.float32)


def correlated(seed: int, height: int = 24, width: int = 31, spread: float = 0.12) -> np.ndarray:
    """Return a picture of correlated channels; a small spread keeps all colors within range."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(3) + rng.uniform(-0.6, 0.6, (3, 3))
    pixels = rng.uniform(-1, 1, (height, width, 3)) @ mixing
    return np.clip(spread * pixels + rng.uniform(0.4, 0.6, 3), 0, 1).astype(np.float32)


def statistics(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flat = pixels.reshape(-1, 3).astype(np.float64)
    return flat.mean(axis=0), np.cov(flat.T, bias=True)


def root(matrix: np.ndarray) -> np.ndarray:
    """Compute the symmetric square root by Denman and Beavers' iteration, without eigenvalues."""
    value, inverse = matrix, np.eye(3)
    for _ in range(60):
        turned = np.linalg.inv(value)
        value, inverse = (value + np.linalg.inv(inverse)) / 2, (inverse + turned) / 2
    return value


# --- color matching -------------------------------------------------------------------------------


@for_each("method", color.COLOR_MATCHES)
@for_each("seed", range(3))
def test_mean_and_covariance_become_the_content_s(method, seed):
    style, content = correlated(seed), correlated(seed + 10, 17, 9)
    matrix, shift = color.color_map(style, content, method)
    mean, covariance = statistics(style @ matrix.T + shift)
    expected_mean, expected = statistics(content)
    np.testing.assert_allclose(mean, expected_mean, atol=1e-12)
    # What the ridge of 1e-5 leaves undone is known.
    left = 1e-5 * (np.eye(3) - matrix @ matrix.T)
    np.testing.assert_allclose(covariance, expected + left, atol=1e-12)
    assert np.abs(left).max() < 0.05 * np.abs(expected).max()
    assert np.abs(statistics(style)[1] - expected).max() > 0.2 * np.abs(expected).max()


def test_the_square_roots_are_those_of_the_paper_and_its_code():
    style, content = correlated(0), correlated(1, 8, 9)
    s, c = (statistics(each)[1] + 1e-5 * np.eye(3) for each in (style, content))
    maps = {name: color.color_map(style, content, name)[0] for name in color.COLOR_MATCHES}
    assert not np.triu(maps["cholesky"], 1).any()
    assert (np.diag(maps["cholesky"]) > 0).all()  # with A S A^T = C, this determines A
    np.testing.assert_allclose(maps["pca"], root(c) @ np.linalg.inv(root(s)), atol=1e-8)
    np.testing.assert_allclose(maps["symmetric"], maps["symmetric"].T, atol=1e-10)
    assert (np.linalg.eigvalsh(maps["symmetric"]) > 0).all()  # with A S A^T = C, this too
    for one, other in (("cholesky", "pca"), ("pca", "symmetric"), ("symmetric", "cholesky")):
        assert np.abs(maps[one] - maps[other]).max() > 0.01


@for_each("method", color.COLOR_MATCHES)
@for_each("picture", [correlated(4), GRAY, ONE_COLOR, ONE_PIXEL])
def test_matching_a_picture_to_itself_changes_nothing(method, picture):
    np.testing.assert_allclose(color.match_colors(picture, picture, method), picture, atol=1e-6)


@for_each("method", color.COLOR_MATCHES)
def test_matched_colors_are_the_map_clipped(method):
    style, content = correlated(5), correlated(6, spread=0.5)
    matrix, shift = color.color_map(style, content, method)
    unclipped = style @ matrix.T + shift
    matched = color.match_colors(style, content, method)
    assert unclipped.min() < 0 or unclipped.max() > 1
    assert matched.dtype == np.float32
    np.testing.assert_allclose(matched, unclipped.clip(0, 1), atol=1e-7)


@for_each("method", color.COLOR_MATCHES)
def test_one_color_and_gray_stay_so(method):
    content = correlated(9)
    for flat in (ONE_COLOR, ONE_PIXEL):
        mean = np.broadcast_to(content.mean(axis=(0, 1)), flat.shape)
        np.testing.assert_allclose(color.match_colors(flat, content, method), mean, atol=1e-6)
        shown = color.match_colors(content, flat, method)  # the ridge leaves a trace of its own
        np.testing.assert_allclose(shown, np.broadcast_to(flat[0, 0], shown.shape), atol=0.02)
    gray = color.match_colors(GRAY**2, GRAY, method)
    assert np.ptp(gray, axis=-1).max() < 1e-3
    np.testing.assert_allclose(gray.std(), GRAY.std(), rtol=1e-3)


# --- luminance ------------------------------------------------------------------------------------


@for_each(
    ("space", "primaries"),
    [
        ("rec601", [0.299, 0.587, 0.114]),
        ("rec709", [0.2126, 0.7152, 0.0722]),
        ("lab", [0.5324, 0.8774, 0.3230]),  # the published L* of sRGB red, green and blue
    ],
)
def test_luminance_of_the_primaries_and_from_black_to_white(space, primaries):
    found = color.luminance(np.eye(3, dtype=np.float32)[None], space)
    np.testing.assert_allclose(found, [primaries], atol=1e-4 if space == "lab" else 1e-7)
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None, :, None].repeat(3, axis=-1)
    values = color.luminance(ramp, space)
    np.testing.assert_allclose(values[0, [0, -1]], [0, 1], atol=1e-6)
    assert (np.diff(values) > 0).all()
    assert values.dtype == np.float32
    if space != "lab":
        np.testing.assert_allclose(values, ramp[..., 0], atol=1e-6)


@for_each("space", color.LUMINANCES)
def test_a_picture_with_its_own_luminance_is_itself(space):
    cube = np.stack(np.meshgrid(*[np.linspace(0, 1, 12)] * 3), axis=-1)
    for colors in (cube.reshape(12, -1, 3).astype(np.float32), ONE_PIXEL, ONE_PIXEL[..., ::-1]):
        own = color.luminance(colors, space)
        np.testing.assert_allclose(color.with_luminance(colors, own, space), colors, atol=1e-6)
        found = color.original_colors(colors, colors.copy(), space)
        np.testing.assert_allclose(found, colors, atol=1e-6)


@for_each("space", color.LUMINANCES)
def test_with_luminance_sets_the_luminance_and_no_more(space):
    colors, other = correlated(0, spread=0.05), correlated(1, spread=0.1)
    wanted = color.luminance(other, space)
    recolored = color.with_luminance(colors, wanted, space)
    assert 0 < recolored.min() < recolored.max() < 1  # nothing was clipped
    np.testing.assert_allclose(color.luminance(recolored, space), wanted, atol=1e-6)
    back = color.with_luminance(recolored, color.luminance(colors, space), space)
    np.testing.assert_allclose(back, colors, atol=1e-6)


@for_each("space", color.LUMINANCES)
def test_gray_in_gives_gray_out(space):
    stylized = correlated(2, 5, 6)
    recolored = color.original_colors(stylized, GRAY, space)
    assert np.ptp(recolored, axis=-1).max() < 1e-6
    wanted = color.luminance(stylized, space)
    picture = color.with_luminance(np.zeros_like(stylized), wanted, space)
    np.testing.assert_allclose(color.luminance(picture, space), wanted, atol=1e-6)
    np.testing.assert_allclose(picture, recolored, atol=1e-6)


@for_each("space", color.LUMINANCES)
def test_any_luminance_gives_a_picture(space):
    colors = np.random.default_rng(0).integers(0, 2, (16, 16, 3)).astype(np.float32)
    wanted = np.linspace(-1, 2, 256, dtype=np.float32).reshape(16, 16)
    recolored = color.with_luminance(colors, wanted, space)
    assert recolored.dtype == np.float32
    assert 0 <= recolored.min() <= recolored.max() <= 1
    assert (recolored[wanted < -0.95] == 0).all()


@for_each("space", color.LUMINANCES)
def test_content_of_another_size_is_resized(space):
    stylized, content = correlated(3, 12, 16, 0.05), correlated(4, 30, 40, 0.05)
    np.testing.assert_array_equal(
        color.original_colors(stylized, content, space),
        color.original_colors(stylized, images.resize(content, 12, 16), space),
    )


def test_matched_luminance_has_the_content_s_mean_and_deviation():
    rng = np.random.default_rng(0)
    style = rng.random((20, 30), dtype=np.float32)
    content = 0.4 + 0.1 * rng.random((9, 11), dtype=np.float32)
    matched = color.match_luminance(style, content)
    assert matched.dtype == np.float32
    np.testing.assert_allclose(matched.mean(), content.mean(), atol=1e-6)
    np.testing.assert_allclose(matched.std(), content.std(), rtol=1e-4)
    assert np.corrcoef(matched.ravel(), style.ravel())[0, 1] > 0.999999
    np.testing.assert_allclose(color.match_luminance(style, style), style, atol=1e-6)


@for_each("shape", [(1, 1), (64, 48)])
def test_a_flat_luminance_stays_flat(shape):
    content = np.random.default_rng(1).random((9, 11), dtype=np.float32)
    flat = np.full(shape, 0.7, np.float32)
    np.testing.assert_allclose(color.match_luminance(flat, content), content.mean(), atol=1e-6)
    np.testing.assert_allclose(color.match_luminance(content, flat), 0.7, atol=1e-6)
    np.testing.assert_allclose(color.match_luminance(flat, flat), 0.7, atol=1e-6)


# --- scikit-image's color spaces ------------------------------------------------------------------


@for_each(
    ("space", "convert", "within"),
    [("rec601", "rgb2yuv", 1e-6), ("rec601", "rgb2ycbcr", 1e-3), ("lab", "rgb2lab", 0.02)],
)
def test_original_colors_have_luminance_and_chroma_of_scikit_image(space, convert, within):
    convert = getattr(skimage.color, convert)
    stylized, content = correlated(5, spread=0.1), correlated(6, spread=0.05)
    recolored = color.original_colors(stylized, content, space)
    assert 0 < recolored.min() < recolored.max() < 1  # nothing was clipped
    expected = np.dstack([convert(stylized)[..., 0], convert(content)[..., 1:]])
    np.testing.assert_allclose(convert(recolored), expected, atol=within)


# --- names ----------------------------------------------------------------------------------------


@for_each(
    ("call", "message"),
    [
        (color.match_colors, "unknown color match 'hsv': choose from cholesky, pca, symmetric"),
        (color.original_colors, "'hsv': choose from rec601, rec709, lab"),
        (lambda image, _, space: color.luminance(image, space), "'hsv': choose from rec601, rec"),
        (lambda image, _, space: color.with_luminance(image, GRAY[..., 0], space), "'hsv': choose"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(call, message):
    with pytest.raises(ValueError, match=message):
        call(GRAY, GRAY, "hsv")
