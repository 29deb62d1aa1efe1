"""Tests of MATLAB v5 files written by SciPy, and of hostile ones."""

import re
import struct
import zlib
from functools import partial

import numpy as np
import pytest
import scipy.io

from convert_weights.allowance import PARTS, Allowance
from convert_weights.mat_v5 import read_mat_v5
from jaxstyle.errors import WeightsError
from tests.cases import for_each
from tests.convert_weights.conftest import complaint

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def cell(*values) -> np.ndarray:
    array = np.empty((1, len(values)), object)
    for index, value in enumerate(values):
        array[0, index] = value
    return array


@pytest.mark.parametrize("compress", [False, True])
def test_all_kinds_of_values(tmp_path, compress):
    path = tmp_path / "x.mat"
    kinds = ("f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    numbers = {f"n{kind}": np.arange(24).reshape(2, 3, 4).astype(kind) for kind in kinds}
    values = {
        **numbers,
        "text": "größe ☃",
        "cells": cell("a", np.ones((2, 2)), cell(3.0)),
        "struct": {"name": "relu", "inner": {"pad": [0.0, 1.0]}, "empty": np.zeros((0, 0))},
        "several": np.array([[(1.0, "x"), (2.0, "y")]], [("a", object), ("b", object)]),
        "other": 1.0,
    }
    scipy.io.savemat(path, values, do_compression=compress, long_field_names=True)

    found = read_mat_v5(path, values.keys() - {"other"})

    assert found.keys() == values.keys() - {"other"}
    for name, array in numbers.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert found["text"] == "größe ☃"
    text, array, inner = found["cells"]
    assert text == "a"
    np.testing.assert_array_equal(array, np.ones((2, 2)))
    np.testing.assert_array_equal(inner, [[[3.0]]])
    assert found["struct"]["name"] == "relu"
    np.testing.assert_array_equal(found["struct"]["inner"]["pad"], [[0, 1]])
    assert found["struct"]["empty"].size == 0
    assert [item["b"] for item in found["several"]] == ["x", "y"]


@for_each(("order", "version"), [("<", b"\x00\x01IM"), (">", b"\x01\x00MI")])
def test_doubles_that_are_stored_as_bytes(tmp_path, order, version):
    """As MATLAB stores small integers; written by hand."""
    flags = struct.pack(order + "IIII", 6, 8, 6, 0)
    shape = struct.pack(order + "IIii", 5, 8, 1, 3)
    name = struct.pack(order + "I", (1 << 16) | 1) + b"x\0\0\0"
    data = struct.pack(order + "I", (3 << 16) | 2) + b"\x07\x08\x09\0"
    body = flags + shape + name + data
    tag = struct.pack(order + "II", 14, len(body))
    (tmp_path / "x.mat").write_bytes(HEADER[:124] + version + tag + body)
    value = read_mat_v5(tmp_path / "x.mat", {"x"})["x"]
    np.testing.assert_array_equal(value, [[7.0, 8.0, 9.0]])
    assert value.dtype == np.float64


def test_large_arrays_are_passed_over(tmp_path):
    path = tmp_path / "x.mat"
    large = np.zeros((7, 7, 512, 95), np.float32)
    scipy.io.savemat(path, {"x": cell(large, "after")}, do_compression=True)
    assert read_mat_v5(path, {"x"}) == {"x": [None, "after"]}


def tag(kind: int, size: int) -> bytes:
    return struct.pack("<II", kind, size)


def matrix(array_class: int, shape: tuple[int, ...], contents: bytes, name: bytes = b"") -> bytes:
    """Return the bytes of an array element, given its parts."""
    flags = struct.pack("<IIII", 6, 8, array_class, 0)
    dimensions = tag(5, 4 * len(shape)) + struct.pack(f"<{len(shape)}i", *shape)
    named = tag(1, len(name)) + name + bytes(-len(name) % 8)
    body = flags + dimensions + bytes(-len(dimensions) % 8) + named + contents
    return tag(14, len(body)) + body


def compressed(element: bytes) -> bytes:
    data = zlib.compress(element)
    return tag(15, len(data)) + data


EMPTY, EIGHT = tag(14, 0), bytes(8)


def nested(depth: int) -> bytes:
    return matrix(1, (1, 1), nested(depth - 1)) if depth else EMPTY


FIELDS = struct.pack("<IIII", (4 << 16) | 5, 8, 1, 0) + EIGHT
NO_FIELDS = struct.pack("<IIIIQ", (4 << 16) | 5, 0, 1, 8, 0)
EMPTY_FIELDS = struct.pack("<II", (4 << 16) | 5, 32) + tag(1, 0)
LARGER = tag(14, 48) + matrix(6, (1, 9), tag(9, 72) + bytes(72))[8:]
HOSTILE = {
    "shape without data": (7, (3, 3, 3, 64), tag(7, 0)),
    "more data than shape": (7, (1, 1), tag(7, 8) + EIGHT),
    "data beyond the array": (7, (1, 2), tag(7, 1 << 24)),
    "data beyond all arrays": (7, (1, 2), tag(7, 1 << 31)),
    "negative shape": (7, (-1, -1), tag(7, 8) + EIGHT),
    "no shape": (7, (), b""),
    "unknown numbers": (7, (1, 2), tag(99, 8) + EIGHT),
    "endless cells": (1, (1 << 30, 1), EMPTY),
    "deep cells": (1, (1, 1), nested(30)),
    "endless structure": (2, (1 << 30, 1), FIELDS),
    "empty structures": (1, (1000, 1), matrix(2, (5000, 1), EMPTY_FIELDS) * 1000),
    "fields without length": (2, (1, 1), NO_FIELDS + EMPTY),
    "cell larger than its own size": (1, (1, 2), LARGER + EMPTY),
    "cells that are no arrays": (1, (1, 1), tag(7, 8) + EIGHT),
}


@for_each("pack", [bytes, compressed, lambda element: tag(15, 20) + b"x" * 20])
@for_each("case", HOSTILE)
def test_hostile_arrays_are_refused(tmp_path, pack, case):
    (tmp_path / "x.mat").write_bytes(HEADER + pack(matrix(*HOSTILE[case], b"x")))
    told = complaint(read_mat_v5, tmp_path / "x.mat", {"x"})
    assert re.search("damaged or truncated .mat file|too many parts", told)


@pytest.mark.parametrize("limit", [1000, pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize("pack", [bytes, compressed], ids=["plain", "compressed"])
def test_too_many_cells_are_refused(tmp_path, monkeypatch, pack, limit):
    if limit:  # the real one takes a second
        monkeypatch.setattr("convert_weights.mat_v5.Allowance", partial(Allowance, parts=limit))
    limit, path = limit or PARTS, tmp_path / "x.mat"
    path.write_bytes(HEADER + pack(matrix(1, (limit, 1), EMPTY * limit, b"x")))
    assert len(read_mat_v5(path, {"x"})["x"]) == limit
    path.write_bytes(HEADER + pack(matrix(1, (limit + 1, 1), EMPTY * (limit + 1), b"x")))
    assert "too many" in complaint(read_mat_v5, path, {"x"})


@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_damage_of_any_byte_is_survived(tmp_path, stride):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"x": cell({"name": "a", "weights": cell(np.ones((2, 2)), 1.0)})})
    data = path.read_bytes()
    complaints = 0
    for place in range(128, len(data), stride):
        for value in (0, 0xFF):
            changed = bytearray(data)
            changed[place] = value
            path.write_bytes(changed)
            try:
                read_mat_v5(path, {"x"})
            except WeightsError:
                complaints += 1
    assert complaints > 50 / stride


def test_bomb_is_not_unpacked_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("convert_weights.mat_v5._MAX_VARIABLE", 1 << 20)
    path = tmp_path / "x.mat"
    rest = tag(1, 8 << 20) + bytes(8 << 20)
    path.write_bytes(HEADER + compressed(matrix(1, (1, 2), matrix(16, (1, 1), rest), b"x")))
    assert path.stat().st_size < 20_000
    assert "reaches beyond" in complaint(read_mat_v5, path, {"x"})
