"""Tests of the architecture and its validation."""

import numpy as np

from convert_weights import vgg19
from tests.cases import for_each
from tests.convert_weights import writers
from tests.convert_weights.conftest import complaint


def test_table_is_vgg19():
    assert list(vgg19.LAYERS) == writers.NAMES
    assert [outputs for _, outputs in vgg19.LAYERS.values()] == writers.CHANNELS
    assert [inputs for inputs, _ in vgg19.LAYERS.values()] == [3, *writers.CHANNELS[:-1]]
    parameters = sum(9 * i * o + o for i, o in vgg19.LAYERS.values())
    assert parameters == 20_024_384  # of the paper's 144 million, the convolutions


def test_network_orders_and_casts(arrays):
    shuffled = {name: arrays[name] for name in sorted(arrays, reverse=True)}
    shuffled["fc6"] = (np.ones((7, 7, 2, 2)), np.ones(2))
    shuffled["conv1_1"] = tuple(part.astype(np.float64) for part in arrays["conv1_1"])
    layers = vgg19.network(shuffled)
    assert list(layers) == writers.NAMES
    assert layers["conv1_1"].kernel.dtype == np.float32
    np.testing.assert_array_equal(layers["conv1_1"].kernel, arrays["conv1_1"][0])


@for_each(
    ("name", "kernel", "biases", "message"),
    [
        ("conv2_1", np.zeros((3, 3, 16, 8)), 16, "conv2_1 is 3x3x16x8 and should be 3x3x8x16"),
        ("conv3_1", np.zeros(7), 24, "the kernel of conv3_1 is 7 and should be"),
        ("conv1_1", np.zeros((3, 3, 3, 64)), 63, "conv1_1 has 63 biases and should have 64"),
        ("conv1_1", np.full((3, 3, 3, 64), np.nan), 64, "conv1_1 has values that are NaN"),
        ("conv1_1", np.full((3, 3, 3, 64), 1e300), 64, "conv1_1 has values that are NaN"),
        ("conv1_1", np.full((3, 3, 3, 64), 1j), 64, "conv1_1 holds complex128"),
        ("conv1_1", np.full((3, 3, 3, 64), None), 64, "conv1_1 holds object"),
    ],
)
def test_arrays_that_are_not_vgg19_are_refused(arrays, name, kernel, biases, message):
    changed = {**arrays, name: (kernel, np.zeros(biases))}
    assert message in complaint(vgg19.network, changed)


def test_a_bias_that_is_not_finite_is_refused(arrays):
    kernel, _ = arrays["conv1_1"]
    changed = {**arrays, "conv1_1": (kernel, np.full(64, np.nan))}
    assert "conv1_1 has values that are NaN" in complaint(vgg19.network, changed)


def test_a_missing_layer_is_named(arrays):
    del arrays["conv3_4"]
    assert complaint(vgg19.network, arrays) == "not a VGG-19: it has no conv3_4"
