"""Read and write this project's weights format: one HDF5 file with VGG-19 and its preprocessing.

The root attributes are the fields of `Weights` except `layers`, with text as fixed-length strings.
Every convolution is a group such as `conv1_1` with the datasets `kernel` (height x width x input x
output, float32 or float16) and `bias` (float32), each one plain block of the file.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Literal

import numpy as np

from convert_weights import sandbox, vgg19
from convert_weights.errors import naming
from convert_weights.vgg19 import LAYERS, Convolution
from convert_weights.weights import Parsed, Place, Triple, Weights, normalize_input
from jaxstyle.errors import WeightsError, one_line
from jaxstyle.machine.files import check_writable, write_whole

__all__ = [
    "Convolution",
    "Weights",
    "WeightsError",
    "check_output",
    "normalize_input",
    "read_weights",
    "require_file",
    "write_weights",
]

Dtype = Literal["float32", "float16"]


def read_weights(path: Path) -> Weights:
    """Read a file written by `write_weights`; float16 kernels are converted to float32.

    Safe for untrusted files: they are parsed in a process of its own (see `sandbox`), nothing
    outside the file is opened, and values that are not finite are refused.

    Raises:
        WeightsError: One line with the path of the file and what is wrong with it.
    """
    with naming(path):
        require_file(path)
        return assemble(path, sandbox.parse(path, only_own=True))


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


def assemble(path: Path, parsed: Parsed) -> Weights:
    """Return the weights that `sandbox.parse` found in a file.

    Raises:
        WeightsError: They are not those of a VGG-19. The message omits the path.
    """
    layers = vgg19.network(_read_places(path, parsed.places) if parsed.places else parsed.layers)
    mean, std = _triple(parsed.values["mean"]), _triple(parsed.values["std"])
    return Weights(layers, **{**parsed.values, "mean": mean, "std": std})


def _read_places(
    path: Path, places: Mapping[str, tuple[Place, Place]]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read arrays that are each one plain block of a file, after checking their shapes."""
    vgg19.check_shapes(
        {name: (kernel.shape, bias.shape) for name, (kernel, bias) in places.items()}
    )
    with open(path, "rb") as file:
        return {name: (_block(file, k), _block(file, b)) for name, (k, b) in places.items()}


def _block(file: BufferedReader, place: Place) -> np.ndarray:
    count, end = math.prod(place.shape), file.seek(0, io.SEEK_END)
    if place.offset + count * np.dtype(place.dtype).itemsize > end:
        raise WeightsError("a truncated file: an array reaches beyond its end")
    file.seek(place.offset)
    return np.fromfile(file, place.dtype, count).reshape(place.shape)


def _triple(values: Sequence[float]) -> Triple:
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
    import h5py  # not needed to read, as every run does

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
