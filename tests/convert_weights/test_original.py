"""Tests of recognizing the original network by its first filters."""

import numpy as np
import pytest

from convert_weights.original import _FILTERS, StoredForm, caffe_mean, decimal, recognize


@pytest.fixture
def kernel(arrays):
    """Random filters that include the original's marker filters (height, width, RGB, output)."""
    kernel = arrays["conv1_1"][0].copy()
    for channel, values in _FILTERS.items():
        kernel[..., channel] = values
    return kernel


def test_channel_order_and_transposition_are_recognized(kernel):
    turned = kernel.transpose(1, 0, 2, 3)
    assert recognize(kernel) == StoredForm("RGB", transposed=False, rescaled=False)
    assert recognize(kernel[:, :, ::-1]) == StoredForm("BGR", transposed=False, rescaled=False)
    assert recognize(turned) == StoredForm("RGB", transposed=True, rescaled=False)
    assert recognize(turned[:, :, ::-1]) == StoredForm("BGR", transposed=True, rescaled=False)


def test_rescaled_filters_are_still_recognized(kernel):
    scales = np.random.default_rng(0).uniform(0.01, 0.2, 64).astype(np.float32)
    assert recognize(kernel * scales) == StoredForm("RGB", transposed=False, rescaled=True)


def test_fine_tuned_filters_are_still_recognized(kernel):
    noise = np.random.default_rng(0).normal(0, 0.01, kernel.shape).astype(np.float32)
    assert recognize(kernel + noise) == StoredForm("RGB", transposed=False, rescaled=False)


@pytest.mark.parametrize("change", [np.negative, lambda k: k[::-1].copy(), np.zeros_like])
def test_other_filters_are_not_recognized(kernel, change):
    assert recognize(change(kernel)) is None


def test_random_network_is_not_recognized(arrays):
    assert recognize(arrays["conv1_1"][0]) is None


def test_caffe_mean_in_both_orders():
    assert caffe_mean("RGB") == (123.68, 116.779, 103.939)
    assert caffe_mean("BGR") == (103.939, 116.779, 123.68)
    assert decimal(np.float32(103.939)) == 103.939
