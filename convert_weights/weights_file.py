"""Read and write this project's weights format: one HDF5 file with VGG-19 and its preprocessing.

The root attributes are the fields of `Weights` except `layers`, with text as fixed-length strings.
Every convolution is a group such as `conv1_1` with the datasets `kernel` (height x width x input x
output, float32 or float16) and `bias` (float32).
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from jaxtyping import Float32

from convert_weights import vgg19
from convert_weights.errors import WeightsError, naming, one_line
from convert_weights.files import check_writable, write_whole
from convert_weights.hdf5 import child, open_hdf5, read_array
from convert_weights.original import ChannelOrder
from convert_weights.vgg19 import LAYERS, Convolution

__all__ = [
    "FORMAT_VERSION",
    "Convolution",
    "Weights",
    "WeightsError",
    "check_output",
    "normalize_input",
    "read_weights",
    "require_file",
    "write_weights",
]

FORMAT_VERSION = 1

Dtype = Literal["float32", "float16"]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Weights:
    """The convolutions of VGG-19 and its preprocessing.

    conv1_1 expects (x * scale - mean) / std, where x is an sRGB image in [0, 1] whose channels are
    in `channel_order`.

    Attributes:
        layers: The convolutions by name, in the order of the network.
        channel_order: Channel order of the network's input, and of `mean` and `std`.
        scale: 255 for networks trained on pixels in 0..255, 1 for [0, 1].
        mean: Subtracted from the scaled image, per channel.
        std: Divides the result, per channel.
        normalized: Every filter is rescaled to mean activation one over natural images.
        source: Name of the file that was converted.
        source_sha256: SHA-256 of that file.
        licence: Licence of the weights.
        padding: Padding of every convolution in training: zeros, reflect or replicate.
        format_version: Version of this file format.
    """

    layers: dict[str, Convolution]
    channel_order: ChannelOrder
    scale: float
    mean: Triple
    std: Triple
    normalized: bool
    source: str = ""
    source_sha256: str = ""
    licence: str = ""
    padding: str = "zeros"
    format_version: int = FORMAT_VERSION


def normalize_input(
    weights: Weights, image: Float32[np.ndarray, "height width 3"]
) -> Float32[np.ndarray, "height width 3"]:
    """Convert an sRGB image in [0, 1] to the input that conv1_1 of these weights expects."""
    ordered = image if weights.channel_order == "RGB" else image[..., ::-1]
    result = (ordered * weights.scale - np.array(weights.mean)) / np.array(weights.std)
    return result.astype(np.float32)


def read_weights(path: Path) -> Weights:
    """Read a file written by `write_weights`; float16 kernels are converted to float32.

    Safe for untrusted files: nothing outside the file is opened, no array larger than VGG-19's is
    allocated, and values that are not finite are refused.

    Raises:
        WeightsError: One line with the path of the file and what is wrong with it.
    """
    with naming(path):
        require_file(path)
        if not h5py.is_hdf5(path):
            raise WeightsError("not an HDF5 file; convert it with python -m convert_weights first")
        return parse_weights(path)


def parse_weights(path: Path) -> Weights:
    """Read a weights file known to be HDF5; unlike `read_weights`, errors omit its path."""
    with open_hdf5(path) as file:
        return _parse(file)


def write_weights(
    path: Path, weights: Weights, dtype: Dtype = "float32", force: bool = False
) -> None:
    """Write weights atomically, and verify them by reading the file back.

    Equal weights give identical bytes.

    Args:
        path: The file to write.
        weights: The weights.
        dtype: dtype of the kernels; float16 halves the size of the file. Biases stay float32.
        force: Replace an existing file.

    Raises:
        WeightsError: The file exists and `force` is not set, it cannot be written, or reading it
            back gives different weights; an existing file is then untouched.
    """
    vgg19.validate(weights.layers)
    check_output(path, force)
    stored = _as_stored(weights.layers, dtype)
    data = _serialize(weights, stored, dtype)
    with _writing(path):
        write_whole(path, data, replace=force, verify=partial(_verify, weights, stored))


def require_file(path: Path) -> None:
    """Check that `path` is a regular file and not empty.

    Raises:
        WeightsError: It is not. The message omits the path; callers add it with `errors.naming`.
    """
    if not path.exists():
        raise WeightsError("no such file")
    if not path.is_file():
        raise WeightsError("a directory, not a file" if path.is_dir() else "not a regular file")
    if path.stat().st_size == 0:
        raise WeightsError("the file is empty")


def check_output(path: Path, force: bool) -> None:
    """Check that `write_weights` can write `path`, and leave nothing behind.

    Call this before any long computation.

    Raises:
        WeightsError: The directory is missing or not writable, `path` is not a regular file, or it
            exists and `force` is not set.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise WeightsError(f"{path}: not a regular file; name another file to write")
    with _writing(path):
        check_writable(path, replace=force)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn the errors of the block, which writes `path`, into a `WeightsError`."""
    try:
        yield
    except FileExistsError as error:
        reason = "already exists; use --force to replace it, or another name"
        raise WeightsError(f"{path}: {reason}") from error
    except IsADirectoryError as error:
        raise WeightsError(f"{path}: a directory; name the file to write") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        reason = f"the directory {path.parent} does not exist; create it first"
        raise WeightsError(f"{path}: {reason}") from error
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise WeightsError(f"{path}: cannot be written: {reason}") from error


def is_weights(file: h5py.File) -> bool:
    """Return whether an open HDF5 file has the attributes of this format."""
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
            f"its format version is {version}, but only version {FORMAT_VERSION} is supported; "
            "update this program or convert the source again"
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
        raise WeightsError(f"attribute {name} is not text")
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
        raise WeightsError(f"attribute {name} has variable length, which this format does not use")
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
    # As float32, like readers return them; converting back to float16 on disk is lossless.
    return {
        name: Convolution(half.astype(np.float32), layers[name].bias)
        for name, half in halves.items()
    }


def _serialize(weights: Weights, stored: Mapping[str, Convolution], dtype: Dtype) -> bytes:
    # Built in memory, so that a full disk is an ordinary write error and not one inside HDF5.
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
    # Fixed length, because HDF5 stores variable-length strings in a heap, and reading from a
    # damaged heap can hang the library.
    return np.bytes_(text.encode("utf-8", "surrogateescape") or b"\0")


def _verify(weights: Weights, stored: Mapping[str, Convolution], path: Path) -> None:
    found = read_weights(path)
    same = all(
        np.array_equal(found.layers[name].kernel, stored[name].kernel)
        and np.array_equal(found.layers[name].bias, stored[name].bias)
        for name in LAYERS
    )
    if not same or replace(found, layers={}) != replace(weights, layers={}):
        raise WeightsError(f"{path}: reading it back gave different weights; nothing was written")
