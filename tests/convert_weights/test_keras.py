"""Tests of Keras files: all layouts are read, other networks are refused."""

import re

import h5py
import numpy as np
import pytest

from convert_weights.sources import load_source
from tests.convert_weights import writers
from tests.convert_weights.conftest import refusal


@pytest.mark.parametrize("layout", ["old", "tf", "model", "keras3", "keras3-numbered"])
def test_every_layout_is_read(arrays, scratch, same_layers, layout):
    path = scratch / "named.pth"  # told apart by content, not by name
    writers.write_keras(path, arrays, layout)
    weights = load_source(path)
    same_layers(weights)
    assert (weights.channel_order, weights.scale) == ("BGR", 255.0)
    assert (weights.mean, weights.std) == ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
    assert not weights.normalized


def test_the_channel_order_of_the_original_is_told_by_its_filters(arrays, scratch):
    original = writers.with_original_filters(arrays, scale=0.05)
    writers.write_keras(scratch / "x.h5", original, "tf")
    weights = load_source(scratch / "x.h5")
    assert (weights.channel_order, weights.mean) == ("RGB", tuple(writers.MEAN_RGB))
    assert weights.normalized


def remove(name):
    return lambda file: file.__delitem__(name)


def move_out(file):
    del file["block1_conv1"]
    file["block1_conv1"] = h5py.ExternalLink("elsewhere.h5", "/block1_conv1")


def deepen(file):
    node = file["block1_conv1"]
    for _ in range(20):
        node = node.create_group("more")


def cycle(file):
    file["block1_conv1/again"] = file["block1_conv1"]


def many_paths(file):
    """Five levels of groups, each with thirty links to the next."""
    for _ in range(5):
        above = file.create_group(f"level{len(file)}")
        for index in range(30):
            above[f"link{index}"] = file["block1_conv1"]
        del file["block1_conv1"]
        file["block1_conv1"] = above


def turn(file):
    """Store the kernels in Theano's order."""
    for block in file:
        if "_conv" in block:
            name = f"{block}/{block}_W_1:0"
            kernel = file[name][()].transpose(3, 2, 0, 1)
            del file[name]
            file[name] = kernel


def replace_all(file):
    file.clear()
    file["model_weights/dense/dense/kernel:0"] = np.ones((3, 3))


@pytest.mark.parametrize(
    ("layout", "change", "message"),
    [
        ("tf", remove("block3_conv4"), "it has no conv3_4"),
        ("tf", remove("block3_conv4/block3_conv4/bias:0"), "0 biases"),
        ("tf", move_out, "refused: block1_conv1 is a link to another file"),
        ("tf", deepen, "nested too deeply"),
        ("tf", cycle, "nested too deeply|kernels and"),
        ("tf", many_paths, "too many parts"),
        ("tf", replace_all, "it has no block1_conv1 but dense"),
        ("old", turn, "kernel of conv1_1 is 64x3x3x3 and should be 3x3x3x64"),
        ("keras3-numbered", remove("layers/conv2d_20"), "has 15 convolutions"),
        ("keras3", remove("layers/block5_conv4"), "it has no conv5_4"),
    ],
)
def test_another_network_is_refused(arrays, scratch, layout, change, message):
    path = scratch / "x.h5"
    writers.write_keras(path, arrays, layout)
    with h5py.File(path, "r+") as file:
        change(file)
    assert re.search(message, refusal(load_source, path))
