"""Read untrusted HDF5 files safely.

An HDF5 file can point to other files (external links, external storage, virtual datasets), declare
arrays larger than memory, and request filter plug-ins. All of these are refused here.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from h5py import h5l, h5z  # pyright: ignore[reportAttributeAccessIssue]  # compiled

from convert_weights.errors import WeightsError, one_line
from convert_weights.vgg19 import MAX_ELEMENTS

_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}


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


def read_array(dataset: h5py.Group | h5py.Dataset, kinds: str = "f") -> np.ndarray:
    """Read a dataset of numbers.

    Args:
        dataset: The dataset; a group is refused with a clear message.
        kinds: Accepted NumPy dtype kinds, such as "f" or "fiu".

    Raises:
        WeightsError: It is not an array, has another dtype, is larger than any array of VGG-19, has
            no data, or its data is stored outside the file or needs a filter plug-in.
    """
    name = dataset.name
    if not isinstance(dataset, h5py.Dataset):
        raise WeightsError(f"{name} is a group, not an array")
    if dataset.dtype.kind not in kinds or dataset.dtype.itemsize > 8:
        raise WeightsError(f"{name} holds {dataset.dtype}, not real numbers")
    if dataset.shape is None:
        raise WeightsError(f"{name} is declared but holds no data")
    require_local(dataset)
    if math.prod(dataset.shape) > MAX_ELEMENTS:
        shape = "x".join(map(str, dataset.shape))
        raise WeightsError(f"not a VGG-19: {name} is {shape}, larger than any of its arrays")
    if dataset.size and dataset.id.get_storage_size() == 0:
        raise WeightsError(f"{name} is declared but holds no data")
    return np.asarray(dataset[()])


def require_local(dataset: h5py.Dataset) -> None:
    """Check that a dataset's data is stored in the same file and needs no filter plug-in.

    Raises:
        WeightsError: It does not, or its chunks are larger than any array of VGG-19.
    """
    if dataset.external:
        raise WeightsError(f"refused: the data of {dataset.name} is stored in another file")
    if dataset.is_virtual:
        raise WeightsError(f"refused: {dataset.name} is a virtual dataset")
    if math.prod(dataset.chunks or ()) > MAX_ELEMENTS:  # HDF5 always reads whole chunks
        raise WeightsError(f"not a VGG-19: {dataset.name} has chunks of shape {dataset.chunks}")
    properties = dataset.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        if properties.get_filter(index)[0] not in _FILTERS:
            raise WeightsError(f"refused: {dataset.name} needs an HDF5 filter plug-in")
