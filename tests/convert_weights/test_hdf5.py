"""What an HDF5 file claims of its chunks is compared with what they hold."""

import zlib

import h5py
import numpy as np
import pytest

from convert_weights.allowance import Allowance
from convert_weights.hdf5 import open_hdf5, read_array, read_references
from tests.cases import for_each
from tests.convert_weights.conftest import complaint

VALUES = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)


@pytest.fixture
def stored(tmp_path):
    """A function that stores an array, applies a change, and reads the array."""

    def run(change=lambda array: None, read=read_array, values=VALUES, allowance=None, **options):
        with h5py.File(tmp_path / "x.h5", "w", userblock_size=512) as file:
            change(file.create_dataset("x", data=values, **options))
        with open_hdf5(tmp_path / "x.h5") as file:
            return read(file["x"], allowance or Allowance())

    return run


@for_each(
    "options",
    [
        {},
        {"chunks": (7, 5)},
        {"chunks": (3, 2)},
        {"chunks": (3, 2), "shuffle": True},
        {"chunks": (2, 5), "compression": "gzip", "shuffle": True},
        {"chunks": (4, 4), "compression": "gzip", "maxshape": (None, 5)},
    ],
)
@for_each("dtype", ["<f4", ">f4", "<f8", "<f2"])
def test_every_layout_is_read(stored, options, dtype):
    values = VALUES.astype(dtype)
    np.testing.assert_array_equal(stored(values=values, **options), values)


def test_a_chunk_stored_without_its_filters_is_read(stored):
    """The mask of a chunk says which of the filters were left out for it."""

    def plain(array):
        array.id.write_direct_chunk((0, 0), VALUES.tobytes(), filter_mask=0b11)

    found = stored(plain, chunks=(7, 5), compression="gzip", shuffle=True)
    np.testing.assert_array_equal(found, VALUES)


def chunk(data, mask=0):
    return lambda array: array.id.write_direct_chunk((0, 0), data, mask)


GZIP = {"chunks": (7, 5), "compression": "gzip"}


@for_each(
    ("change", "options", "message"),
    [
        (chunk(zlib.compress(b"short")), GZIP, "holds 5 bytes instead of 140"),
        (chunk(zlib.compress(bytes(1000))), GZIP, "holds 141 bytes instead of 140"),
        (chunk(zlib.compress(bytes(100))), GZIP | {"shuffle": True}, "holds 100 bytes"),
        (chunk(b"not compressed"), GZIP, "damaged HDF5 file"),
        (chunk(b"short", mask=1), GZIP, "holds 5 bytes instead of 140"),
        (chunk(bytes(150), mask=1), GZIP, "holds 150 bytes instead of 140"),
        (lambda array: None, {"chunks": (7, 5), "fletcher32": True}, "filter fletcher32"),
        (lambda array: None, {"chunks": (7, 5), "compression": "lzf"}, "HDF5 filter lzf"),
        (lambda array: None, {"chunks": (999, 999), "maxshape": (None, None)}, "has chunks of"),
        (lambda array: array.resize((14, 5)), GZIP | {"maxshape": (None, 5)}, "damaged HDF5 file"),
    ],
)
def test_chunks_that_are_not_as_declared_are_refused(stored, change, options, message):
    assert message in complaint(lambda: stored(change, **options))


def test_references_in_chunks_that_are_too_short_are_refused(tmp_path, stored):
    with h5py.File(tmp_path / "y.h5", "w") as file:
        reference = file.create_group("group").ref
    values = np.full((4, 1), reference, h5py.ref_dtype)
    assert len(stored(read=read_references, values=values, chunks=(2, 1))) == 4
    short = {"change": chunk(zlib.compress(b"short")), "chunks": (4, 1), "compression": "gzip"}
    told = complaint(lambda: stored(read=read_references, values=values, **short))
    assert "holds 5 bytes instead of 32" in told


def test_arrays_count_in_sum(stored):
    allowance = Allowance(numbers=3 * VALUES.size)
    for _ in range(3):
        stored(allowance=allowance)
    assert "more numbers than" in complaint(lambda: stored(allowance=allowance))
