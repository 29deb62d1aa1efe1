"""Read the tensors in files of torch.save without PyTorch, in both container formats.

- zip (PyTorch 1.6 and later): NAME/data.pkl is the pickled state and NAME/data/KEY the raw numbers
  of each storage; NAME/byteorder is their byte order (little endian if absent).
- legacy: pickles of a magic number, the protocol version, system information, the state, and the
  list of storage keys; then for every key an int64 count and the numbers, always little endian.
"""

import functools
import io
import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convert_weights.allowance import NUMBERS, Allowance
from convert_weights.pickle_data import Call, Name, Persistent, parse_pickle
from convert_weights.vgg19 import MAX_ELEMENTS
from jaxstyle.errors import WeightsError, one_line

_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the legacy container

_REBUILD = {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"}
_PARAMETER = "torch._utils._rebuild_parameter"
# NumPy types of the storage types. NumPy lacks bfloat16, which is the upper half of a float32.
_STORAGES = {
    "torch.FloatStorage": "f4",
    "torch.DoubleStorage": "f8",
    "torch.HalfStorage": "f2",
    "torch.BFloat16Storage": "u2",
    "torch.ByteStorage": "u1",
    "torch.CharStorage": "i1",
    "torch.ShortStorage": "i2",
    "torch.IntStorage": "i4",
    "torch.LongStorage": "i8",
    "torch.BoolStorage": "?",
}
_PERMITTED = _REBUILD | {_PARAMETER} | _STORAGES.keys()
_MAX_PICKLE = 16 << 20  # bytes; a state dictionary of VGG-19 takes a few thousand
_MAX_DIMENSIONS = 8  # of a tensor; products of very many sizes take long
_MAX_STORAGE = 256 << 20  # bytes; all convolutions of VGG-19 together take 80 million
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, LookupError, NotImplementedError, RuntimeError, ValueError),
)


@dataclass(frozen=True)
class Storage:
    """A one-dimensional array in the file that tensors are views of.

    Attributes:
        key: Its name in the file.
        kind: Its PyTorch type, such as torch.FloatStorage.
        elements: Number of elements.
    """

    key: str
    kind: str
    elements: int

    @property
    def bytes(self) -> int:
        return self.elements * np.dtype(_STORAGES[self.kind]).itemsize


@dataclass(frozen=True)
class Tensor:
    """A tensor as a view of a storage; `offset` and `strides` are in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class StateDict:
    """The tensors of a file by name, and a function that reads the array of one of them."""

    tensors: dict[str, Tensor]
    read: Callable[[Tensor], np.ndarray]


def open_state_dict(path: Path) -> StateDict:
    """Open a file of torch.save and list its tensors; their arrays are read on demand.

    If the file holds a checkpoint, the dictionary under its key "state_dict" is used. The prefix
    "module." of names, left by data-parallel training, is removed. Everything else is ignored.

    Raises:
        WeightsError: It is not such a file, is damaged, or contains anything but tensors.
    """
    with open(path, "rb") as file:
        return _open_zip(path) if file.read(4) == b"PK\x03\x04" else _open_legacy(path)


def _open_zip(path: Path) -> StateDict:
    with _archive(path) as archive:
        members = archive.namelist()
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if "model.weights.h5" in members:
            raise WeightsError("a .keras archive: unzip it and pass its model.weights.h5")
        if len(pickles) != 1:
            raise WeightsError("a zip archive, but not one of torch.save (it has no data.pkl)")
        root = pickles[0].removesuffix("data.pkl")
        state = parse_pickle(io.BytesIO(_record(archive, pickles[0], _MAX_PICKLE)), _PERMITTED)
        is_big = root + "byteorder" in members and _record(archive, root + "byteorder", 8) == b"big"

    def read(storage: Storage) -> bytes:
        with _archive(path) as archive:
            return _record(archive, f"{root}data/{storage.key}", storage.bytes)

    return StateDict(_tensors(state), _reader(read, ">" if is_big else "<"))


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _ZIP_ERRORS as error:
        raise WeightsError(f"a damaged or truncated zip archive ({one_line(error)})") from error


def _record(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    # Reads at most `limit` bytes, because the size declared in the archive is not trusted.
    with archive.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise WeightsError(f"a damaged zip archive: {name} is larger than it should be")
    return data


def _open_legacy(path: Path) -> StateDict:
    references: list[Any] = []
    with open(path, "rb") as file:
        if parse_pickle(file, _PERMITTED) != _MAGIC:
            raise WeightsError("a pickle, but not a file of torch.save")
        for _ in range(2):  # protocol version, system information
            parse_pickle(file, _PERMITTED)
        tensors = _tensors(parse_pickle(file, _PERMITTED, references))
        keys = parse_pickle(file, _PERMITTED)
        positions = _legacy_positions(file, keys, [_storage(ref) for ref in references])

    def read(storage: Storage) -> bytes:
        if storage.key not in positions:
            raise WeightsError(f"a damaged file: storage {storage.key} is not in its list")
        with open(path, "rb") as file:
            file.seek(positions[storage.key])
            return file.read(storage.bytes)

    return StateDict(tensors, _reader(read, "<"))


def _legacy_positions(
    file: io.BufferedIOBase, keys: Any, storages: list[Storage]
) -> dict[str, int]:
    """Return the position in the file of each storage's numbers.

    Storages follow each other in the order of `keys`, each preceded by its number of elements.
    """
    if not isinstance(keys, list):
        raise WeightsError("a damaged file: its list of storages is missing")
    known = {storage.key: storage for storage in storages}
    positions: dict[str, int] = {}
    for key in keys:
        count = file.read(8)
        if not isinstance(key, str) or key not in known or len(count) < 8:
            raise WeightsError("a damaged or truncated file: a listed storage is missing")
        if struct.unpack("<q", count)[0] != known[key].elements:
            raise WeightsError(f"a damaged file: storage {key} has the wrong size")
        positions[key] = file.tell()
        file.seek(known[key].bytes, io.SEEK_CUR)
    return positions


def _tensors(state: Any) -> dict[str, Tensor]:
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise WeightsError("it holds no state dictionary; save model.state_dict() instead")
    return {
        name.removeprefix("module."): _tensor(value)
        for name, value in state.items()
        if isinstance(name, str) and isinstance(value, Call)
    }


def _tensor(call: Call) -> Tensor:
    # Arguments of torch._utils._rebuild_tensor_v2: storage, offset, shape, strides, flags.
    if call.function == _PARAMETER and call.arguments and isinstance(call.arguments[0], Call):
        call = call.arguments[0]
    if call.function not in _REBUILD or len(call.arguments) < 4:
        raise WeightsError(f"refused: its pickle calls {call.function} in place of a tensor")
    reference, offset, shape, strides = call.arguments[:4]
    if not isinstance(reference, Persistent):
        raise WeightsError("a damaged pickle: a tensor without a storage")
    numbers = (offset, *_tuple(shape), *_tuple(strides))
    if any(type(n) is not int or not 0 <= n < 1 << 63 for n in numbers) or not (
        len(shape) == len(strides) <= _MAX_DIMENSIONS
    ):
        raise WeightsError("a damaged pickle: a tensor with an invalid shape")
    return Tensor(_storage(reference.id), offset, shape, strides)


def _storage(reference: Any) -> Storage:
    # torch.save refers to a storage by the word "storage", type, key, device, number of elements
    # and, before PyTorch 0.4, optionally the larger storage that it is a view of.
    word, kind, key, _, elements, *part = (*_tuple(reference), *[None] * 5)
    if word != "storage" or not isinstance(kind, Name) or kind.text not in _STORAGES:
        raise WeightsError("a damaged pickle: a tensor without a storage")
    if not isinstance(key, str) or type(elements) is not int or not 0 <= elements < 1 << 63:
        raise WeightsError("a damaged pickle: a storage without a key or a size")
    if part[0] is not None:
        raise WeightsError("views of storages, as in PyTorch before 0.4; save it with a later one")
    return Storage(key, kind.text, elements)


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (None,)


def _reader(
    read: Callable[[Storage], bytes], order: Literal["<", ">"]
) -> Callable[[Tensor], np.ndarray]:
    """Return the function that reads tensors, given one that reads the bytes of a storage."""
    allowance = Allowance(numbers=2 * NUMBERS)  # of storages, and of tensors

    @functools.lru_cache(maxsize=1)  # several tensors can share a storage
    def read_once(storage: Storage) -> bytes:
        allowance.spend(numbers=storage.elements)
        return read(storage)

    def array(tensor: Tensor) -> np.ndarray:
        elements = math.prod(tensor.shape)
        if elements > MAX_ELEMENTS or tensor.storage.bytes > _MAX_STORAGE:
            raise WeightsError("not a VGG-19: a tensor is larger than any of its arrays")
        allowance.spend(numbers=elements)
        return _view(tensor, read_once(tensor.storage), order)

    return array


def _view(tensor: Tensor, data: bytes, order: Literal["<", ">"]) -> np.ndarray:
    """Return the array of a tensor, given the bytes of its storage and their byte order."""
    storage = tensor.storage
    if len(data) != storage.bytes:
        raise WeightsError(f"a damaged or truncated file: storage {storage.key} is incomplete")
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if 0 in tensor.shape or tensor.offset + reach >= storage.elements:
        raise WeightsError(f"a damaged file: a tensor reaches outside storage {storage.key}")
    values = np.frombuffer(data, np.dtype(_STORAGES[storage.kind]).newbyteorder(order))
    if storage.kind == "torch.BFloat16Storage":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    strides = [step * values.itemsize for step in tensor.strides]
    return as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False).copy()
