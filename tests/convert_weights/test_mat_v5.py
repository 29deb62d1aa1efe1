"""Tests of MATLAB v5 files written by SciPy, and of hostile ones."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io

from convert_weights.errors import WeightsError
from convert_weights.mat_v5 import read_mat_v5
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
    numbers = {
        f"n{kind}": np.arange(24).reshape(2, 3, 4).astype(kind)
        for kind in ("f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    }
    values = {
        **numbers,
        "text": "conv1_1",
        "umlaut": "größe ☃",
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
    assert found["text"] == "conv1_1"
    assert found["umlaut"] == "größe ☃"
    first, second, ((third,),) = (*found["cells"][:2], [found["cells"][2]])
    assert first == "a"
    np.testing.assert_array_equal(second, np.ones((2, 2)))
    np.testing.assert_array_equal(third, [[3.0]])
    assert found["struct"]["name"] == "relu"
    np.testing.assert_array_equal(found["struct"]["inner"]["pad"], [[0, 1]])
    assert found["struct"]["empty"].size == 0
    assert [item["b"] for item in found["several"]] == ["x", "y"]


def test_numbers_that_are_stored_smaller(tmp_path):
    """MATLAB stores doubles that are small integers as bytes; written by hand, in both orders."""
    for order, mark in (("<", b"IM"), (">", b"MI")):
        flags = struct.pack(order + "IIII", 6, 8, 6, 0)
        shape = struct.pack(order + "IIii", 5, 8, 1, 3)
        name = struct.pack(order + "I", (1 << 16) | 1) + b"x\0\0\0"
        data = struct.pack(order + "I", (3 << 16) | 2) + b"\x07\x08\x09\0"
        body = flags + shape + name + data
        file = tmp_path / "x.mat"
        version = b"\x00\x01" if order == "<" else b"\x01\x00"
        tag = struct.pack(order + "II", 14, len(body))
        file.write_bytes(HEADER[:124] + version + mark + tag + body)
        value = read_mat_v5(file, {"x"})["x"]
        np.testing.assert_array_equal(value, [[7.0, 8.0, 9.0]])
        assert value.dtype == np.float64


def test_large_arrays_are_passed_over(tmp_path):
    path = tmp_path / "x.mat"
    large = np.zeros((7, 7, 512, 95), np.float32)
    scipy.io.savemat(path, {"x": cell(large, "after")}, do_compression=True)
    assert read_mat_v5(path, {"x"}) == {"x": [None, "after"]}


def matrix(array_class: int, shape: tuple[int, ...], contents: bytes, name: bytes = b"") -> bytes:
    """Return the bytes of an array element, given its parts."""
    flags = struct.pack("<IIII", 6, 8, array_class, 0)
    pad = b"\0" * (-4 * len(shape) % 8)
    dimensions = struct.pack("<II", 5, 4 * len(shape)) + struct.pack(f"<{len(shape)}i", *shape)
    named = struct.pack("<II", 1, len(name)) + name + b"\0" * (-len(name) % 8)
    body = flags + dimensions + pad + named + contents
    return struct.pack("<II", 14, len(body)) + body


def compressed(element: bytes) -> bytes:
    data = zlib.compress(element)
    return struct.pack("<II", 15, len(data)) + data


EMPTY = struct.pack("<II", 14, 0)
NINE = struct.pack("<II", 9, 72) + bytes(72)


def nested(depth: int) -> bytes:
    element = EMPTY
    for _ in range(depth):
        element = matrix(1, (1, 1), element)
    return element


HOSTILE = {
    "shape without data": matrix(7, (3, 3, 3, 64), struct.pack("<II", 7, 0), b"x"),
    "more data than shape": matrix(7, (1, 1), struct.pack("<II", 7, 8) + bytes(8), b"x"),
    "data beyond the array": matrix(7, (1, 2), struct.pack("<II", 7, 1 << 24), b"x"),
    "data beyond all arrays": matrix(7, (1, 2), struct.pack("<II", 7, 1 << 31), b"x"),
    "negative shape": matrix(7, (-1, -1), struct.pack("<II", 7, 8) + bytes(8), b"x"),
    "no shape": matrix(7, (), b"", b"x"),
    "unknown numbers": matrix(7, (1, 2), struct.pack("<II", 99, 8) + bytes(8), b"x"),
    "endless cells": matrix(1, (1 << 30, 1), EMPTY, b"x"),
    "deep cells": matrix(1, (1, 1), nested(30), b"x"),
    "endless structure": matrix(
        2, (1 << 30, 1), struct.pack("<IIII", (4 << 16) | 5, 8, 1, 0) + bytes(8), b"x"
    ),
    "fields without length": matrix(
        2, (1, 1), struct.pack("<IIIIQ", (4 << 16) | 5, 0, 1, 8, 0) + EMPTY, b"x"
    ),
    "cell larger than its own size": matrix(
        1, (1, 2), struct.pack("<II", 14, 48) + matrix(6, (1, 9), NINE)[8:] + EMPTY, b"x"
    ),
    "cells that are no arrays": matrix(1, (1, 1), struct.pack("<II", 7, 8) + bytes(8), b"x"),
}


@pytest.mark.parametrize("pack", [bytes, compressed], ids=["plain", "compressed"])
def test_hostile_arrays_are_refused(tmp_path, pack):
    path = tmp_path / "x.mat"
    for case, array in HOSTILE.items():
        path.write_bytes(HEADER + pack(array))
        told = complaint(read_mat_v5, path, {"x"}, case=case)
        assert "damaged or truncated .mat file" in told, case


@pytest.mark.parametrize("limit", [1000, pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize("pack", [bytes, compressed], ids=["plain", "compressed"])
def test_many_cells_are_refused(tmp_path, monkeypatch, pack, limit):
    """The limit is patched to a smaller one, because 100,000 cells take seconds."""
    if limit:
        monkeypatch.setattr("convert_weights.mat_v5._MAX_PARTS", limit)
    for cells, message in ((limit or 100_000, ""), ((limit or 100_000) + 1, "too many")):
        path = tmp_path / "x.mat"
        path.write_bytes(HEADER + pack(matrix(1, (cells, 1), EMPTY * cells, b"x")))
        if message:
            with pytest.raises(WeightsError, match=message):
                read_mat_v5(path, {"x"})
        else:
            assert len(read_mat_v5(path, {"x"})["x"]) == cells


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
    rest = struct.pack("<II", 1, 8 << 20) + bytes(8 << 20)
    path.write_bytes(HEADER + compressed(matrix(1, (1, 2), matrix(16, (1, 1), rest), b"x")))
    assert path.stat().st_size < 20_000
    with pytest.raises(WeightsError, match="reaches beyond"):
        read_mat_v5(path, {"x"})


def test_damaged_compression_is_told(tmp_path):
    path = tmp_path / "x.mat"
    path.write_bytes(HEADER + struct.pack("<II", 15, 20) + b"x" * 20)
    with pytest.raises(WeightsError, match=r"damaged or truncated \.mat file"):
        read_mat_v5(path, {"x"})
