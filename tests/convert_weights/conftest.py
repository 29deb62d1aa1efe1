"""Fixtures of the converter's tests: a random VGG-19, temporary directories and a web server."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from convert_weights import sandbox, sandboxed, vgg19
from convert_weights.vgg19 import Convolution
from convert_weights.weights import Weights
from convert_weights.weights_file import write_weights
from jaxstyle.errors import JaxstyleError
from tests.convert_weights import web_server, writers


@pytest.fixture
def scratch():
    """A directory for large files, deleted after the test (pytest keeps tmp_path longer)."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def parse_here(path: Path, only_own: bool = False) -> sandboxed.Parsed:
    """Parse a file as `sandbox.parse` does, but in this process and without limits."""
    answer = sandboxed.answer(sandboxed.reader(only_own), path)
    return sandboxed.decode(b"".join(answer))


@pytest.fixture(autouse=True)
def parser(monkeypatch) -> None:
    """Files are parsed in this process, which knows of patches and takes no time to start."""
    monkeypatch.setattr(sandbox, "parse", parse_here)


@pytest.fixture
def arrays() -> Iterator[writers.Arrays]:
    """Random kernels (height x width x input x output) and biases of all sixteen layers.

    The converter is patched to expect few channels; test_full_size.py uses all of them.
    """
    few = zip([3, *writers.FEW], writers.FEW, strict=False)
    with mock.patch.dict(vgg19.LAYERS, zip(writers.NAMES, few, strict=True)):
        yield writers.random_arrays(writers.FEW)


@pytest.fixture
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


@pytest.fixture
def written(weights, scratch) -> bytes:
    """The bytes of a valid file in half precision."""
    path = scratch / "written.h5"
    write_weights(path, weights, dtype="float16")
    data = path.read_bytes()
    path.unlink()
    return data


@pytest.fixture
def server():
    with web_server.serve() as running:
        yield running


def complaint(call: Callable, *arguments: object) -> str:
    """Return the message of the error that a call raises on purpose, which must be one line."""
    with pytest.raises(JaxstyleError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refusal(read: Callable[[Path], object], path: Path) -> str:
    """Return the message with which a file is refused, which must start with its path."""
    message = complaint(read, path)
    assert message.startswith(f"{path}: ")
    return message


def assert_same_layers(found: Weights, expected: writers.Arrays) -> None:
    assert list(found.layers) == list(expected)
    for name, (kernel, bias) in expected.items():
        np.testing.assert_array_equal(found.layers[name].kernel, kernel, err_msg=name)
        np.testing.assert_array_equal(found.layers[name].bias, bias, err_msg=name)


@pytest.fixture
def same_layers(arrays):
    """Return a function that asserts that weights are equal to the arrays."""
    return partial(assert_same_layers, expected=arrays)
