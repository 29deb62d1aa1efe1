"""Tests of the output format: round trips, and refusal of hostile files."""

import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from convert_weights.vgg19 import Convolution
from convert_weights.weights_file import (
    check_output,
    normalize_input,
    read_weights,
    write_weights,
)
from jaxstyle.errors import WeightsError
from tests.cases import for_each
from tests.convert_weights.conftest import complaint, refusal


@pytest.fixture
def damaged(written, scratch):
    """Return a function that writes a valid file, applies a change, and returns its path."""

    def make(change):
        path = scratch / "vgg19.h5"
        path.write_bytes(written)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return make


def refused(path) -> str:
    return refusal(read_weights, path)


def test_float32_comes_back_exactly_and_in_the_documented_layout(weights, scratch, same_layers):
    path = scratch / "vgg19.h5"
    write_weights(path, weights)
    found = read_weights(path)
    same_layers(found)
    assert replace(found, layers={}) == replace(weights, layers={})
    assert list(scratch.iterdir()) == [path]
    with h5py.File(path) as file:
        kernel, bias = weights.layers["conv3_1"].kernel, weights.layers["conv3_1"].bias
        np.testing.assert_array_equal(file["conv3_1/kernel"], kernel)
        np.testing.assert_array_equal(file["conv3_1/bias"], bias)
        assert kernel.shape == (3, 3, 16, 24)
        assert file["conv3_1/kernel"].dtype == np.float32
        assert {**file.attrs}.keys() == {
            *("channel_order", "scale", "mean", "std", "padding", "normalized"),
            *("source", "source_sha256", "licence", "format_version"),
        }
        assert list(file.attrs["mean"]) == [103.939, 116.779, 123.68]


def test_float16_rounds_kernels_and_keeps_biases(weights, scratch, same_layers, written):
    path = scratch / "vgg19.h5"
    write_weights(path, weights, dtype="float16")
    assert path.read_bytes() == written  # the same weights give the same bytes
    with h5py.File(path) as file:
        assert file["conv5_4/kernel"].dtype == np.float16
    rounded = {
        name: (layer.kernel.astype(np.float16).astype(np.float32), layer.bias)
        for name, layer in weights.layers.items()
    }
    same_layers(read_weights(path), expected=rounded)


def test_an_existing_file_needs_force(weights, scratch):
    path = scratch / "vgg19.h5"
    path.write_bytes(b"old")
    assert "already exists; use --force" in complaint(write_weights, path, weights)
    assert path.read_bytes() == b"old"
    write_weights(path, weights, dtype="float16", force=True)
    assert read_weights(path).source == "random.pth"


def test_output_is_checked_beforehand(scratch):
    (scratch / "old").touch()
    check_output(scratch / "new", force=False)
    check_output(scratch / "old", force=True)
    assert "already exists" in complaint(check_output, scratch / "old", False)
    assert "a directory; name the file" in complaint(check_output, scratch, True)
    for there in ("missing", "old"):
        told = complaint(check_output, scratch / there / "new", False)
        assert f"{there} does not exist" in told
    assert "not a regular file" in complaint(check_output, Path(os.devnull), True)
    assert [path.name for path in scratch.iterdir()] == ["old"]


def test_where_no_file_can_be_made(unprivileged):
    unprivileged.chmod(0o555)
    told = complaint(check_output, unprivileged / "new", False)
    assert "new: cannot be written: Permission denied" in told


def test_a_full_disk_keeps_the_old_file(weights, scratch, monkeypatch):
    (scratch / "a").write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WeightsError, match="a: cannot be written: No space left on device"):
        write_weights(scratch / "a", weights, force=True)
    assert (scratch / "a").read_bytes() == b"old"
    assert [path.name for path in scratch.iterdir()] == ["a"]


def with_kernel(weights, name, kernel):
    changed = Convolution(kernel, weights.layers[name].bias)
    return replace(weights, layers={**weights.layers, name: changed})


def test_weights_that_are_invalid_or_beyond_float16_are_not_written(weights, scratch):
    path = scratch / "x.h5"
    loud = with_kernel(weights, "conv1_1", weights.layers["conv1_1"].kernel * np.float32(1e6))
    told = complaint(write_weights, path, loud, "float16")
    assert told == "conv1_1 has values beyond the range of float16; use float32"
    del weights.layers["conv5_4"]
    assert "it has no conv5_4" in complaint(write_weights, path, weights)
    assert list(scratch.iterdir()) == []


def test_a_disk_that_changes_bytes_is_noticed(weights, scratch, monkeypatch):
    kernel = weights.layers["conv5_4"].kernel.copy()
    kernel[2, 2, 31, 31] += 1e-3
    for other in (replace(weights, scale=254.0), with_kernel(weights, "conv5_4", kernel)):
        monkeypatch.setattr("convert_weights.weights_file.read_weights", lambda path, o=other: o)
        assert "gave different weights" in complaint(write_weights, scratch / "x.h5", weights)
        assert list(scratch.iterdir()) == []


def test_texts_of_any_kind(weights, scratch):
    path = scratch / "x.h5"
    texts = {"source": "", "licence": "Ünïcode \u2603", "source_sha256": "\udcff"}
    write_weights(path, replace(weights, **texts), dtype="float16")
    found = read_weights(path)
    assert {name: getattr(found, name) for name in texts} == texts


def test_input_convention(weights):
    image = np.random.default_rng(0).random((4, 5, 3)).astype(np.float32)
    expected = (image[..., ::-1] * 255 - [103.939, 116.779, 123.68]) / [1, 2, 4]
    np.testing.assert_allclose(normalize_input(weights, image), expected, rtol=1e-5, atol=1e-5)


def test_another_file_is_refused(scratch):
    path = scratch / "x.h5"
    assert "no such file" in refused(path)
    path.write_text("hello")
    assert "not an HDF5 file" in refused(path)
    h5py.File(path, "w").close()
    assert "not a weights file of this project" in refused(path)


def test_a_truncated_file_is_refused(written, scratch):
    path = scratch / "x.h5"
    for share in (0.001, 0.3, 0.9, 0.99999):
        path.write_bytes(written[: int(len(written) * share)])
        refused(path)


@pytest.mark.parametrize("times", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_damaged_bytes_never_crash_the_reader(written, scratch, times):
    """Random damage of the structure gives an error or, in unused bytes, valid weights."""
    rng = np.random.default_rng(0)
    path = scratch / "x.h5"
    complaints = 0
    for _ in range(times):
        # Metadata is in small pieces, most of them at the beginning and at the end.
        place = int(rng.choice([rng.integers(0, 4096), len(written) - 8 - rng.integers(0, 8192)]))
        path.write_bytes(written[:place] + rng.bytes(4) + written[place + 4 :])
        try:
            read_weights(path)
        except WeightsError as error:
            complaints += 1
            assert "\n" not in str(error)
    assert complaints > 0


SECRET = "secret.h5"  # holds weights, which a file must not get at
SHAPE = (3, 3, 3, 64)


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def kernel(name="conv1_1/kernel", **options):
    """Return a function that replaces an array."""

    def change(file):
        del file[name]
        file.create_dataset(name, **options)

    return change


def link(name, target):
    def change(file):
        del file[name]
        file[name] = target

    return change


def odd(file):
    """Store floats of 32 bits whose exponent has another bias than the usual one."""
    del file["conv1_1/kernel"]
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_ebias(100)
    space = h5py.h5s.create_simple(SHAPE)
    made = h5py.h5d.create(file["conv1_1"].id, b"kernel", kind, space)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ones(SHAPE, "f4"))


def virtual(file):
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[...] = h5py.VirtualSource(SECRET, "conv1_1/kernel", SHAPE)
    del file["conv1_1/kernel"]
    file.create_virtual_dataset("conv1_1/kernel", layout)


@for_each(
    ("change", "message"),
    [
        (attribute("format_version", 2), "format version is 2"),
        (attribute("channel_order", np.bytes_("GRB")), "is 'GRB'"),
        (attribute("licence", "MIT"), "licence has variable length"),
        (attribute("channel_order", 3), "channel_order is not text"),
        (attribute("padding", np.bytes_("mirror")), "padding is 'mirror'"),
        (attribute("mean", [1.0, 2.0]), "mean is not 3 finite numbers"),
        (attribute("mean", [1.0, 2.0, np.nan]), "mean is not 3 finite numbers"),
        (attribute("mean", [1e39, 2.0, 3.0]), "is beyond the range of float32"),
        (attribute("std", [1e-40, 1.0, 1.0]), "is beyond the range of float32"),
        (attribute("std", [1e300, 1.0, 1.0]), "is beyond the range of float32"),
        (attribute("scale", 1e300), "is beyond the range of float32"),
        (attribute("scale", 0.0), "must be positive"),
        (attribute("std", [1.0, -1.0, 1.0]), "must be positive"),
        (lambda file: file.attrs.__delitem__("licence"), "attribute licence is missing"),
        (lambda file: file.__delitem__("conv4_4"), "it has no conv4_4"),
        (lambda file: file.__delitem__("conv1_1/bias"), "/conv1_1 has no bias"),
        (kernel(data=np.zeros((3, 3, 64, 3), "f4")), "kernel of conv1_1 is 3x3x64x3"),
        (kernel(data=np.full(SHAPE, np.inf)), "conv1_1 has values that are NaN or infinite"),
        (kernel(data=np.zeros(SHAPE, "i4")), "holds int32, not real numbers"),
        (kernel("conv1_1/bias", data=["text"] * 64), "holds object, not real numbers"),
        (kernel(shape=SHAPE, dtype="f4"), "declared but holds no data"),
        (kernel(data=h5py.Empty("f4")), "declared but holds no data"),
        (kernel(shape=(1 << 20,) * 3, dtype="f4", chunks=(1, 1, 1)), "larger than any of its"),
        (kernel(data=np.zeros(SHAPE, "f4"), compression="lzf"), "compressed or in chunks"),
        (kernel(data=np.zeros(SHAPE, "f4"), chunks=True), "compressed or in chunks"),
        (odd, "numbers of an unusual type"),
        (attribute("licence", np.bytes_("x" * 3000)), "licence has more than 2000 bytes"),
        # Nothing outside the file is read.
        (link("conv1_1", h5py.ExternalLink(SECRET, "/conv1_1")), "conv1_1 is a link to another"),
        (link("conv1_1/kernel", h5py.SoftLink("/conv1_2/kernel")), "kernel is a soft link"),
        (kernel(shape=SHAPE, dtype="f4", external=[(SECRET, 0, 6912)]), "stored in another file"),
        (virtual, "virtual dataset"),
    ],
)
def test_bad_contents_are_refused(damaged, written, scratch, monkeypatch, change, message):
    monkeypatch.chdir(scratch)
    (scratch / SECRET).write_bytes(written)
    assert message in refused(damaged(change))
