"""Tests of parsing pickles: nothing is executed or imported, damage is reported."""

import collections
import io
import os
import pickle

import pytest

from convert_weights.errors import WeightsError
from convert_weights.pickle_data import Call, Name, Persistent, parse_pickle
from tests.convert_weights import writers
from tests.convert_weights.conftest import complaint


def parse(data: bytes, *permitted: str):
    return parse_pickle(io.BytesIO(data), frozenset(permitted))


def test_plain_data_is_what_pickle_says():
    for value in (
        None,
        [True, False, 0, 255, 65535, -1, 1 << 40, -(1 << 80), 1.5, "text", "ü" * 300],
        {"a": (), "b": (1,), "c": (1, 2), "d": (1, 2, 3), "e": (1, 2, 3, 4), 5: [[]]},
        collections.OrderedDict([("x", 1), ("y", {"z": 2})]),
        [["shared"]] * 3,
    ):
        for protocol in (2, 3, 4, 5):
            assert parse(pickle.dumps(value, protocol)) == value, protocol


class Runs:
    """An object that calls a function when unpickled by the pickle module."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_code_is_refused_by_name(tmp_path):
    witness = tmp_path / "witness"
    for name, function in {"system": os.system, "eval": eval, "print": print}.items():
        for protocol in (2, 4):
            data = pickle.dumps(Runs(function, f"open({str(witness)!r}, 'w')"), protocol)
            # Protocol 2 writes the names of Python 2, as in __builtin__.eval.
            with pytest.raises(WeightsError, match=f"its pickle asks for .*{name}"):
                parse(data)
            assert not witness.exists(), (name, protocol)


def test_name_is_told_in_full():
    with pytest.raises(WeightsError, match=r"refused: its pickle asks for os\.system; only"):
        parse(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.")
    with pytest.raises(WeightsError, match=r"asks for os\.system"):
        parse(b"(S'ls'\nios\nsystem\n.".replace(b"S'ls'\n", b"X\x02\x00\x00\x00ls"))


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\x80\x02(cos\nsystem\nX\x02\x00\x00\x00lso.", "os.system"),  # OBJ
        (b"\x80\x02" + writers.name("torch", "x") + b")\x81.", "NEWOBJ"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"P1\n.", "PERSID"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
    ],
)
def test_other_ways_to_act_are_refused(data, word):
    with pytest.raises(WeightsError, match=f"refused: .*{word}"):
        parse(data, "torch.x")


def test_permitted_calls_are_recorded_and_not_made():
    data = b"\x80\x02" + writers.name("torch", "rebuild") + b"(K\x01K\x02tR."
    assert parse(data, "torch.rebuild") == Call("torch.rebuild", (1, 2))
    data = b"\x80\x02" + writers.name("torch", "FloatStorage") + b"."
    assert parse(data, "torch.FloatStorage") == Name("torch.FloatStorage")
    with pytest.raises(WeightsError, match="calls an unnamed function"):
        parse(b"\x80\x02K\x01)R.")


def test_references_are_collected():
    references = []
    data = b"\x80\x02](K\x07QK\x08Qe."
    found = parse_pickle(io.BytesIO(data), frozenset(), references)
    assert found == [Persistent(7), Persistent(8)]
    assert references == [7, 8]


def test_state_of_objects_is_ignored():
    data = (
        b"\x80\x02" + writers.name("collections", "OrderedDict") + b")R}X\x01\x00\x00\x00aK\x01sb."
    )
    assert parse(data) == {}


def test_stream_is_left_behind_the_end():
    stream = io.BytesIO(pickle.dumps(1) + pickle.dumps([2]) + b"rest")
    assert parse_pickle(stream, frozenset()) == 1
    assert parse_pickle(stream, frozenset()) == [2]
    assert stream.read() == b"rest"


def test_damage_is_told():
    for data in (
        b"",
        b"\x80\x02",
        b".",
        b"\x80\x02e.",
        b"\x80\x02h\x05.",  # a memo that was never filled
        b"\x80\x02]K\x01s.",  # an item without a value
        b"\x80\x02]K\x01K\x02s.",  # items set on a list
        b"\x80\x02}]K\x01s.",  # a list as a key
        b"\x80\x02}K\x01K\x01\x86K\x01s.",  # a tuple as a key
        b"\x80\x02X\xff\xff\xff\x7fabc",  # a text longer than the file
        b"\x80\x02\x8a\xff",  # a number longer than the file
        b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.",
        b"\xff\xff\xff",
    ):
        assert "damaged or truncated pickle" in complaint(parse, data, case=data)


def test_cut_anywhere_is_told():
    data = pickle.dumps({"a": [1, 2.5, "x"], "b": (None, True)}, 2)
    for length in range(len(data)):
        with pytest.raises(WeightsError):
            parse(data[:length])


def test_large_structures_cost_little():
    # Thirty doublings of a list by reference: a thousand million items if they were copied.
    data = b"\x80\x02]q\x00" + b"".join(
        b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(30)
    )
    assert len(parse(data + b".")) == 2
