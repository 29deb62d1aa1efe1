"""Tests that normalization gives mean activation one and only rescales features."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from convert_weights import vgg19
from convert_weights.normalize import (
    find_pictures,
    mean_activations,
    normalize,
    read_picture,
    rescale,
    silent_filters,
)
from convert_weights.vgg19 import Convolution
from tests.cases import for_each
from tests.convert_weights import oracle
from tests.convert_weights.conftest import complaint


@pytest.fixture
def unit(weights):
    """Weights whose input is scaled as He initialization expects."""
    return replace(weights, std=(60.0, 60.0, 60.0))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Two smooth pictures whose sides are multiples of 64, so that they are not resized."""
    directory = tmp_path_factory.mktemp("pictures")
    for name, height, width in ("a.png", 64, 128), ("b.png", 128, 64):
        waves = np.sin(np.arange(height)[:, None, None] / 9 + np.arange(width)[:, None] / (5, 7, 9))
        Image.fromarray(np.uint8(waves * 100 + 128)).save(directory / name)
    (directory / "notes.txt").write_text("not a picture")
    return find_pictures(directory)


@pytest.fixture
def means(unit, pictures):
    return mean_activations(unit, pictures)


def test_means_are_those_over_all_positions_of_all_pictures(unit, pictures, means):
    features = [
        oracle.features_of_weights(unit, np.asarray(Image.open(path)) / 255.0) for path in pictures
    ]
    for layer, mean in zip(zip(*features, strict=True), means.values(), strict=False):
        pixels = np.concatenate([activation.reshape(-1, mean.size) for activation in layer])
        expected = pixels.mean(0)
        np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_features_are_the_old_ones_divided_per_channel(unit, means, pictures):
    """Exact up to the rounding of the stored float32 numbers."""
    divided = rescale(unit, means)
    image = np.random.default_rng(3).random((20, 21, 3))  # another picture than those measured
    scales = [np.where(mean > 0, mean, 1) for mean in means.values()]
    expected = [
        old / scale
        for old, scale in zip(oracle.features_of_weights(unit, image), scales, strict=True)
    ]
    found = oracle.features_of_weights(divided, image)
    assert oracle.relative_error(found, expected) < 1e-6


def test_mean_activation_becomes_one(unit, means, pictures):
    normalized = normalize(unit, pictures)
    assert normalized.normalized
    for name, mean in mean_activations(normalized, pictures).items():
        active = means[name] > means[name].max() / 100  # below, rounding decides
        np.testing.assert_allclose(mean[active], 1, rtol=1e-4)


def test_silent_filters_are_not_rescaled(unit, pictures):
    kernel, bias = unit.layers["conv1_1"].kernel.copy(), unit.layers["conv1_1"].bias.copy()
    kernel[..., :2], bias[:2] = 0, -1
    dead = replace(unit, layers={**unit.layers, "conv1_1": Convolution(kernel, bias)})
    means = mean_activations(dead, pictures[:1])
    assert list(np.flatnonzero(means["conv1_1"] == 0)) == [0, 1]
    assert silent_filters(means) == sum(int((mean == 0).sum()) for mean in means.values())
    layers = rescale(dead, means).layers
    np.testing.assert_array_equal(layers["conv1_1"].bias[:2], [-1, -1])
    assert all(np.isfinite(layer.kernel).all() for layer in layers.values())


def test_filters_that_leave_float32_are_refused(unit, pictures):
    loud = np.full_like(unit.layers["conv1_2"].kernel, 1e38)
    layers = {**unit.layers, "conv1_2": Convolution(loud, unit.layers["conv1_2"].bias)}
    told = complaint(mean_activations, replace(unit, layers=layers), pictures[:1])
    assert told == f"{pictures[0]}: its activations are beyond the range of float32"
    tiny = {name: np.full(outputs, 1e-45) for name, (_, outputs) in vgg19.LAYERS.items()}
    assert "conv1_1 has values that are NaN or infinite" in complaint(rescale, unit, tiny)


def test_a_picture_is_read_as_every_other_picture(unit, tmp_path):
    """Turned as its orientation says, and in 16 bits."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 1 << 16, (128, 64), np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    found = read_picture(tmp_path / "deep.png")
    np.testing.assert_allclose(found[..., 0], levels / 65535, atol=1e-6)
    turned = Image.fromarray(rng.integers(0, 256, (128, 64, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    found = read_picture(tmp_path / "turned.png")
    np.testing.assert_allclose(
        found, np.asarray(turned.transpose(Image.Transpose.ROTATE_270)) / 255, atol=1e-6
    )


@for_each(
    ("directory", "message"),
    [("none", "no such directory"), (".", "there are no pictures in this folder")],
)
def test_a_directory_without_pictures_is_refused(unit, tmp_path, directory, message):
    (tmp_path / "notes.txt").touch()
    assert message in complaint(find_pictures, tmp_path / directory)
    assert "no pictures to normalize with" in complaint(normalize, unit, [])


@for_each("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\0\0\0 ftypheic"])
def test_an_unreadable_picture_is_named(unit, tmp_path, content):
    (tmp_path / "bad.png").write_bytes(content)
    told = complaint(normalize, unit, find_pictures(tmp_path))
    assert f"{tmp_path / 'bad.png'}: " in told


def test_pictures_of_any_kind_are_read(unit, tmp_path):
    kinds = [("L", (1, 1)), ("P", (70, 3)), ("RGBA", (64, 9)), ("1", (3, 3)), ("L", (900, 100))]
    paths = [tmp_path / f"{index}.png" for index in range(len(kinds))] + [tmp_path / "9.tiff"]
    for path, (mode, size) in zip(paths, [*kinds, ("CMYK", (9, 70))], strict=True):
        Image.new(mode, size, (1, 2, 3, 9) if mode == "RGBA" else 1).save(path)
        assert np.isfinite(mean_activations(unit, [path])["conv5_4"]).all(), path
    assert find_pictures(tmp_path) == paths
