"""Tests of MATLAB v7.3 files, valid and hostile."""

import h5py
import numpy as np
import pytest

from convert_weights.errors import WeightsError
from convert_weights.mat_v73 import read_mat_v73
from tests.convert_weights import writers


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


def refused(path, change) -> str:
    with h5py.File(path, "w") as file:
        change(file)
    with pytest.raises(WeightsError) as caught:
        read_mat_v73(path, {"layers"})
    return str(caught.value)


def cycle(file):
    references = file.create_dataset("layers", (2, 1), h5py.ref_dtype)
    references[:] = references.ref


def many_paths(file):
    """Twelve cells, each with twelve references to the next: 12 ** 12 paths."""
    last = file.create_dataset("c0", data=np.ones(1))
    for index in range(1, 13):
        cells = file.create_dataset(f"c{index}", (12, 1), h5py.ref_dtype)
        cells[:] = last.ref
        last = cells
    file["layers"] = last


def huge(file):
    file.create_dataset("layers", (1 << 40, 1), h5py.ref_dtype, chunks=(1, 1))


def external(file):
    raw = [("elsewhere", 0, 16)]
    file.create_dataset("layers", (2, 1), h5py.ref_dtype, external=raw)


def dangling(file):
    file.create_dataset("layers", (2, 1), h5py.ref_dtype)


def soft(file):
    file["layers"] = h5py.SoftLink("/elsewhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cycle, "too many or too deeply nested"),
        (many_paths, "too many or too deeply nested"),
        (huge, "has shape"),
        (external, "stored in another file"),
        (dangling, "damaged HDF5 file"),
        (soft, "a soft link"),
    ],
)
def test_hostile_files_are_refused(tmp_path, monkeypatch, change, message):
    monkeypatch.setattr("convert_weights.mat_v73._MAX_NODES", 1000)
    assert message in refused(tmp_path / "x.mat", change)
