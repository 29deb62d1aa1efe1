"""Tests with all channels of VGG-19, in every format; other tests use few channels."""

import h5py
import numpy as np
import pytest

from convert_weights import __main__ as cli
from convert_weights.sources import load_source
from convert_weights.vgg19 import Convolution
from convert_weights.weights_file import Weights, write_weights
from tests.convert_weights import writers
from tests.convert_weights.conftest import assert_same_layers

FEATURES = [f"features.{i}" for i in writers.FEATURES]


@pytest.fixture(scope="module")
def all_arrays() -> writers.Arrays:
    return writers.random_arrays()


def mat_v5(path, arrays):
    mean = {"meta": {"normalization": {"averageImage": np.array([writers.MEAN_RGB])}}}
    large = np.zeros((7, 7, 512, 95), np.float32)  # as the fully connected layers are: passed over
    layers = writers.matlab_layers(arrays) + [
        {"name": "fc6", "type": "conv", "weights": [large, np.ones((1, 95))]}
    ]
    writers.write_mat_v5(path, layers, mean)


def mat_v73(path, arrays):
    mean = {"meta": {"normalization": {"averageImage": np.array([writers.MEAN_RGB])}}}
    writers.write_mat_v73(path, writers.matlab_layers(arrays), mean)


def keras(path, arrays):
    writers.write_keras(path, arrays, "tf")


def torch_zip(path, arrays):
    writers.write_torch_zip(path, writers.state_dict(arrays, FEATURES))


def torch_legacy(path, arrays):
    writers.write_torch_legacy(path, writers.state_dict(arrays, FEATURES))


@pytest.mark.parametrize("write", [mat_v5, mat_v73, keras, torch_zip, torch_legacy])
def test_every_format_holds_all_of_it(all_arrays, scratch, write):
    write(scratch / "source", all_arrays)
    assert_same_layers(load_source(scratch / "source"), expected=all_arrays)


@pytest.mark.slow
def test_the_command_converts_and_tells_all_of_it(all_arrays, scratch, capsys):
    mean, std = (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)
    layers = {name: Convolution(*pair) for name, pair in all_arrays.items()}
    weights = Weights(layers, "BGR", 255.0, mean, std, normalized=False, source="random.pth")
    small, large = scratch / "small.h5", scratch / "large.h5"
    write_weights(small, weights, dtype="float16")
    assert 40e6 < small.stat().st_size < 41e6
    assert cli.main([str(small), "-o", str(large)]) == 0
    assert capsys.readouterr().out.endswith("random.pth, not normalized, float32, 80.1 MB\n")
    with h5py.File(large) as file:
        for name, (kernel, bias) in all_arrays.items():
            half = kernel.astype(np.float16).astype(np.float32)
            np.testing.assert_array_equal(file[name]["kernel"], half, err_msg=name)
            np.testing.assert_array_equal(file[name]["bias"], bias, err_msg=name)
    assert cli.main(["--info", str(small)]) == 0
    told = capsys.readouterr().out
    assert "16 convolutions, 20,024,384 parameters" in told
    assert "3x3x256x512" in told
