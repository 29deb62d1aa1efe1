"""The one output format: an HDF5 file with the sixteen convolutions and all that a user must know.

Root attributes are the fields of `Weights` less `layers`, texts of fixed length. Every convolution
is a group such as `conv1_1` with `kernel` (height x width x input x output, float32 or float16) and
`bias` (float32).
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from jaxtyping import Float32

from convert_weights import vgg19
from convert_weights.errors import WeightsError, naming
from convert_weights.files import check_output, require_file, write_atomically
from convert_weights.hdf5 import child, open_hdf5, read_array
from convert_weights.original import ChannelOrder
from convert_weights.vgg19 import LAYERS, Convolution

__all__ = [
    "FORMAT_VERSION",
    "Convolution",
    "Weights",
    "WeightsError",
    "normalize_input",
    "read_weights",
    "write_weights",
]

FORMAT_VERSION = 1

Dtype = Literal["float32", "float16"]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Weights:
    """VGG-19 and its input convention: conv1_1 expects (x * scale - mean) / std, where x is an
    sRGB image in [0, 1] whose channels are in `channel_order`."""

    layers: dict[str, Convolution]
    channel_order: ChannelOrder
    scale: float  # 255 for networks trained on pixels in 0..255, 1 for [0, 1]
    mean: Triple  # in channel order
    std: Triple  # in channel order
    normalized: bool  # every filter rescaled to mean activation one over natural images
    source: str = ""  # name of the file that was converted
    source_sha256: str = ""
    licence: str = ""
    padding: str = "zeros"  # of every convolution, in training
    format_version: int = FORMAT_VERSION


def normalize_input(
    weights: Weights, image: Float32[np.ndarray, "height width 3"]
) -> Float32[np.ndarray, "height width 3"]:
    """What conv1_1 of these weights expects in place of an sRGB image in [0, 1]."""
    ordered = image if weights.channel_order == "RGB" else image[..., ::-1]
    result = (ordered * weights.scale - np.array(weights.mean)) / np.array(weights.std)
    return result.astype(np.float32)


def read_weights(path: Path) -> Weights:
    """Read a file written by `write_weights`; float16 kernels come back as float32.

    Safe on hostile files: nothing outside the file is opened, no array larger than VGG-19's is
    allocated, and no value that is not finite is let through.

    Raises:
        WeightsError: one line that names the file and what is wrong with it.
    """
    with naming(path):
        require_file(path)
        if not h5py.is_hdf5(path):
            raise WeightsError("not an HDF5 file; convert it with python -m convert_weights first")
        return parse_weights(path)


def parse_weights(path: Path) -> Weights:
    """`read_weights` of a file known to be HDF5; its complaints do not name the file."""
    with open_hdf5(path) as file:
        return _parse(file)


def write_weights(
    path: Path, weights: Weights, dtype: Dtype = "float32", force: bool = False
) -> None:
    """Write weights, kernels as `dtype`: atomically, and verified by reading them back.

    The same weights give the same bytes. float16 halves the file; biases stay float32.

    Raises:
        WeightsError: the file exists and `force` is not set, cannot be written, or reads back
            differently; an existing file is then untouched.
    """
    vgg19.validate(weights.layers)
    check_output(path, force)
    stored = _as_stored(weights.layers, dtype)
    data = _serialize(weights, stored, dtype)
    write_atomically(path, data, force=force, verify=partial(_verify, weights, stored))


def is_weights(file: h5py.File) -> bool:
    """Whether an open HDF5 file claims to be in this format."""
    return "format_version" in file.attrs and "channel_order" in file.attrs


def _parse(file: h5py.File) -> Weights:
    attributes = file.attrs
    if not is_weights(file):
        raise WeightsError(
            "not a weights file of this project; make one with python -m convert_weights SOURCE"
        )
    version = int(_numbers(attributes, "format_version", 1)[0])
    if version != FORMAT_VERSION:
        raise WeightsError(
            f"its format version is {version}, and this program knows version {FORMAT_VERSION} "
            "only; update the program or convert the source again"
        )
    order = _text(attributes, "channel_order")
    if order not in ("RGB", "BGR"):
        raise WeightsError(f"attribute channel_order is {order!r}, not RGB or BGR")
    padding = _text(attributes, "padding")
    if padding not in ("zeros", "reflect", "replicate"):
        raise WeightsError(f"attribute padding is {padding!r}, not zeros, reflect or replicate")
    scale = _numbers(attributes, "scale", 1)[0]
    std = _numbers(attributes, "std", 3)
    if scale <= 0 or min(std) <= 0:
        raise WeightsError("attributes scale and std must be positive")
    return Weights(
        layers=vgg19.network({name: _read_layer(file, name) for name in LAYERS}),
        channel_order=order,
        scale=scale,
        mean=_triple(_numbers(attributes, "mean", 3)),
        std=_triple(std),
        normalized=bool(_numbers(attributes, "normalized", 1)[0]),
        source=_text(attributes, "source"),
        source_sha256=_text(attributes, "source_sha256"),
        licence=_text(attributes, "licence"),
        padding=padding,
        format_version=version,
    )


def _read_layer(file: h5py.File, name: str) -> tuple[np.ndarray, np.ndarray]:
    group = child(file, name)
    return read_array(child(group, "kernel")), read_array(child(group, "bias"))


def _text(attributes: h5py.AttributeManager, name: str) -> str:
    value = _attribute(attributes, name)
    if not isinstance(value, bytes):
        raise WeightsError(f"attribute {name} is not a text")
    return value.decode("utf-8", "surrogateescape")


def _numbers(attributes: h5py.AttributeManager, name: str, count: int) -> list[float]:
    value = np.asarray(_attribute(attributes, name))
    if value.dtype.kind not in "fiub" or value.size != count or not np.isfinite(value).all():
        raise WeightsError(f"attribute {name} is not {count} finite number{'s' * (count > 1)}")
    return [float(number) for number in value.reshape(-1)]


def _attribute(attributes: h5py.AttributeManager, name: str) -> Any:
    if name not in attributes:
        raise WeightsError(f"attribute {name} is missing")
    if attributes.get_id(name).dtype.kind == "O":
        raise WeightsError(f"attribute {name} is of variable length, which this format has not")
    return attributes[name]


def _triple(values: list[float]) -> Triple:
    first, second, third = values
    return first, second, third


def _as_stored(layers: Mapping[str, Convolution], dtype: Dtype) -> dict[str, Convolution]:
    if dtype == "float32":
        return dict(layers)
    with np.errstate(over="ignore"):
        halves = {name: layer.kernel.astype(np.float16) for name, layer in layers.items()}
    for name, half in halves.items():
        if not np.isfinite(half).all():
            raise WeightsError(f"{name} has values beyond the range of float16; use float32")
    # Held as float32 here: what a reader will see, and float16 on disk loses nothing more.
    return {
        name: Convolution(half.astype(np.float32), layers[name].bias)
        for name, half in halves.items()
    }


def _serialize(weights: Weights, stored: Mapping[str, Convolution], dtype: Dtype) -> bytes:
    # In memory first, so that a full disk is an ordinary error of one write and not of HDF5.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name in LAYERS:
            group = file.create_group(name)
            group.create_dataset("kernel", data=stored[name].kernel.astype(dtype))
            group.create_dataset("bias", data=stored[name].bias)
        for field in fields(weights):
            if field.name != "layers":
                value = getattr(weights, field.name)
                file.attrs[field.name] = _fixed(value) if isinstance(value, str) else value
    return buffer.getvalue()


def _fixed(text: str) -> np.bytes_:
    # Of fixed length: HDF5 keeps texts of variable length in a heap, and reading one from a damaged
    # heap can take its library forever.
    return np.bytes_(text.encode("utf-8", "surrogateescape") or b"\0")


def _verify(weights: Weights, stored: Mapping[str, Convolution], path: Path) -> None:
    found = read_weights(path)
    same = all(
        np.array_equal(found.layers[name].kernel, stored[name].kernel)
        and np.array_equal(found.layers[name].bias, stored[name].bias)
        for name in LAYERS
    )
    if not same or replace(found, layers={}) != replace(weights, layers={}):
        raise WeightsError(f"{path}: reads back differently from what was written; nothing kept")
