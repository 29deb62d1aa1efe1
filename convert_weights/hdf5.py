"""Read untrusted HDF5 files safely.

An HDF5 file can point to other files (external links, external storage, virtual datasets), declare
arrays larger than memory, and request filter plug-ins. All of these are refused here.

Chunks are read as they are stored and decoded here: the HDF5 library trusts that a chunk holds as
many bytes as declared, and returns its own memory as numbers, or crashes, if it does not.
"""

import itertools
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from h5py import h5l, h5t, h5z  # pyright: ignore[reportAttributeAccessIssue]  # compiled

from convert_weights.allowance import Allowance
from convert_weights.vgg19 import MAX_ELEMENTS
from jaxstyle.errors import WeightsError, one_line


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; errors of the HDF5 library are raised as `WeightsError`."""
    try:
        file = h5py.File(path, "r")
    except (OSError, ValueError) as error:
        raise WeightsError(f"a damaged or truncated HDF5 file ({one_line(error)})") from error
    with file:
        try:
            yield file
        except (OSError, RuntimeError, LookupError, ValueError, TypeError, SystemError) as error:
            raise WeightsError(f"a damaged HDF5 file ({one_line(error)})") from error


def names(group: h5py.Group) -> list[str]:
    """Return the names of a group's members.

    Raises:
        WeightsError: A name is not text.
    """
    found = list(group.keys())
    if not all(isinstance(name, str) for name in found):
        raise WeightsError("a damaged HDF5 file (a name in it is not text)")
    return found


def child(parent: h5py.Group | h5py.Dataset, name: str) -> h5py.Group | h5py.Dataset:
    """Return the member `name` of a group.

    Raises:
        WeightsError: It is missing, or an external or soft link.
    """
    # Low-level calls, because `name in group` and `group.get` open the target of a link.
    key = name.encode()
    if not isinstance(parent, h5py.Group) or not parent.id.links.exists(key):
        raise WeightsError(f"{'it' if parent.name == '/' else parent.name} has no {name}")
    kind = parent.id.links.get_info(key).type
    if kind == h5l.TYPE_EXTERNAL:
        raise WeightsError(f"refused: {name} is a link to another file")
    if kind != h5l.TYPE_HARD:
        raise WeightsError(f"refused: {name} is a soft link")
    found = parent[name]
    if not isinstance(found, h5py.Group | h5py.Dataset):
        raise WeightsError(f"{name} is neither a group nor an array")
    return found


def require_numbers(dataset: h5py.Group | h5py.Dataset, kinds: str = "f") -> h5py.Dataset:
    """Return a dataset after checking that it holds numbers that are stored in its own file.

    Args:
        dataset: The dataset; a group is refused with a clear message.
        kinds: Accepted NumPy dtype kinds, such as "f" or "fiu".

    Raises:
        WeightsError: It does not, or it is larger than any array of VGG-19.
    """
    name = dataset.name
    if not isinstance(dataset, h5py.Dataset):
        raise WeightsError(f"{name} is a group, not an array")
    if dataset.dtype.kind not in kinds or dataset.dtype.itemsize > 8:
        raise WeightsError(f"{name} holds {dataset.dtype}, not real numbers")
    if dataset.shape is None:
        raise WeightsError(f"{name} is declared but holds no data")
    if dataset.external:
        raise WeightsError(f"refused: the data of {name} is stored in another file")
    if dataset.is_virtual:
        raise WeightsError(f"refused: {name} is a virtual dataset")
    if math.prod(dataset.shape) > MAX_ELEMENTS:
        shape = "x".join(map(str, dataset.shape))
        raise WeightsError(f"not a VGG-19: {name} is {shape}, larger than any of its arrays")
    if 0 not in dataset.shape and dataset.id.get_storage_size() == 0:
        raise WeightsError(f"{name} is declared but holds no data")
    # The library converts other types on reading, such as floats of an unusual layout.
    if not h5t.py_create(dataset.dtype).equal(dataset.id.get_type()):
        raise WeightsError(f"{name} holds numbers of an unusual type")
    return dataset


def read_array(
    dataset: h5py.Group | h5py.Dataset, allowance: Allowance, kinds: str = "f"
) -> np.ndarray:
    """Read a dataset of numbers.

    Args:
        dataset: The dataset; a group is refused with a clear message.
        allowance: What may still be read of the file.
        kinds: Accepted NumPy dtype kinds, such as "f" or "fiu".

    Raises:
        WeightsError: It is something else, is stored elsewhere or damaged, or too large.
    """
    found = require_numbers(dataset, kinds)
    size, chunks = math.prod(found.shape), found.chunks
    allowance.spend(numbers=size)
    array = np.empty(found.shape, found.dtype)
    if not size:
        return array
    if chunks is None:
        _require_whole(found)
        return np.asarray(found[()])
    for part, chunk in _chunks(found, chunks, allowance):
        block = np.frombuffer(chunk, found.dtype).reshape(chunks)
        array[part] = block[tuple(slice(n) for n in array[part].shape)]
    return array


def read_references(dataset: h5py.Dataset, allowance: Allowance) -> list[h5py.Reference]:
    """Read a dataset of references to objects of its file, in the order they are stored.

    Raises:
        WeightsError: It is stored elsewhere or damaged, or too large.
    """
    if dataset.external or dataset.is_virtual:
        raise WeightsError(f"refused: the data of {dataset.name} is stored in another file")
    allowance.spend(parts=math.prod(dataset.shape))
    if 0 in dataset.shape:
        return []
    if dataset.chunks is None:
        _require_whole(dataset)
    else:  # read twice, because only the library makes references, and it trusts the chunks
        for _ in _chunks(dataset, dataset.chunks, allowance):
            pass
    return list(np.ravel(dataset[()]))


def _require_whole(dataset: h5py.Dataset) -> None:
    """Check that all declared bytes of a dataset without chunks are in the file."""
    stored, declared = (
        dataset.id.get_storage_size(),
        math.prod(dataset.shape) * _item_bytes(dataset),
    )
    if stored != declared:
        raise WeightsError(f"a damaged HDF5 file ({_holds(dataset, stored, declared)})")


def _chunks(
    dataset: h5py.Dataset, chunks: tuple[int, ...], allowance: Allowance
) -> Iterator[tuple[tuple[slice, ...], bytes]]:
    """Yield for every chunk the part of the dataset that it is, and its decoded bytes.

    Chunks at the border of the dataset reach beyond it.
    """
    filters = _filters(dataset)
    grid = [range(0, side, step) for side, step in zip(dataset.shape, chunks, strict=True)]
    count, elements = math.prod(map(len, grid)), math.prod(chunks)
    allowance.spend(parts=count)
    if count * elements > 16 * math.prod(dataset.shape) + 65536:
        raise WeightsError(f"not a VGG-19: {dataset.name} has chunks of shape {chunks}")
    declared = elements * _item_bytes(dataset)
    for corner in itertools.product(*grid):
        mask, data = dataset.id.read_direct_chunk(corner)
        for index, code in reversed(list(enumerate(filters))):
            if mask >> index & 1:  # left out for this chunk
                continue
            inflate = code == h5z.FILTER_DEFLATE
            data = _inflated(data, declared) if inflate else _unshuffled(data, _item_bytes(dataset))
        if len(data) != declared:
            raise WeightsError(f"a damaged HDF5 file ({_holds(dataset, len(data), declared)})")
        part = (slice(at, at + n) for at, n in zip(corner, chunks, strict=True))
        yield tuple(part), data


def _filters(dataset: h5py.Dataset) -> list[int]:
    """Return the numbers of the filters that chunks are stored with, in the order of writing."""
    properties = dataset.id.get_create_plist()
    found = [properties.get_filter(index) for index in range(properties.get_nfilters())]
    for code, _, _, name in found:
        if code not in (h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE):
            shown = name.decode("utf-8", "replace") or code
            raise WeightsError(
                f"refused: {dataset.name} is stored with the HDF5 filter {shown}; only gzip and "
                "shuffle are read (h5repack can rewrite the file)"
            )
    return [code for code, *_ in found]


def _inflated(data: bytes, declared: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, declared + 1)
    except zlib.error as error:
        raise WeightsError(f"a damaged HDF5 file ({one_line(error)})") from error


def _unshuffled(data: bytes, item: int) -> bytes:
    # Shuffled: first the first byte of every item, then the second of every item, and so on.
    whole = len(data) // item * item
    return np.frombuffer(data[:whole], np.uint8).reshape(item, -1).T.tobytes() + data[whole:]


def _item_bytes(dataset: h5py.Dataset) -> int:
    return dataset.id.get_type().get_size()


def _holds(dataset: h5py.Dataset, stored: int, declared: int) -> str:
    return f"a part of {dataset.name} holds {stored} bytes instead of {declared}"
