"""Tests of parsing pickles: nothing is executed or imported, damage is reported."""

import collections
import io
import os
import pickle

from convert_weights.pickle_data import Call, Name, Persistent, parse_pickle
from tests.cases import for_each
from tests.convert_weights import writers
from tests.convert_weights.conftest import complaint


def parse(data: bytes, *permitted: str):
    return parse_pickle(io.BytesIO(data), frozenset(permitted))


@for_each("protocol", [2, 3, 4, 5])
@for_each(
    "value",
    [
        None,
        [True, False, 0, 255, 65535, -1, 1 << 40, -(1 << 80), 1.5, "text", "ü" * 300],
        {"a": (), "b": (1,), "c": (1, 2), "d": (1, 2, 3), "e": (1, 2, 3, 4), 5: [[]]},
        collections.OrderedDict([("x", 1), ("y", {"z": 2})]),
        [["shared"]] * 3,
    ],
)
def test_plain_data_is_what_pickle_says(protocol, value):
    assert parse(pickle.dumps(value, protocol)) == value


class Runs:
    """An object that calls a function when unpickled by the pickle module."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@for_each("protocol", [2, 4])  # protocol 2 writes the names of Python 2, as in __builtin__.eval
@for_each("function", [os.system, eval, print])
def test_code_is_refused_by_name(tmp_path, protocol, function):
    data = pickle.dumps(Runs(function, f"open({str(tmp_path / 'x')!r}, 'w')"), protocol)
    told = complaint(parse, data)
    assert told.startswith("refused: its pickle asks for ")
    assert f".{function.__name__}; only tensors are allowed" in told
    assert list(tmp_path.iterdir()) == []


@for_each(
    ("data", "told"),
    [
        (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "asks for os.system"),
        (b"(X\x02\x00\x00\x00lsios\nsystem\n.", "asks for os.system"),  # INST
        (b"\x80\x02(cos\nsystem\nX\x02\x00\x00\x00lso.", "asks for os.system"),  # OBJ
        (b"\x80\x02" + writers.name("torch", "x") + b")\x81.", "uses NEWOBJ"),
        (b"\x80\x02\x82\x01.", "uses EXT1"),
        (b"P1\n.", "uses PERSID"),
        (b"\x80\x05\x97.", "uses NEXT_BUFFER"),
        (b"\x80\x02K\x01)R.", "calls an unnamed function"),
    ],
)
def test_other_ways_to_act_are_refused(data, told):
    assert f"refused: its pickle {told}" in complaint(parse, data, "torch.x")


def test_permitted_calls_are_recorded_and_not_made():
    data = b"\x80\x02" + writers.name("torch", "rebuild") + b"(K\x01K\x02tR."
    assert parse(data, "torch.rebuild") == Call("torch.rebuild", (1, 2))
    data = b"\x80\x02" + writers.name("torch", "FloatStorage") + b"."
    assert parse(data, "torch.FloatStorage") == Name("torch.FloatStorage")


def test_references_are_collected():
    references = []
    data = b"\x80\x02](K\x07QK\x08Qe."
    found = parse_pickle(io.BytesIO(data), frozenset(), references)
    assert found == [Persistent(7), Persistent(8)]
    assert references == [7, 8]


def test_the_state_of_objects_is_ignored():
    state = b"}X\x01\x00\x00\x00aK\x01sb."
    assert parse(b"\x80\x02" + writers.name("collections", "OrderedDict") + b")R" + state) == {}


def test_the_stream_is_left_behind_the_end():
    stream = io.BytesIO(pickle.dumps(1) + pickle.dumps([2]) + b"rest")
    assert parse_pickle(stream, frozenset()) == 1
    assert parse_pickle(stream, frozenset()) == [2]
    assert stream.read() == b"rest"


WHOLE = pickle.dumps({"a": [1, 2.5, "x"], "b": (None, True)}, 2)
DAMAGED = [
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
]


@for_each("data", DAMAGED + [WHOLE[:length] for length in range(len(WHOLE))])
def test_damage_is_told(data):
    assert "damaged or truncated pickle" in complaint(parse, data)


def test_large_structures_cost_little():
    # Thirty doublings of a list by reference: a thousand million items if they were copied.
    data = b"\x80\x02]q\x00" + b"".join(
        b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(30)
    )
    assert len(parse(data + b".")) == 2


@for_each(
    ("item", "count", "message"),
    [([1] * 10_000, 10_000, "lists that are no pairs"), (["a", 1], 10_001, "too many parts")],
)
def test_a_dictionary_of_the_same_list_again_and_again_is_refused(item, count, message):
    pairs = pickle.dumps([item] * count, 2)[2:-1]
    data = b"\x80\x02" + writers.name("collections", "OrderedDict") + pairs + b"\x85R."
    assert message in complaint(parse, data)
