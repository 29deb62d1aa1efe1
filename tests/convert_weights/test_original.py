"""Tests of recognizing the original network by its first filters."""

import numpy as np
import pytest

from convert_weights.original import StoredForm, caffe_mean, decimal, recognize
from tests.convert_weights import writers


@pytest.fixture
def kernel(arrays):
    """Random filters that include the original's marker filters (height, width, RGB, output)."""
    return writers.with_original_filters(arrays)["conv1_1"][0]


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("transposed", [False, True])
def test_channel_order_and_transposition_are_recognized(kernel, order, transposed):
    turned = kernel.transpose(1, 0, 2, 3) if transposed else kernel
    changed = turned if order == "RGB" else turned[:, :, ::-1]
    assert recognize(changed) == StoredForm(order, transposed, rescaled=False)


def test_rescaled_and_fine_tuned_filters_are_still_recognized(kernel):
    rng = np.random.default_rng(0)
    scales = rng.uniform(0.01, 0.2, 64).astype(np.float32)
    noise = rng.normal(0, 0.01, kernel.shape).astype(np.float32)
    assert recognize(kernel * scales) == StoredForm("RGB", transposed=False, rescaled=True)
    assert recognize(kernel + noise) == StoredForm("RGB", transposed=False, rescaled=False)


RANDOM = np.random.default_rng(1).normal(size=(3, 3, 3, 64)).astype(np.float32)


@pytest.mark.parametrize(
    "change",
    [np.negative, np.flipud, np.zeros_like, lambda kernel: RANDOM],
    ids=["negative", "flipped", "zero", "random"],
)
def test_other_filters_are_not_recognized(kernel, change):
    assert recognize(change(kernel)) is None


def test_caffe_mean_in_both_orders():
    assert caffe_mean("RGB") == (123.68, 116.779, 103.939)
    assert caffe_mean("BGR") == (103.939, 116.779, 123.68)
    assert decimal(np.float32(103.939)) == 103.939
