"""Shared by the tests of the converter: one random VGG-19, and room on disk that is given back."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from convert_weights.vgg19 import Convolution
from convert_weights.weights_file import Weights, write_weights
from tests.convert_weights import web_server, writers


@pytest.fixture(scope="session")
def arrays() -> writers.Arrays:
    """Random kernels (height x width x input x output) and biases of all sixteen layers."""
    return writers.random_arrays()


@pytest.fixture(scope="session")
def weights(arrays) -> Weights:
    return Weights(
        layers={name: Convolution(*pair) for name, pair in arrays.items()},
        channel_order="BGR",
        scale=255.0,
        mean=(103.939, 116.779, 123.68),
        std=(1.0, 2.0, 4.0),
        normalized=False,
        source="random.pth",
        source_sha256="0" * 64,
        licence="none",
    )


@pytest.fixture(scope="session")
def written(weights, tmp_path_factory):
    """The bytes of a valid file, half precision to keep the tests quick."""
    path = tmp_path_factory.mktemp("written") / "vgg19.h5"
    write_weights(path, weights, dtype="float16")
    data = path.read_bytes()
    path.unlink()
    return data


@pytest.fixture
def scratch():
    """A directory for large files, emptied at once (pytest keeps its own for three sessions)."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.fixture
def same_layers(arrays):
    """Asserts that weights hold exactly the arrays."""

    def check(found: Weights, expected: writers.Arrays = arrays) -> None:
        assert list(found.layers) == list(expected)
        for name, (kernel, bias) in expected.items():
            np.testing.assert_array_equal(found.layers[name].kernel, kernel, err_msg=name)
            np.testing.assert_array_equal(found.layers[name].bias, bias, err_msg=name)

    return check


@pytest.fixture
def server():
    """A web server on this machine: fill `pages` with path: (content type, bytes) or a function."""
    with web_server.serve() as running:
        yield running
