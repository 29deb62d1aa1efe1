"""Write source files of every format from known arrays; shares no code with the readers.

Arrays are kernels as height x width x input x output and biases, by layer name.
"""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from convert_weights.original import _FILTERS

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]

CHANNELS = [64, 64, 128, 128, *[256] * 4, *[512] * 8]
FEW = [64, 8, 16, 16, *[24] * 4, *[32] * 8]  # all in conv1_1, whose filters tell files apart
NAMES = [f"conv{b}_{i}" for b, n in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, n + 1)]
FEATURES = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
ADAIN = [2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51]
MEAN_RGB = [123.68, 116.779, 103.939]


def random_arrays(channels: list[int] = CHANNELS) -> Arrays:
    """Return random He-scaled kernels and small biases, with the given channels."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, inputs, outputs in zip(NAMES, [3, *channels], channels, strict=False):
        kernel = rng.standard_normal((3, 3, inputs, outputs), np.float32)
        kernel *= np.float32(np.sqrt(2 / (9 * inputs)))
        arrays[name] = kernel, rng.standard_normal(outputs, np.float32) / 10
    return arrays


def with_original_filters(arrays: Arrays, order: str = "RGB", scale: float = 1.0) -> Arrays:
    """Return the arrays with the filters of conv1_1 by which the original network is known."""
    kernel, bias = arrays["conv1_1"]
    rgb = np.moveaxis(list(_FILTERS.values()), 0, -1) * scale
    kernel = kernel.copy()
    kernel[..., list(_FILTERS)] = rgb if order == "RGB" else rgb[:, :, ::-1]
    return {**arrays, "conv1_1": (kernel, bias)}


# ---- MATLAB -----------------------------------------------------------------------------------


def matlab_layers(arrays: Arrays, fields: str = "new") -> list[dict]:
    """MatConvNet's layers as dictionaries, filters as width x height x input x output."""
    layers = []
    for name, (kernel, bias) in arrays.items():
        filters = np.ascontiguousarray(kernel.transpose(1, 0, 2, 3))
        row, column = bias.reshape(1, -1), bias.reshape(-1, 1)
        rest = {"pad": [1.0, 1, 1, 1], "stride": [1.0, 1.0], "type": "conv", "name": name}
        layers.append(
            {
                "old": {"weights": [filters, row], **rest},  # up to beta16
                "new": {**rest, "weights": [filters, column], "size": [3.0, 3.0]},
                "oldest": {"biases": row, "filters": filters, **rest},  # no cell of weights
            }[fields]
        )
        layers.append({"type": "relu", "name": name.replace("conv", "relu")})
        if name in ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4"):
            layers.append({"name": f"pool{name[4]}", "type": "pool", "method": "max"})
    return layers


def fully_connected() -> list[dict]:
    """The end of the network, with far fewer channels than the real one."""
    rest = {"type": "conv", "weights": [np.ones((7, 7, 8, 4), np.float32), np.ones((1, 4))]}
    return [{"name": n, **rest} for n in ("fc6", "fc7", "fc8")] + [
        {"type": "softmax", "name": "prob"}
    ]


def write_mat_v5(path: Path, layers: list[dict], variables: dict, compress: bool = False) -> None:
    cells = np.empty((1, len(layers)), object)
    for index, layer in enumerate(layers):
        cells[0, index] = dict(layer)
        if "weights" in layer:
            pair = cells[0, index]["weights"] = np.empty((1, len(layer["weights"])), object)
            for i, part in enumerate(layer["weights"]):
                pair[0, i] = part
    with open(path, "wb") as file:
        scipy.io.savemat(file, {"layers": cells, **variables}, do_compression=compress)


def write_mat_v73(path: Path, layers: list[dict], variables: dict, column: bool = False) -> None:
    """As MATLAB does: a header of 512 bytes, then HDF5 with the axes of every array reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        refs = file.create_group("#refs#")

        def store(group: h5py.Group, name: str, value: object) -> h5py.HLObject:
            if isinstance(value, dict):
                node = group.create_group(name)
                for field, part in value.items():
                    store(node, field, part)
                kind = "struct"
            elif isinstance(value, list) and not isinstance(value[0], float):
                parts = [store(refs, f"r{len(refs)}", part) for part in value]
                cell = np.array([part.ref for part in parts], h5py.ref_dtype).reshape(-1, 1)
                node = group.create_dataset(name, data=cell, dtype=h5py.ref_dtype)
                kind = "cell"
            elif isinstance(value, str):
                codes = np.frombuffer(value.encode("utf-16-le"), np.uint16)
                node, kind = group.create_dataset(name, data=codes.reshape(-1, 1)), "char"
            else:
                array = np.atleast_2d(np.asarray(value))
                kind = {"f4": "single", "f8": "double"}[array.dtype.str[1:]]
                node = group.create_dataset(name, data=array.T)
            node.attrs["MATLAB_class"] = np.bytes_(kind)
            return node

        node = store(file, "layers", layers)
        if column:  # a 43x1 cell instead of 1x43
            row = node[()].reshape(1, -1)
            del file["layers"]
            file.create_dataset("layers", data=row, dtype=h5py.ref_dtype)
        for name, value in variables.items():
            store(file, name, value)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


# ---- Keras ------------------------------------------------------------------------------------


def write_keras(path: Path, arrays: Arrays, layout: str) -> None:
    """One of the layouts of Keras: theano-era, tf, model, keras3 or keras3-numbered."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if layout == "model" else file
        for index, (name, (kernel, bias)) in enumerate(arrays.items()):
            block = f"block{name[4]}_conv{name[6]}"
            if layout == "old":
                parts = (f"{block}/{block}_W_1:0", f"{block}/{block}_b_1:0")
            elif layout in ("tf", "model"):
                parts = (f"{block}/{block}/kernel:0", f"{block}/{block}/bias:0")
            else:
                number = f"conv2d_{index + 5}" if index else "conv2d_5"
                own = number if layout == "keras3-numbered" else block
                parts = (f"layers/{own}/vars/0", f"layers/{own}/vars/1")
            root[parts[0]], root[parts[1]] = kernel, bias
        if layout in ("old", "tf", "model"):
            root["block1_pool"] = file.create_group("unused")
            root["fc1/fc1/kernel:0"] = np.ones((8, 4), np.float32)
            root.attrs["layer_names"] = [b"input_1", b"block1_conv1"]


# ---- PyTorch ----------------------------------------------------------------------------------


def state_dict(arrays: Arrays, prefixes: list[str]) -> dict[str, np.ndarray]:
    """Names and arrays (output x input x height x width) as PyTorch keeps them."""
    state = {}
    for (kernel, bias), prefix in zip(arrays.values(), prefixes, strict=True):
        state[f"{prefix}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        state[f"{prefix}.bias"] = bias
    return state


def adain_first(matrix: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    """The 1x1 convolution in front of AdaIN's network."""
    kernel = matrix.astype(np.float32).reshape(3, 3, 1, 1)
    return {"0.weight": kernel, "0.bias": np.asarray(bias, np.float32)}


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(key: str, array: np.ndarray, **changes) -> bytes:
    """The instructions that rebuild a tensor; `changes` lie about parts of it."""
    kinds = {"f2": "HalfStorage", "f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage"}
    kind = changes.get("kind", kinds[array.dtype.str[1:]])
    steps = [step // array.itemsize for step in array.strides]
    storage = b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu")
    storage += number(changes.get("elements", array.size))
    storage += (b"N" if changes.get("legacy") else b"") + b"tQ"
    shape, strides = changes.get("shape", array.shape), changes.get("strides", steps)
    rest = number(changes.get("offset", 0)) + numbers(shape) + numbers(strides)
    hooks = b"\x89" + name("collections", "OrderedDict") + b")R"
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    return rebuild + b"(" + storage + rest + hooks + b"tR"


def pickled_state(state: dict[str, np.ndarray], legacy: bool, changes: dict | None = None) -> bytes:
    items = b"".join(
        text(key) + tensor(str(i), array, legacy=legacy, **(changes or {}).get(key, {}))
        for i, (key, array) in enumerate(state.items())
    )
    return b"\x80\x02" + name("collections", "OrderedDict") + b")R(" + items + b"u."


def write_torch_zip(
    path: Path,
    state: dict[str, np.ndarray],
    pickled: bytes | None = None,
    byteorder: str | None = "little",
    compression: int = zipfile.ZIP_STORED,
) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("vgg/data.pkl", pickled or pickled_state(state, legacy=False))
        if byteorder:
            archive.writestr("vgg/byteorder", byteorder)
        order = ">" if byteorder == "big" else "<"
        for i, array in enumerate(state.values()):
            data = array.astype(array.dtype.newbyteorder(order)).tobytes()
            archive.writestr(f"vgg/data/{i}", data)
        archive.writestr("vgg/version", "3\n")


def write_torch_legacy(
    path: Path, state: dict[str, np.ndarray], pickled: bytes | None = None
) -> None:
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    buffer = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, system):
        buffer.write(pickle.dumps(part, protocol=2))
    buffer.write(pickled or pickled_state(state, legacy=True))
    keys = [str(i) for i in range(len(state))]
    buffer.write(pickle.dumps(keys[::-1], protocol=2))
    for array in list(state.values())[::-1]:
        buffer.write(struct.pack("<q", array.size) + array.tobytes())
    path.write_bytes(buffer.getvalue())
