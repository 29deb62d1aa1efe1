"""Tests of torch.save files: both containers, all conventions, and hostile files."""

import pickle
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from convert_weights import torch_file
from convert_weights.formats import identify
from convert_weights.sources import load_source
from tests.cases import for_each
from tests.convert_weights import oracle, writers
from tests.convert_weights.conftest import refusal

FEATURES = [f"features.{i}" for i in writers.FEATURES]
SWAP = np.eye(3)[::-1]
CAFFE_BIAS = [-103.939, -116.779, -123.68]
ATTACK = b"\x80\x02" + writers.name("os", "system") + b"X\x02\x00\x00\x00ls\x85R."


@pytest.fixture(params=["zip", "legacy"])
def save(request, scratch):
    """A function that writes a state dictionary in one of the containers."""
    writer = {"zip": writers.write_torch_zip, "legacy": writers.write_torch_legacy}[request.param]

    def write(state, pickled=None):
        path = scratch / "named.mat"  # told apart by content, not by name
        writer(path, state, pickled)
        assert request.param in identify(path).name
        return path

    write.legacy = request.param == "legacy"
    return write


@pytest.fixture
def state(arrays):
    """The state dictionary of torchvision's network."""
    return writers.state_dict(arrays, FEATURES)


@pytest.fixture
def first(state):
    """The tensors of the first layer."""
    return dict(list(state.items())[:2])


def refused(path) -> str:
    return refusal(load_source, path)


def test_torchvision_is_read(save, state, arrays, same_layers):
    state["classifier.0.weight"] = np.ones((8, 4), np.float32)
    weights = load_source(save(state))
    same_layers(weights)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    assert (weights.channel_order, weights.scale, weights.normalized) == ("RGB", 1.0, False)
    assert (weights.mean, weights.std) == (tuple(mean), tuple(std))
    # Features are those of the source's own convention.
    image = np.random.default_rng(1).random((16, 17, 3))
    source = [
        (lambda row, column, k=state[f"{name}.weight"]: k[:, :, row, column].T, bias)
        for name, (_, bias) in zip(FEATURES, arrays.values(), strict=True)
    ]
    expected = oracle.features((image - mean) / std, source)
    assert oracle.relative_error(oracle.features_of_weights(weights, image), expected) < 1e-6


@for_each(("order", "mean"), [("RGB", writers.MEAN_RGB), ("BGR", writers.MEAN_RGB[::-1])])
@for_each(("scale", "normalized"), [(1.0, False), (0.05, True)])
def test_a_caffe_port_is_told_from_torchvision_by_its_filters(
    save, arrays, order, mean, scale, normalized
):
    changed = writers.with_original_filters(arrays, order, scale)
    weights = load_source(save(writers.state_dict(changed, FEATURES)))
    assert (weights.channel_order, weights.scale, weights.mean) == (order, 255, tuple(mean))
    assert (weights.std, weights.normalized) == ((1.0, 1.0, 1.0), normalized)


def test_gatys_names_are_normalized_unless_the_filters_tell_otherwise(save, arrays, same_layers):
    weights = load_source(save(writers.state_dict(arrays, writers.NAMES)))
    same_layers(weights)
    assert (weights.channel_order, weights.scale, weights.normalized) == ("BGR", 255.0, True)
    original = writers.with_original_filters(arrays, "BGR", 1.0)
    assert not load_source(save(writers.state_dict(original, writers.NAMES))).normalized


def adain_state(arrays, matrix, bias):
    first = writers.adain_first(matrix, bias)
    return {**first, **writers.state_dict(arrays, [str(i) for i in writers.ADAIN])}


@for_each(
    ("matrix", "bias", "order", "scale", "mean"),
    [
        (255 * SWAP, CAFFE_BIAS, "BGR", 255.0, (103.939, 116.779, 123.68)),
        (np.eye(3), [-0.5, -0.25, -1.0], "RGB", 1.0, (0.5, 0.25, 1.0)),
    ],
)
def test_adain_input_is_what_its_first_layer_does(
    save, arrays, same_layers, matrix, bias, order, scale, mean
):
    weights = load_source(save(adain_state(arrays, matrix, bias)))
    same_layers(weights)
    assert (weights.channel_order, weights.scale, weights.mean) == (order, scale, mean)
    assert weights.normalized


@for_each(
    ("matrix", "bias"),
    [
        (255 * SWAP + np.diag([1, 0, 0]), CAFFE_BIAS),
        (np.diag([255, 255, 254]), CAFFE_BIAS),
        (255 * np.roll(np.eye(3), 1, axis=0), CAFFE_BIAS),
        (-255 * np.eye(3), CAFFE_BIAS),
        (np.inf * np.ones((3, 3)), CAFFE_BIAS),
        (255 * SWAP, [1.0, 2.0]),
    ],
)
def test_adain_with_another_first_layer_is_refused(save, arrays, matrix, bias):
    message = refused(save(adain_state(arrays, matrix, bias)))
    assert "1x1 first layer does more than scale, reorder and shift" in message


@for_each("bias", [[np.inf, 1.0, 2.0], [np.nan, 1.0, 2.0], [1e39, 1.0, 2.0]])
def test_adain_with_a_shift_beyond_float32_is_refused(save, arrays, bias):
    state = adain_state(arrays, 255 * SWAP, [0, 0, 0]) | {"0.bias": np.array(bias)}
    assert "is beyond the range of float32" in refused(save(state))


@for_each("prefix", ["", "module.features."])
def test_prefixes_of_names_may_differ(save, arrays, same_layers, prefix):
    names = [f"{prefix}{i}" for i in writers.FEATURES]
    same_layers(load_source(save(writers.state_dict(arrays, names))))


def test_a_checkpoint_is_read(save, state, same_layers):
    inner = writers.pickled_state(state, save.legacy)[2:-1]
    nested = b"\x80\x02}(" + writers.text("epoch") + b"K\x03"
    nested += writers.text("state_dict") + inner + b"u."
    same_layers(load_source(save(state, nested)))


@for_each("dtype", ["f2", "f8"])
def test_other_precisions_are_read(save, state, arrays, dtype):
    converted = {name: array.astype(dtype) for name, array in state.items()}
    found = load_source(save(converted)).layers["conv5_4"].kernel
    expected = arrays["conv5_4"][0].astype(dtype).astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def test_bfloat16_is_read(save, state, arrays):
    bits = {k: (a.view(np.uint32) >> 16).astype("u2").view("f2") for k, a in state.items()}
    changes = {name: {"kind": "BFloat16Storage"} for name in state}
    path = save(bits, writers.pickled_state(bits, save.legacy, changes))
    kernel = (arrays["conv1_2"][0].view(np.uint32) >> 16 << 16).view(np.float32)
    np.testing.assert_array_equal(load_source(path).layers["conv1_2"].kernel, kernel)


def test_strides_are_honored(save, state, same_layers):
    # As memory_format=channels_last keeps them: height x width x input innermost.
    stored = {k: np.moveaxis(a, 1, -1).copy() if a.ndim == 4 else a for k, a in state.items()}
    views = {k: np.moveaxis(a, -1, 1) if a.ndim == 4 else a for k, a in stored.items()}
    changes = {k: {"strides": [step // 4 for step in a.strides]} for k, a in views.items()}
    path = save(stored, writers.pickled_state(views, save.legacy, changes))
    same_layers(load_source(path))


@for_each("byteorder", ["big", "little", None])
def test_the_byte_order_of_a_zip_is_honored(state, scratch, same_layers, byteorder):
    writers.write_torch_zip(scratch / "x.pth", state, byteorder=byteorder)
    same_layers(load_source(scratch / "x.pth"))


def test_other_networks_are_refused(save, state):
    without = {name: array for name, array in state.items() if name != "features.16.weight"}
    assert "not a VGG-19: it has no features.16.weight for conv3_4" in refused(save(without))
    normalized = {**state, "features.1.running_mean": np.ones(64, np.float32)}
    assert "batch normalization" in refused(save(normalized))
    dense = {"fc\n\x1b[31m.weight": np.ones((2, 2), np.float32)}
    assert "its tensors ('fc\\n\\x1b[31m.weight', ...) have unknown names" in refused(save(dense))
    assert "no state dictionary" in refused(save(dense, b"\x80\x02K\x01."))


def test_code_is_refused_by_name_and_not_run(save, first):
    assert "refused: its pickle asks for os.system" in refused(save(first, ATTACK))


@for_each("before", [b"", pickle.dumps(0x1950A86A20F9469CFC6C, 2)])
def test_code_elsewhere_in_a_legacy_file_is_refused(scratch, before):
    (scratch / "vgg19.pth").write_bytes(before + ATTACK)
    assert "refused: its pickle asks for os.system" in refused(scratch / "vgg19.pth")


def test_a_plain_pickle_is_refused(scratch):
    (scratch / "vgg19.pth").write_bytes(pickle.dumps({"a": 1}, 4))
    assert "a pickle, but not a file of torch.save" in refused(scratch / "vgg19.pth")


@for_each(
    ("change", "message"),
    [
        ({"offset": 1}, "reaches outside storage"),
        ({"offset": -1}, "an invalid shape"),
        ({"strides": [27, 9, 3, 2]}, "reaches outside storage"),
        ({"strides": [-27, 9, 3, 1]}, "an invalid shape"),
        ({"shape": (64, 3, 3), "strides": [27, 9, 3]}, r"features.0.weight of conv1_1 has shape"),
        ({"shape": (65, 3, 3, 3)}, "reaches outside storage"),
        ({"shape": (0, 3, 3, 3)}, "reaches outside storage"),
        ({"shape": (1 << 30, 3, 3, 3)}, "larger than any"),
        ({"shape": (1 << 30, 3, 3, 3), "strides": [0, 0, 0, 0]}, "larger than any"),
        ({"shape": (3, 3)}, "an invalid shape"),
        ({"shape": (1,) * 9, "strides": (1,) * 9}, "an invalid shape"),
        ({"elements": 1 << 30}, "larger than any|wrong size"),
        ({"elements": 1700}, "larger than it should be|wrong size"),
        ({"elements": 1800}, "incomplete|wrong size"),
        ({"elements": -5}, "without a key or a size"),
        ({"kind": "DoubleStorage"}, "incomplete|damaged"),
        ({"kind": "UntypedStorage"}, "asks for torch.UntypedStorage"),
    ],
)
def test_inconsistent_tensors_are_refused(save, first, change, message):
    pickled = writers.pickled_state(first, save.legacy, {"features.0.weight": change})
    assert re.search(message, refused(save(first, pickled)))


def test_a_storage_of_many_tensors_is_read_once(scratch, monkeypatch):
    array = np.ones((64, 3, 3, 3), np.float32)
    tensors = b"".join(writers.text(f"t{i}") + writers.tensor("0", array) for i in range(20))
    writers.write_torch_zip(scratch / "x", {"t": array}, b"\x80\x02}(" + tensors + b"u.")
    read, record = [], torch_file._record
    monkeypatch.setattr(
        torch_file, "_record", lambda *given: read.append(given[1]) or record(*given)
    )
    state = torch_file.open_state_dict(scratch / "x")
    for tensor in state.tensors.values():
        np.testing.assert_array_equal(state.read(tensor), array)
    assert read.count("vgg/data/0") == 1


def test_storages_and_tensors_count_in_sum(save, state, monkeypatch):
    path = save(state)
    size = sum(array.size for array in state.values())
    monkeypatch.setattr(torch_file, "NUMBERS", size)
    load_source(path)
    monkeypatch.setattr(torch_file, "NUMBERS", size - 1)
    assert "more numbers than" in refused(path)


def test_a_truncated_or_damaged_file_is_refused(save, state):
    path = save(state)
    data = path.read_bytes()
    middle = len(data) // 2
    parts = [data[:length] for length in (1600, 20_000, middle, len(data) - 30)]
    if not save.legacy:  # which has no checksum of the numbers
        parts.append(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    for part in parts:  # the first ends within the pickle
        path.write_bytes(part)
        assert re.search("damaged|truncated", refused(path)), len(part)


def test_a_zip_bomb_is_not_unpacked(scratch):
    path = scratch / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + b"N0" * (9 << 20) + b"N.")
    assert path.stat().st_size < 1e6
    assert "data.pkl is larger than it should be" in refused(path)


def test_a_bomb_of_numbers_is_not_unpacked(first, scratch):
    path = scratch / "bomb.pth"
    pickled = writers.pickled_state(first, legacy=False)
    bomb = {**first, "features.0.weight": np.zeros(1 << 20, np.float32)}
    writers.write_torch_zip(path, bomb, pickled, compression=zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        assert "vgg/data/0 is larger than it should be" in refused(path)
        assert tracemalloc.get_traced_memory()[1] < bomb["features.0.weight"].nbytes / 4
    finally:
        tracemalloc.stop()


@for_each(
    ("member", "message"),
    [
        ("readme.txt", "it has no data.pkl"),
        ("model.weights.h5", "a .keras archive: unzip it and pass its model.weights.h5"),
    ],
)
def test_other_zip_archives_are_refused(scratch, member, message):
    with zipfile.ZipFile(scratch / "x.zip", "w") as archive:
        archive.writestr(member, "x")
    assert message in refused(scratch / "x.zip")


def test_a_legacy_storage_of_another_size_is_refused(first, scratch):
    path = scratch / "x.pth"
    writers.write_torch_legacy(path, first)
    data, right = path.read_bytes(), struct.pack("<q", 64)
    assert data.count(right) == 1
    path.write_bytes(data.replace(right, struct.pack("<q", 65)))
    assert "wrong size" in refused(path)
