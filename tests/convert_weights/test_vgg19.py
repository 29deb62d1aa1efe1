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


ZEROS = np.zeros((3, 3, 3, 64))


@for_each(
    ("name", "kernel", "bias", "message"),
    [
        ("conv2_1", np.zeros((3, 3, 16, 8)), np.zeros(16), "is 3x3x16x8 and should be 3x3x8x16"),
        ("conv3_1", np.zeros(7), np.zeros(24), "the kernel of conv3_1 is 7 and should be"),
        ("conv1_1", ZEROS, np.zeros(63), "conv1_1 has 63 biases and should have 64"),
        ("conv1_1", ZEROS, np.full(64, np.nan), "conv1_1 has values that are NaN"),
        ("conv1_1", ZEROS + np.nan, np.zeros(64), "conv1_1 has values that are NaN"),
        ("conv1_1", ZEROS + 1e300, np.zeros(64), "conv1_1 has values that are NaN"),
        ("conv1_1", ZEROS + 1j, np.zeros(64), "conv1_1 holds complex128"),
        ("conv1_1", ZEROS.astype(object), np.zeros(64), "conv1_1 holds object"),
    ],
)
def test_arrays_that_are_not_vgg19_are_refused(arrays, name, kernel, bias, message):
    assert message in complaint(vgg19.network, {**arrays, name: (kernel, bias)})


def test_a_missing_layer_is_named(arrays):
    del arrays["conv3_4"]
    assert complaint(vgg19.network, arrays) == "not a VGG-19: it has no conv3_4"
