"""Tests of the output format: round trips, and refusal of hostile files."""

import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from convert_weights.errors import WeightsError
from convert_weights.vgg19 import Convolution
from convert_weights.weights_file import (
    check_output,
    normalize_input,
    read_weights,
    write_weights,
)
from tests.convert_weights.conftest import complaint


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
    """Return the error message of a file; checks that it starts with the path."""
    message = complaint(read_weights, path, case=path)
    assert message.startswith(f"{path}: ")
    return message


def test_float32_comes_back_exactly(weights, scratch, same_layers):
    path = scratch / "vgg19.h5"
    write_weights(path, weights)
    found = read_weights(path)
    same_layers(found)
    assert replace(found, layers={}) == replace(weights, layers={})
    assert [child.name for child in scratch.iterdir()] == ["vgg19.h5"]


def test_layout_is_as_documented(weights, scratch):
    path = scratch / "vgg19.h5"
    write_weights(path, weights)
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


def test_float16_rounds_kernels_and_keeps_biases(weights, scratch, same_layers):
    path = scratch / "vgg19.h5"
    write_weights(path, weights, dtype="float16")
    with h5py.File(path) as file:
        assert file["conv5_4/kernel"].dtype == np.float16
    rounded = {
        name: (layer.kernel.astype(np.float16).astype(np.float32), layer.bias)
        for name, layer in weights.layers.items()
    }
    same_layers(read_weights(path), expected=rounded)


def test_same_weights_give_the_same_bytes(weights, scratch, written):
    path = scratch / "other.h5"
    write_weights(path, weights, dtype="float16")
    assert path.read_bytes() == written


def test_existing_file_needs_force(weights, scratch):
    path = scratch / "vgg19.h5"
    path.write_bytes(b"old")
    with pytest.raises(WeightsError, match="already exists; use --force"):
        write_weights(path, weights)
    assert path.read_bytes() == b"old"
    write_weights(path, weights, dtype="float16", force=True)
    assert read_weights(path).source == "random.pth"


def test_output_is_checked_beforehand(scratch):
    (scratch / "old").touch()
    check_output(scratch / "new", force=False)
    check_output(scratch / "old", force=True)
    with pytest.raises(WeightsError, match="already exists"):
        check_output(scratch / "old", force=False)
    with pytest.raises(WeightsError, match="a directory; name the file"):
        check_output(scratch, force=True)
    for there in ("missing", "old"):
        with pytest.raises(WeightsError, match=f"the directory .*{there} does not exist"):
            check_output(scratch / there / "new", force=False)
    with pytest.raises(WeightsError, match="not a regular file"):
        check_output(Path(os.devnull), force=True)
    assert [path.name for path in scratch.iterdir()] == ["old"]


def test_where_no_file_can_be_made(unprivileged):
    unprivileged.chmod(0o555)
    with pytest.raises(WeightsError, match="new: cannot be written: Permission denied"):
        check_output(unprivileged / "new", force=False)


def test_full_disk_keeps_the_old_file(weights, scratch, monkeypatch):
    (scratch / "a").write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WeightsError, match="a: cannot be written: No space left on device"):
        write_weights(scratch / "a", weights, force=True)
    assert (scratch / "a").read_bytes() == b"old"
    assert [path.name for path in scratch.iterdir()] == ["a"]


def test_beyond_float16_is_refused(weights, scratch):
    first = weights.layers["conv1_1"]
    loud = Convolution(first.kernel * np.float32(1e6), first.bias)
    with pytest.raises(WeightsError, match="conv1_1 has values beyond the range of float16"):
        write_weights(
            scratch / "x.h5",
            replace(weights, layers={**weights.layers, "conv1_1": loud}),
            dtype="float16",
        )
    assert list(scratch.iterdir()) == []


def test_invalid_weights_are_not_written(weights, scratch):
    layers = {name: layer for name, layer in weights.layers.items() if name != "conv5_4"}
    with pytest.raises(WeightsError, match="it has no conv5_4"):
        write_weights(scratch / "x.h5", replace(weights, layers=layers))
    assert list(scratch.iterdir()) == []


def test_a_disk_that_changes_bytes_is_noticed(weights, scratch, monkeypatch):
    last = weights.layers["conv5_4"]
    kernel = last.kernel.copy()
    kernel[2, 2, 31, 31] += 1e-3
    layers = {**weights.layers, "conv5_4": Convolution(kernel, last.bias)}
    for other in (replace(weights, scale=254.0), replace(weights, layers=layers)):
        monkeypatch.setattr("convert_weights.weights_file.read_weights", lambda path, o=other: o)
        with pytest.raises(WeightsError, match="gave different weights"):
            write_weights(scratch / "x.h5", weights)
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


def test_not_a_weights_file(scratch):
    path = scratch / "x.h5"
    assert "no such file" in refused(path)
    path.touch()
    assert "empty" in refused(path)
    path.write_text("hello")
    assert "not an HDF5 file" in refused(path)
    path.unlink()
    path.mkdir()
    assert "a directory" in refused(path)
    path.rmdir()
    h5py.File(path, "w").close()
    assert "not a weights file of this project" in refused(path)


def test_truncated_file(written, scratch):
    path = scratch / "x.h5"
    for share in (0.001, 0.3, 0.9, 0.99999):
        path.write_bytes(written[: int(len(written) * share)])
        refused(path)


@pytest.mark.parametrize("times", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_damaged_bytes_never_crash_the_reader(written, scratch, times):
    """Random damage of the structure gives an error or, in unused bytes, valid weights."""
    rng = np.random.default_rng(0)
    path = scratch / "x.h5"
    path.write_bytes(written)
    complaints = 0
    for _ in range(times):
        # Metadata is in small pieces, most of them at the beginning and at the end.
        place = int(rng.choice([rng.integers(0, 4096), len(written) - 8 - rng.integers(0, 8192)]))
        with open(path, "r+b") as file:
            file.seek(place)
            file.write(rng.bytes(4))
        try:
            read_weights(path)
        except WeightsError as error:
            complaints += 1
            assert "\n" not in str(error)
        with open(path, "r+b") as file:
            file.seek(place)
            file.write(written[place : place + 4])
    assert complaints > 0


def replace_array(file, name, **options):
    del file[name]
    return file.create_dataset(name, **options)


BAD_CONTENTS = [
    (lambda f: f.attrs.__setitem__("format_version", 2), "format version is 2"),
    (lambda f: f.attrs.__setitem__("channel_order", np.bytes_("GRB")), "is 'GRB'"),
    (lambda f: f.attrs.__setitem__("licence", "MIT"), "licence has variable length"),
    (lambda f: f.attrs.__setitem__("channel_order", 3), "channel_order is not text"),
    (lambda f: f.attrs.__setitem__("padding", np.bytes_("mirror")), "padding is 'mirror'"),
    (lambda f: f.attrs.__setitem__("mean", [1.0, 2.0]), "mean is not 3 finite numbers"),
    (lambda f: f.attrs.__setitem__("mean", [1.0, 2.0, np.nan]), "mean is not 3 finite numbers"),
    (lambda f: f.attrs.__setitem__("scale", 0.0), "must be positive"),
    (lambda f: f.attrs.__setitem__("std", [1.0, -1.0, 1.0]), "must be positive"),
    (lambda f: f.attrs.__delitem__("licence"), "attribute licence is missing"),
    (lambda f: f.__delitem__("conv4_4"), "it has no conv4_4"),
    (lambda f: f.__delitem__("conv1_1/bias"), "/conv1_1 has no bias"),
    (
        lambda f: replace_array(f, "conv1_1/kernel", data=np.zeros((3, 3, 64, 3), "f4")),
        "kernel of conv1_1 is 3x3x64x3",
    ),
    (
        lambda f: replace_array(f, "conv1_1/kernel", data=np.full((3, 3, 3, 64), np.inf)),
        "conv1_1 has values that are NaN or infinite",
    ),
    (
        lambda f: replace_array(f, "conv1_1/kernel", data=np.zeros((3, 3, 3, 64), "i4")),
        "holds int32, not real numbers",
    ),
    (
        lambda f: replace_array(f, "conv1_1/bias", data=["text"] * 64),
        "holds object, not real numbers",
    ),
    (
        lambda f: replace_array(f, "conv1_1/kernel", shape=(3, 3, 3, 64), dtype="f4"),
        "declared but holds no data",
    ),
    (
        lambda f: replace_array(f, "conv1_1/kernel", data=h5py.Empty("f4")),
        "declared but holds no data",
    ),
    (
        lambda f: replace_array(
            f, "conv1_1/kernel", shape=(1 << 20,) * 3, dtype="f4", chunks=(1, 1, 1)
        ),
        "larger than any of its arrays",
    ),
]


def test_bad_contents(damaged):
    for change, message in BAD_CONTENTS:
        assert message in refused(damaged(change))


def test_nothing_outside_the_file_is_read(damaged, written, scratch):
    secret = scratch / "secret.h5"
    secret.write_bytes(written)

    def external_link(file):
        del file["conv1_1"]
        file["conv1_1"] = h5py.ExternalLink(str(secret), "/conv1_1")

    def external_link_inside(file):
        del file["conv1_1/kernel"]
        file["conv1_1/kernel"] = h5py.ExternalLink(str(secret), "/conv1_1/kernel")

    def soft_link(file):
        del file["conv1_1/kernel"]
        file["conv1_1/kernel"] = h5py.SoftLink("/conv1_2/kernel")

    def external_storage(file):
        raw = [(str(secret), 0, 3 * 3 * 3 * 64 * 4)]
        replace_array(file, "conv1_1/kernel", shape=(3, 3, 3, 64), dtype="f4", external=raw)

    def virtual(file):
        layout = h5py.VirtualLayout((3, 3, 3, 64), "f4")
        source = h5py.VirtualSource(str(secret), "conv1_1/kernel", (3, 3, 3, 64))
        layout[...] = source
        del file["conv1_1/kernel"]
        file.create_virtual_dataset("conv1_1/kernel", layout)

    assert "refused: conv1_1 is a link to another file" in refused(damaged(external_link))
    assert "refused: kernel is a link to another file" in refused(damaged(external_link_inside))
    assert "refused: kernel is a soft link" in refused(damaged(soft_link))
    assert "stored in another file" in refused(damaged(external_storage))
    assert "virtual dataset" in refused(damaged(virtual))


def test_unknown_filter_is_not_loaded(damaged):
    def filtered(file):
        zeros = np.zeros((3, 3, 3, 64), "f4")
        replace_array(file, "conv1_1/kernel", data=zeros, compression="lzf")

    assert "HDF5 filter plug-in" in refused(damaged(filtered))


def test_compressed_file_is_read(damaged, arrays):
    kernel = arrays["conv1_1"][0]
    path = damaged(lambda f: replace_array(f, "conv1_1/kernel", data=kernel, compression="gzip"))
    np.testing.assert_array_equal(read_weights(path).layers["conv1_1"].kernel, kernel)
