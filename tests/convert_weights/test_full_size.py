"""Tests with all channels of VGG-19, in every format; other tests use few channels."""

import numpy as np
import pytest

from convert_weights.sources import load_source
from tests.convert_weights import writers
from tests.convert_weights.conftest import assert_same_layers

FEATURES = [f"features.{i}" for i in writers.FEATURES]


@pytest.fixture
def parser() -> None:
    """Files are parsed in a process of its own, as in use."""


@pytest.fixture(scope="module")
def arrays() -> writers.Arrays:
    return writers.random_arrays()


def matlab(write, path, arrays):
    parameters = [np.zeros((7, 7, 512, 95), np.float32), np.ones((1, 95))]  # passed over: too large
    layers = [*writers.matlab_layers(arrays), {"name": "fc6", "weights": parameters}]
    mean = {"meta": {"normalization": {"averageImage": np.array([writers.MEAN_RGB])}}}
    write(path, layers, mean)


def keras(write, path, arrays):
    write(path, arrays, "tf")


def torch(write, path, arrays):
    write(path, writers.state_dict(arrays, FEATURES))


@pytest.mark.parametrize(
    ("layout", "write"),
    [
        pytest.param(matlab, writers.write_mat_v5, id="MATLAB v5"),
        pytest.param(matlab, writers.write_mat_v73, id="MATLAB v7.3"),
        pytest.param(keras, writers.write_keras, id="Keras"),
        pytest.param(torch, writers.write_torch_zip, id="PyTorch, zip"),
        pytest.param(torch, writers.write_torch_legacy, id="PyTorch, legacy"),
    ],
)
def test_every_format_holds_all_of_it(arrays, scratch, layout, write):
    layout(write, scratch / "source", arrays)
    assert_same_layers(load_source(scratch / "source"), expected=arrays)
