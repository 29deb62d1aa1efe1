"""Tests that every container and layout of MatConvNet gives the features of the source."""

import re

import h5py
import numpy as np
import pytest
import scipy.io

from convert_weights.errors import WeightsError
from convert_weights.original import _FILTERS
from convert_weights.sources import identify, load_source
from tests.convert_weights import oracle, writers
from tests.convert_weights.conftest import complaint

IMAGE_MEAN = np.tile(np.array(writers.MEAN_RGB), (224, 224, 1))
OLD = {"normalization": {"averageImage": IMAGE_MEAN}, "classes": {"name": "dog"}}


def new(mean: np.ndarray) -> dict:
    return {"meta": {"classes": {"name": "dog"}, "normalization": {"averageImage": mean}}}


def three(*shape: int) -> np.ndarray:
    return np.array(writers.MEAN_RGB, np.float32).reshape(shape)


def write(path, layers, variables, container, **options) -> None:
    if container == "v7.3":
        writers.write_mat_v73(path, layers, variables, **options)
    else:
        compress = container == "v5 compressed"
        writers.write_mat_v5(path, layers, variables, compress=compress)


LAYOUTS = {
    "old": ("old", OLD),
    "new": ("new", new(three(1, 1, 3))),
    "new, column of means": ("new", new(three(3, 1))),
    "oldest": ("oldest", {"normalization": {"averageImage": three(1, 3)}}),
}


@pytest.mark.parametrize("container", ["v5", "v7.3"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_features_are_those_of_the_source(arrays, scratch, container, layout):
    fields, variables = LAYOUTS[layout]
    path = scratch / "named.h5"  # told apart by content, not by name
    layers = writers.matlab_layers(arrays, fields) + writers.fully_connected()
    write(path, layers, variables, container)

    weights = load_source(path)

    # The source's own convention: filters[column, row], RGB in 0..255 minus its mean.
    filters = [kernel.transpose(1, 0, 2, 3) for kernel, _ in arrays.values()]
    image = np.random.default_rng(1).random((16, 18, 3))
    source = [
        (lambda row, column, f=f: f[column, row], bias)
        for f, (_, bias) in zip(filters, arrays.values(), strict=True)
    ]
    expected = oracle.features(image * 255 - writers.MEAN_RGB, source)
    assert oracle.relative_error(oracle.features_of_weights(weights, image), expected) < 1e-6
    assert (weights.channel_order, weights.scale, weights.std) == ("RGB", 255.0, (1.0, 1.0, 1.0))
    assert weights.mean == tuple(writers.MEAN_RGB)
    assert not weights.normalized
    assert weights.source == "named.h5"


def test_v5_compressed_without_fully_connected(arrays, scratch, same_layers):
    path = scratch / "vgg.mat"
    coarse = {name: (np.sign(kernel), bias) for name, (kernel, bias) in arrays.items()}
    write(path, writers.matlab_layers(coarse), new(three(1, 1, 3)), "v5 compressed")
    assert path.stat().st_size < sum(kernel.nbytes for kernel, _ in arrays.values()) / 4
    same_layers(load_source(path), expected=coarse)


def test_v73_cell_as_a_column(arrays, scratch, same_layers):
    path = scratch / "vgg.mat"
    write(path, writers.matlab_layers(arrays), new(three(1, 1, 3)), "v7.3", column=True)
    assert "v7.3" in identify(path).name
    same_layers(load_source(path))


def test_average_image_is_averaged_over_pixels(arrays, scratch):
    image = np.random.default_rng(2).uniform(90, 130, (5, 7, 3))
    path = scratch / "vgg.mat"
    write(path, writers.matlab_layers(arrays), new(image), "v7.3")
    np.testing.assert_allclose(load_source(path).mean, image.mean((0, 1)), rtol=1e-6)


def with_original_filters(arrays, transposed: bool) -> writers.Arrays:
    """Return the arrays with the original network's marker filters, in either orientation."""
    kernel, bias = arrays["conv1_1"]
    kernel = kernel.copy()
    for channel, values in _FILTERS.items():
        kernel[..., channel] = values
    # The writer stores width x height: undone where the file shall hold height x width.
    changed = {**arrays, "conv1_1": (kernel, bias)}
    if transposed:
        return changed
    return {name: (k.transpose(1, 0, 2, 3), b) for name, (k, b) in changed.items()}


@pytest.mark.parametrize("transposed", [False, True], ids=["published", "width x height"])
@pytest.mark.parametrize("container", ["v5", "v7.3"])
def test_orientation_of_the_original_is_told_by_its_filters(
    arrays, scratch, same_layers, container, transposed
):
    path = scratch / "vgg.mat"
    stored = with_original_filters(arrays, transposed)
    write(path, writers.matlab_layers(stored), {}, container)
    weights = load_source(path)
    same_layers(weights, expected=with_original_filters(arrays, transposed=True))
    assert weights.mean == tuple(writers.MEAN_RGB)  # known although the file has none


BAD_LAYERS = {
    "vgg16": (
        lambda layers: [x for x in layers if x["name"] not in ("conv3_4", "conv4_4", "conv5_4")],
        "not a VGG-19: it has no conv3_4",
    ),
    "no layers": (lambda layers: layers[1:2], "it has no layers named conv1_1"),
    "one parameter": (
        lambda layers: [{**layers[0], "weights": layers[0]["weights"][:1]}],
        "conv1_1 should have two parameters",
    ),
    "5x5": (
        lambda layers: [
            {**layers[0], "weights": [np.zeros((5, 5, 3, 64), np.float32), np.zeros((64, 1))]},
            *layers[1:],
        ],
        "the kernel of conv1_1 is 5x5x3x64 and should be 3x3x3x64",
    ),
    "few biases": (
        lambda layers: [
            {**layers[0], "weights": [layers[0]["weights"][0], np.zeros((63, 1))]},
            *layers[1:],
        ],
        "conv1_1 has 63 biases and should have 64",
    ),
    "not a number": (
        lambda layers: [
            {**layers[0], "weights": [layers[0]["weights"][0] * np.float32("nan"), np.ones(64)]},
            *layers[1:],
        ],
        "conv1_1 has values that are NaN or infinite",
    ),
}


@pytest.mark.parametrize("container", ["v5", "v7.3"])
@pytest.mark.parametrize("case", BAD_LAYERS)
def test_another_network_is_refused(arrays, scratch, container, case):
    change, message = BAD_LAYERS[case]
    path = scratch / "vgg.mat"
    write(path, change(writers.matlab_layers(arrays)), new(three(1, 1, 3)), container)
    told = complaint(load_source, path, case=case)
    assert told.startswith(f"{path}: ")
    assert message in told


def test_bad_mean_is_refused(arrays, scratch):
    for variables, message in (
        ({}, "averageImage is missing"),
        (new(np.ones((1, 4))), "averageImage has shape (1, 4)"),
        (new(np.full((1, 3), np.inf)), "not finite"),
    ):
        write(scratch / "vgg.mat", writers.matlab_layers(arrays), variables, "v5")
        assert message in complaint(load_source, scratch / "vgg.mat", case=message)


@pytest.mark.parametrize("container", ["v5", "v5 compressed", "v7.3"])
def test_truncated_file_is_refused(arrays, scratch, container):
    path = scratch / "vgg.mat"
    some = {name: arrays[name] for name in list(arrays)[:4]}
    write(path, writers.matlab_layers(some), new(three(1, 1, 3)), container)
    data = path.read_bytes()
    for share in (0.02, 0.5, 0.999):
        path.write_bytes(data[: int(len(data) * share)])
        told = complaint(load_source, path, case=share)
        assert re.search("truncated|damaged|not a VGG-19", told), (share, told)


def test_mat_of_something_else_is_refused(scratch):
    scipy.io.savemat(scratch / "other.mat", {"x": np.ones(3)})
    with pytest.raises(WeightsError, match="not a VGG-19 of MatConvNet"):
        load_source(scratch / "other.mat")


def test_v73_pointing_outside_is_refused(arrays, scratch):
    some = {"conv1_1": arrays["conv1_1"]}
    secret, path = scratch / "secret.h5", scratch / "vgg.mat"
    write(secret, writers.matlab_layers(some), new(three(1, 1, 3)), "v7.3")
    with h5py.File(path, "w") as file:
        file.create_group("#refs#")
        file["layers"] = h5py.ExternalLink(str(secret), "/layers")
    with pytest.raises(WeightsError, match="refused: layers is a link to another file"):
        load_source(path)


def test_v73_with_dangling_references_is_refused(scratch):
    path = scratch / "vgg.mat"
    with h5py.File(path, "w") as file:
        file.create_group("#refs#")
        file.create_dataset("layers", (1, 43), h5py.ref_dtype)
    with pytest.raises(WeightsError, match="damaged HDF5 file"):
        load_source(path)
