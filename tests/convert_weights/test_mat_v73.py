"""Tests of MATLAB v7.3 files, valid and hostile."""

import re
from functools import partial

import h5py
import numpy as np

from convert_weights.allowance import Allowance
from convert_weights.mat_v73 import read_mat_v73
from tests.cases import for_each
from tests.convert_weights import writers
from tests.convert_weights.conftest import complaint


def test_all_kinds_of_values(tmp_path):
    path = tmp_path / "x.mat"
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    writers.write_mat_v73(path, [{"a": array}, "größe ☃", np.ones((1, 3))], {"s": {"t": "text"}})
    with h5py.File(path, "r+") as file:
        file["empty"] = np.array([0, 0], np.uint64)
        file["empty"].attrs["MATLAB_empty"] = np.uint8(1)
        file["large"] = file.create_dataset("hidden", (1 << 12,) * 2, "f4")
        file["texts"] = ["no", "numbers"]
    names = {"layers", "s", "empty", "large", "texts", "absent"}
    found = read_mat_v73(path, names)
    assert found.keys() == names - {"absent"}
    np.testing.assert_array_equal(found["layers"][0]["a"], array)
    assert found["layers"][1] == "größe ☃"
    np.testing.assert_array_equal(found["layers"][2], np.ones((1, 3)))
    assert found["s"] == {"t": "text"}
    assert found["empty"].size == 0
    assert found["large"] is None
    assert found["texts"] is None


def references(file, name="layers", shape=(2, 1), **options):
    """Create cells that point nowhere."""
    return file.create_dataset(name, shape, h5py.ref_dtype, **options)


def cycle(file):
    cells = references(file)
    cells[:] = cells.ref


def many_paths(file):
    """Twelve cells, each with twelve references to the next: 12 ** 12 paths."""
    last = file.create_dataset("c0", data=np.ones(1))
    for index in range(1, 13):
        cells = references(file, f"c{index}", (12, 1))
        cells[:] = last.ref
        last = cells
    file["layers"] = last


@for_each(
    ("change", "message"),
    [
        (cycle, "nested too deeply|too many parts"),
        (many_paths, "too many parts"),
        (lambda file: references(file, shape=(1 << 40, 1), chunks=(1, 1)), "too many parts"),
        (lambda file: references(file, external=[("x", 0, 16)]), "stored in another file"),
        (references, "damaged HDF5 file"),
        (lambda file: file.__setitem__("layers", h5py.SoftLink("/elsewhere")), "a soft link"),
    ],
)
def test_hostile_files_are_refused(tmp_path, monkeypatch, change, message):
    monkeypatch.setattr("convert_weights.mat_v73.Allowance", partial(Allowance, parts=1000))
    with h5py.File(tmp_path / "x.mat", "w") as file:
        change(file)
    assert re.search(message, complaint(read_mat_v73, tmp_path / "x.mat", {"layers"}))
