"""Tests that every container and layout of MatConvNet gives the features of the source."""

import re
from functools import partial

import h5py
import numpy as np

from convert_weights.sources import load_source
from tests.cases import for_each
from tests.convert_weights import oracle, writers
from tests.convert_weights.conftest import refusal

IMAGE_MEAN = np.tile(np.array(writers.MEAN_RGB), (224, 224, 1))
OLD = {"normalization": {"averageImage": IMAGE_MEAN}, "classes": {"name": "dog"}}


def new(mean: np.ndarray) -> dict:
    return {"meta": {"classes": {"name": "dog"}, "normalization": {"averageImage": mean}}}


def three(*shape: int) -> np.ndarray:
    return np.array(writers.MEAN_RGB, np.float32).reshape(shape)


CONTAINERS = {
    "v5": writers.write_mat_v5,
    "v5, compressed": partial(writers.write_mat_v5, compress=True),
    "v7.3": writers.write_mat_v73,
    "v7.3, a column": partial(writers.write_mat_v73, column=True),
}
LAYOUTS = {
    "old": ("old", OLD),
    "new": ("new", new(three(1, 1, 3))),
    "new, column of means": ("new", new(three(3, 1))),
    "oldest": ("oldest", {"normalization": {"averageImage": three(1, 3)}}),
}


@for_each("container", CONTAINERS)
@for_each("layout", LAYOUTS)
def test_features_are_those_of_the_source(arrays, scratch, container, layout):
    fields, variables = LAYOUTS[layout]
    path = scratch / "named.h5"  # told apart by content, not by name
    layers = writers.matlab_layers(arrays, fields) + writers.fully_connected()
    CONTAINERS[container](path, layers, variables)
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


def test_average_image_is_averaged_over_pixels(arrays, scratch):
    image = np.random.default_rng(2).uniform(90, 130, (5, 7, 3))
    path = scratch / "vgg.mat"
    writers.write_mat_v73(path, writers.matlab_layers(arrays), new(image))
    np.testing.assert_allclose(load_source(path).mean, image.mean((0, 1)), rtol=1e-6)


@for_each("upright", [True, False])
@for_each("container", ["v5", "v7.3"])
def test_the_orientation_of_the_original_is_told_by_its_filters(
    arrays, scratch, same_layers, container, upright
):
    stored = original = writers.with_original_filters(arrays)
    if upright:  # as published; the writer turns what it is given
        stored = {name: (k.transpose(1, 0, 2, 3), b) for name, (k, b) in original.items()}
    path = scratch / "vgg.mat"
    CONTAINERS[container](path, writers.matlab_layers(stored), {})
    weights = load_source(path)
    same_layers(weights, expected=original)
    assert weights.mean == tuple(writers.MEAN_RGB)  # known although the file has none


@for_each(
    ("change", "message"),
    [
        (
            lambda layers: [each for each in layers if each["name"] != "conv3_4"],
            "not a VGG-19: it has no conv3_4",
        ),
        (lambda layers: layers[1:2], "not a VGG-19 of MatConvNet: it has no layers named conv1_1"),
        (
            lambda layers: [{**layers[0], "weights": layers[0]["weights"][:1]}],
            "conv1_1 should have two parameters",
        ),
    ],
)
@for_each("container", ["v5", "v7.3"])
def test_another_network_is_refused(arrays, scratch, container, change, message):
    path = scratch / "vgg.mat"
    CONTAINERS[container](path, change(writers.matlab_layers(arrays)), new(three(1, 1, 3)))
    assert message in refusal(load_source, path)


@for_each(
    ("variables", "message"),
    [
        ({}, "averageImage is missing"),
        (new(np.ones((1, 4))), "averageImage has shape (1, 4)"),
        (new(np.full((1, 3), np.inf)), "not finite"),
        (new(np.full((1, 3), 1e39)), "beyond the range of float32"),
    ],
)
def test_a_bad_mean_is_refused(arrays, scratch, variables, message):
    path = scratch / "vgg.mat"
    writers.write_mat_v5(path, writers.matlab_layers(arrays), variables)
    assert message in refusal(load_source, path)


@for_each("container", CONTAINERS)
def test_a_truncated_file_is_refused(arrays, scratch, container):
    path = scratch / "vgg.mat"
    some = {name: arrays[name] for name in list(arrays)[:4]}
    CONTAINERS[container](path, writers.matlab_layers(some), new(three(1, 1, 3)))
    data = path.read_bytes()
    for share in (0.02, 0.5, 0.999):
        path.write_bytes(data[: int(len(data) * share)])
        assert re.search("truncated|damaged|not a VGG-19", refusal(load_source, path)), share


def test_a_link_to_another_file_is_refused(scratch):
    with h5py.File(scratch / "vgg.mat", "w") as file:
        file.create_group("#refs#")
        file["layers"] = h5py.ExternalLink("secret.h5", "/layers")
    told = refusal(load_source, scratch / "vgg.mat")
    assert "refused: layers is a link to another file" in told
