"""Tests of Keras files: all layouts are read, other networks are refused."""

import h5py
import numpy as np
import pytest

from convert_weights.errors import WeightsError
from convert_weights.original import _FILTERS
from convert_weights.sources import load_source
from tests.convert_weights import writers

LAYOUTS = ["old", "tf", "model", "keras3", "keras3-numbered"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(arrays, scratch, same_layers, layout):
    path = scratch / "named.pth"  # told apart by content, not by name
    writers.write_keras(path, arrays, layout)
    weights = load_source(path)
    same_layers(weights)
    assert (weights.channel_order, weights.scale) == ("BGR", 255.0)
    assert (weights.mean, weights.std) == ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
    assert not weights.normalized


def test_channel_order_of_the_original_is_told_by_its_filters(arrays, scratch):
    kernel = arrays["conv1_1"][0].copy()
    for channel, values in _FILTERS.items():
        kernel[..., channel] = np.array(values) / 20
    changed = {**arrays, "conv1_1": (kernel, arrays["conv1_1"][1])}
    writers.write_keras(scratch / "x.h5", changed, "tf")
    weights = load_source(scratch / "x.h5")
    assert weights.channel_order == "RGB"
    assert weights.mean == tuple(writers.MEAN_RGB)
    assert weights.normalized


def edit(path, arrays, layout, change):
    writers.write_keras(path, arrays, layout)
    with h5py.File(path, "r+") as file:
        change(file)


def move_out(file):
    del file["block1_conv1"]
    file["block1_conv1"] = h5py.ExternalLink("elsewhere.h5", "/block1_conv1")


def deepen(file):
    node = file["block1_conv1"]
    for _ in range(20):
        node = node.create_group("more")


@pytest.mark.parametrize(
    ("layout", "change", "message"),
    [
        ("tf", lambda f: f.__delitem__("block3_conv4"), "it has no conv3_4"),
        ("tf", lambda f: f.__delitem__("block3_conv4/block3_conv4/bias:0"), "0 biases"),
        ("tf", move_out, "refused: block1_conv1 is a link to another file"),
        ("tf", deepen, "nested too deeply"),
        ("keras3-numbered", lambda f: f.__delitem__("layers/conv2d_20"), "has 15 convolutions"),
        ("keras3", lambda f: f.__delitem__("layers/block5_conv4"), "it has no conv5_4"),
    ],
)
def test_another_network_is_refused(arrays, scratch, layout, change, message):
    edit(scratch / "x.h5", arrays, layout, change)
    with pytest.raises(WeightsError, match=message) as caught:
        load_source(scratch / "x.h5")
    assert "\n" not in str(caught.value)


def test_theano_order_is_refused(arrays, scratch):
    turned = {name: (k.transpose(3, 2, 0, 1), b) for name, (k, b) in arrays.items()}
    writers.write_keras(scratch / "x.h5", turned, "old")
    with pytest.raises(WeightsError, match="kernel of conv1_1 is 64x3x3x3 and should be 3x3x3x64"):
        load_source(scratch / "x.h5")


def test_keras_file_of_another_network_is_refused(scratch):
    with h5py.File(scratch / "x.h5", "w") as file:
        file["model_weights/dense/dense/kernel:0"] = np.ones((3, 3))
    with pytest.raises(WeightsError, match="it has no block1_conv1 but dense"):
        load_source(scratch / "x.h5")


def test_cyclic_groups_are_refused(arrays, scratch):
    def cycle(file):
        file["block1_conv1/again"] = file["block1_conv1"]

    edit(scratch / "x.h5", arrays, "tf", cycle)
    with pytest.raises(WeightsError, match=r"nested too deeply|kernels and"):
        load_source(scratch / "x.h5")
