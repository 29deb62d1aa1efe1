"""Tests of torch.save files: both containers, all conventions, and hostile files."""

import pickle
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from convert_weights.original import _FILTERS
from convert_weights.sources import identify, load_source
from tests.convert_weights import oracle, writers
from tests.convert_weights.conftest import complaint

WRITERS = {"zip": writers.write_torch_zip, "legacy": writers.write_torch_legacy}
FEATURES = [f"features.{i}" for i in writers.FEATURES]
SWAP = np.eye(3)[::-1]
CAFFE_BIAS = [-103.939, -116.779, -123.68]


@pytest.fixture(params=WRITERS)
def save(request, scratch):
    """Return a function that writes a state dictionary in one of the containers."""

    def write(state, **options):
        path = scratch / "named.mat"  # told apart by content, not by name
        WRITERS[request.param](path, state, **options)
        assert request.param in identify(path).name
        return path

    write.container = request.param
    return write


def with_original(arrays, order: str, scale: float) -> writers.Arrays:
    """Return the arrays with the marker filters of the original network."""
    kernel, bias = arrays["conv1_1"]
    kernel = kernel.copy()
    for channel, values in _FILTERS.items():
        rgb = np.array(values) * scale
        kernel[..., channel] = rgb if order == "RGB" else rgb[:, :, ::-1]
    return {**arrays, "conv1_1": (kernel, bias)}


def refused(path, case: object = None) -> str:
    message = complaint(load_source, path, case=case)
    assert message.startswith(f"{path}: ")
    return message


def test_torchvision(save, arrays, same_layers):
    state = writers.state_dict(arrays, FEATURES)
    state["classifier.0.weight"] = np.ones((8, 4), np.float32)
    weights = load_source(save(state))
    same_layers(weights)
    assert (weights.channel_order, weights.scale) == ("RGB", 1.0)
    assert weights.mean == (0.485, 0.456, 0.406)
    assert weights.std == (0.229, 0.224, 0.225)
    assert not weights.normalized


def test_features_are_those_of_the_source(save, arrays):
    weights = load_source(save(writers.state_dict(arrays, FEATURES)))
    image = np.random.default_rng(1).random((16, 17, 3))
    kernels = [np.ascontiguousarray(k.transpose(3, 2, 0, 1)) for k, _ in arrays.values()]
    source = [
        (lambda row, column, k=k: k[:, :, row, column].T, bias)
        for k, (_, bias) in zip(kernels, arrays.values(), strict=True)
    ]
    expected = oracle.features((image - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], source)
    assert oracle.relative_error(oracle.features_of_weights(weights, image), expected) < 1e-6


def test_caffe_port_is_told_from_torchvision_by_its_filters(save, arrays):
    for order, mean in ("RGB", writers.MEAN_RGB), ("BGR", writers.MEAN_RGB[::-1]):
        for scale, normalized in (1.0, False), (0.05, True):
            changed = with_original(arrays, order, scale)
            weights = load_source(save(writers.state_dict(changed, FEATURES)))
            assert (weights.channel_order, weights.scale, weights.mean) == (order, 255, tuple(mean))
            assert weights.std == (1.0, 1.0, 1.0)
            assert weights.normalized is normalized


def test_gatys_names(save, arrays, same_layers):
    weights = load_source(save(writers.state_dict(arrays, writers.NAMES)))
    same_layers(weights)
    assert (weights.channel_order, weights.scale) == ("BGR", 255.0)
    assert weights.normalized
    original = with_original(arrays, "BGR", 1.0)
    assert not load_source(save(writers.state_dict(original, writers.NAMES))).normalized


def adain_state(arrays, matrix, bias):
    first = writers.adain_first(matrix, bias)
    return {**first, **writers.state_dict(arrays, [str(i) for i in writers.ADAIN])}


@pytest.mark.parametrize(
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


def test_adain_with_another_first_layer_is_refused(save, arrays):
    for matrix, bias in (
        (255 * SWAP + np.diag([1, 0, 0]), CAFFE_BIAS),
        (np.diag([255, 255, 254]), CAFFE_BIAS),
        (255 * np.roll(np.eye(3), 1, axis=0), CAFFE_BIAS),
        (-255 * np.eye(3), CAFFE_BIAS),
        (255 * SWAP, [1.0, 2.0]),
    ):
        message = refused(save(adain_state(arrays, matrix, bias)), case=(matrix, bias))
        assert "1x1 first layer does more than scale, reorder and shift" in message


def test_bare_sequence_and_prefix_and_nesting(save, arrays, same_layers):
    same_layers(load_source(save(writers.state_dict(arrays, [str(i) for i in writers.FEATURES]))))
    same_layers(load_source(save(writers.state_dict(arrays, [f"module.{p}" for p in FEATURES]))))
    state = writers.state_dict(arrays, FEATURES)
    inner = writers.pickled_state(state, legacy=save.container == "legacy")[2:-1]
    nested = b"\x80\x02}(" + writers.text("epoch") + b"K\x03"
    nested += writers.text("state_dict") + inner + b"u."
    same_layers(load_source(save(state, pickled=nested)))


def test_other_precisions(save, arrays):
    for dtype in ("f2", "f8"):
        state = writers.state_dict(arrays, FEATURES)
        state = {name: array.astype(dtype) for name, array in state.items()}
        kernel = arrays["conv5_4"][0].astype(dtype).astype(np.float32)
        found = load_source(save(state)).layers["conv5_4"].kernel
        np.testing.assert_array_equal(found, kernel, err_msg=dtype)


def test_bfloat16(save, arrays):
    state = writers.state_dict(arrays, FEATURES)
    bits = {k: (a.view(np.uint32) >> 16).astype("u2").view("f2") for k, a in state.items()}
    changes = {name: {"kind": "BFloat16Storage"} for name in state}
    pickled = writers.pickled_state(bits, save.container == "legacy", changes)
    kernel = (arrays["conv1_2"][0].view(np.uint32) >> 16 << 16).view(np.float32)
    found = load_source(save(bits, pickled=pickled)).layers["conv1_2"].kernel
    np.testing.assert_array_equal(found, kernel)


def test_strides_are_honored(save, arrays, same_layers):
    state = writers.state_dict(arrays, FEATURES)
    # As memory_format=channels_last keeps them: height x width x input innermost.
    state = {
        name: array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) if array.ndim == 4 else array
        for name, array in state.items()
    }
    changes = {name: {"strides": [s // 4 for s in array.strides]} for name, array in state.items()}
    pickled = writers.pickled_state(state, save.container == "legacy", changes)
    flat = {
        name: array.transpose(0, 2, 3, 1).copy() if array.ndim == 4 else array
        for name, array in state.items()
    }
    same_layers(load_source(save(flat, pickled=pickled)))


def test_byte_order_of_zip(arrays, scratch, same_layers):
    path = scratch / "x.pth"
    for byteorder in ("big", "little", None):
        writers.write_torch_zip(path, writers.state_dict(arrays, FEATURES), byteorder=byteorder)
        same_layers(load_source(path))


def test_batch_normalization_is_refused(save, arrays):
    state = writers.state_dict(arrays, FEATURES)
    state["features.1.running_mean"] = np.ones(64, np.float32)
    assert "batch normalization" in refused(save(state))


def test_vgg16_is_refused(save, arrays):
    fewer = {n: a for n, a in arrays.items() if n not in ("conv3_4", "conv4_4", "conv5_4")}
    positions = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    message = refused(save(writers.state_dict(fewer, [f"features.{i}" for i in positions])))
    assert "not a VGG-19: it has no features.16.weight for conv3_4" in message


def test_other_networks_are_refused(save):
    state = {"fc\n\x1b[31m.weight": np.ones((2, 2), np.float32)}
    assert "its tensors ('fc\\n\\x1b[31m.weight', ...) have unknown names" in refused(save(state))
    assert "no state dictionary" in refused(save(state, pickled=b"\x80\x02K\x01."))


def test_code_is_refused_by_name(save, arrays, tmp_path):
    witness = tmp_path / "witness"
    some = writers.state_dict({"conv1_1": arrays["conv1_1"]}, ["features.0"])
    command = writers.text(f"touch {witness}")
    attack = b"\x80\x02" + writers.name("os", "system") + b"(" + command + b"tR."
    assert "refused: its pickle asks for os.system" in refused(save(some, pickled=attack))
    assert not witness.exists()


def test_code_in_a_plain_pickle_is_refused_by_name(scratch):
    path = scratch / "vgg19.pth"
    path.write_bytes(b"\x80\x02" + writers.name("os", "system") + b"X\x02\x00\x00\x00ls\x85R.")
    assert "refused: its pickle asks for os.system" in refused(path)
    path.write_bytes(pickle.dumps({"a": 1}, 4))
    assert "a pickle, but not a file of torch.save" in refused(path)


def test_code_anywhere_in_a_legacy_file_is_refused(arrays, scratch):
    path = scratch / "vgg19.pth"
    writers.write_torch_legacy(path, writers.state_dict(arrays, FEATURES))
    data = path.read_bytes()
    attack = b"\x80\x02" + writers.name("os", "system") + b")R."
    start = len(pickle.dumps(0x1950A86A20F9469CFC6C, 2))
    path.write_bytes(data[:start] + attack + data[start:])
    assert "asks for os.system" in refused(path)


def test_inconsistent_tensors_are_refused(save, arrays):
    state = writers.state_dict({"conv1_1": arrays["conv1_1"]}, FEATURES[:1])
    for change, message in (
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
        ({"elements": 1 << 30}, "larger than any|wrong size"),
        ({"elements": 1700}, "larger than it should be|wrong size"),
        ({"elements": 1800}, "incomplete|wrong size"),
        ({"elements": -5}, "without a key or a size"),
        ({"kind": "DoubleStorage"}, "incomplete|damaged"),
        ({"kind": "UntypedStorage"}, "asks for torch.UntypedStorage"),
    ):
        changes = {"features.0.weight": change}
        pickled = writers.pickled_state(state, save.container == "legacy", changes)
        told = refused(save(state, pickled=pickled), case=change)
        assert re.search(message, told), (change, told)


def test_truncated_file_is_refused(save, arrays):
    path = save(writers.state_dict(arrays, FEATURES))
    data = path.read_bytes()
    for length in (1600, 20_000, len(data) // 2, len(data) - 30):  # the first within the pickle
        path.write_bytes(data[:length])
        message = refused(path, case=length)
        assert "damaged" in message or "truncated" in message, length


def test_zip_bomb_is_not_unpacked(scratch):
    path = scratch / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + b"N0" * (9 << 20) + b"N.")
    assert path.stat().st_size < 1e6
    assert "data.pkl is larger than it should be" in refused(path)


def test_zip_storage_bomb_is_not_unpacked(arrays, scratch):
    path = scratch / "bomb.pth"
    state = writers.state_dict({"conv1_1": arrays["conv1_1"]}, FEATURES[:1])
    pickled = writers.pickled_state(state, legacy=False)
    bomb = {**state, "features.0.weight": np.zeros(1 << 20, np.float32)}
    writers.write_torch_zip(path, bomb, pickled, compression=zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        assert "vgg/data/0 is larger than it should be" in refused(path)
        assert tracemalloc.get_traced_memory()[1] < bomb["features.0.weight"].nbytes / 4
    finally:
        tracemalloc.stop()


def test_damaged_zip_is_refused(arrays, scratch):
    path = scratch / "x.pth"
    writers.write_torch_zip(path, writers.state_dict(arrays, FEATURES))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1  # in the numbers of a tensor: the checksum of the archive tells
    path.write_bytes(data)
    assert "damaged" in refused(path)


def test_other_zip_archives_are_refused(scratch):
    path = scratch / "x.zip"
    for member, message in (
        ("readme.txt", "it has no data.pkl"),
        ("model.weights.h5", "a .keras archive: unzip it and pass its model.weights.h5"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, "x")
        assert message in refused(path)


def test_legacy_storage_of_another_size_is_refused(arrays, scratch):
    path = scratch / "x.pth"
    state = writers.state_dict({"conv1_1": arrays["conv1_1"]}, FEATURES[:1])
    writers.write_torch_legacy(path, state)
    data = path.read_bytes()
    right = struct.pack("<q", 64)
    assert data.count(right) == 1
    path.write_bytes(data.replace(right, struct.pack("<q", 65)))
    assert "wrong size" in refused(path)
