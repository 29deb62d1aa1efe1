"""Read MATLAB v7.3 files as plain Python data, with bounded memory and recursion.

These are HDF5 files: arrays have their axes in reverse order, cell arrays are arrays of references
to objects elsewhere in the file, structures are groups, and text is stored as UTF-16 code units.
"""

import math
from collections.abc import Set
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convert_weights import hdf5
from convert_weights.allowance import Allowance
from convert_weights.hdf5 import child, open_hdf5, read_array, read_references
from convert_weights.vgg19 import MAX_ELEMENTS
from jaxstyle.errors import WeightsError

_MAX_DEPTH = 16


def read_mat_v73(path: Path, names: Set[str]) -> dict[str, Any]:
    """Read those of the variables `names` that the file contains.

    Returns:
        The values by name, in the form that `mat_v5.read_mat_v5` describes.

    Raises:
        WeightsError: The file is damaged or truncated, or refers to data outside it.
    """
    with open_hdf5(path) as file:
        reader = _Reader(file)
        present = names & set(hdf5.names(file))
        return {name: reader.value(child(file, name), 0) for name in present}


class _Reader:
    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.allowance = Allowance()

    def value(self, node: Any, depth: int) -> Any:
        # References can form cycles, or exponentially many paths through a few objects.
        self.allowance.spend(parts=1)
        if depth > _MAX_DEPTH:
            raise WeightsError("not a VGG-19: its cells and structures are nested too deeply")
        if isinstance(node, h5py.Group):
            return {name: self.value(child(node, name), depth + 1) for name in hdf5.names(node)}
        if not isinstance(node, h5py.Dataset) or node.shape is None:
            return None
        if "MATLAB_empty" in node.attrs:
            return np.zeros((0, 0))
        if h5py.check_ref_dtype(node.dtype) is h5py.Reference:
            return [
                self.value(self.file[item], depth + 1)
                for item in read_references(node, self.allowance)
            ]
        if math.prod(node.shape) > MAX_ELEMENTS or node.dtype.kind not in "fiu":
            return None
        if node.dtype == np.uint16:
            units = read_array(node, self.allowance, "u").astype("<u2").tobytes()
            return units.decode("utf-16-le", "replace")
        return read_array(node, self.allowance, "fiu").T
