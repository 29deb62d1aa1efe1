"""Pickles as inert data: parsed, never run.

A pickle is a program for a small stack machine. This reads the instructions that make plain data
(numbers, texts, lists, dictionaries) and records, instead of performing them, the calls of a few
permitted names. No object is created from a name, no attribute is set, nothing is imported.
"""

import pickletools
from collections.abc import Callable, Set
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, BinaryIO, cast

from convert_weights.errors import WeightsError, one_line


@dataclass(frozen=True)
class Name:
    """A global that the pickle refers to, such as torch.FloatStorage: its name only."""

    text: str


@dataclass(frozen=True)
class Call:
    """A call that the pickle asks for and that was not made."""

    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Persistent:
    """A reference to something stored outside the pickle."""

    id: Any


def parse_pickle(
    stream: BufferedIOBase, permitted: Set[str], references: list[Any] | None = None
) -> Any:
    """The data of the pickle at the stream's position; the stream is left behind its end.

    Args:
        stream: a seekable binary file.
        permitted: full names that may appear, as `Name` or as the function of a `Call`.
            collections.OrderedDict is always permitted and becomes a dict.
        references: receives the id of every `Persistent`, wherever in the data it is.

    Raises:
        WeightsError: the pickle asks for any other name or kind of action, or is damaged.
    """
    machine = _Machine(permitted, [] if references is None else references)
    try:
        for opcode, argument, _ in pickletools.genops(cast(BinaryIO, stream)):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument)
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise WeightsError(f"a damaged or truncated pickle ({one_line(error)})") from error
    raise WeightsError("a damaged or truncated pickle (it has no end)")


_ORDERED_DICT = "collections.OrderedDict"
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "BINUNICODE8"}
    | {"SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"}
)
_IGNORED = frozenset({"PROTO", "FRAME"})


class _Machine:
    def __init__(self, permitted: Set[str], references: list[Any]) -> None:
        self.permitted = permitted | {_ORDERED_DICT}
        self.references = references
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, code: str, argument: Any) -> None:
        if code in _LITERALS:
            self.stack.append(argument)
        elif code in _CONSTANTS:
            self.stack.append(_CONSTANTS[code])
        elif code in _ACTIONS:
            _ACTIONS[code](self, argument)
        elif code == "INST":
            raise _refused(argument.replace(" ", "."))
        elif code not in _IGNORED:
            raise WeightsError(f"refused: its pickle uses {code}, which no file of tensors needs")

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def last(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise IndexError("stack underflow")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def push_name(self, module: Any, attribute: Any) -> None:
        name = f"{_text(module)}.{_text(attribute)}"
        if name not in self.permitted:
            raise _refused(name)
        self.push(Name(name))

    def call(self) -> None:
        function, arguments = self.last(2)
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise WeightsError("refused: its pickle calls something that has no name")
        if function.text == _ORDERED_DICT:
            self.push({})
            if arguments:
                pairs = _list(*arguments)
                self.set_items([part for pair in pairs for part in _list(pair)])
        else:
            self.push(Call(function.text, arguments))

    def refer(self) -> None:
        (identity,) = self.last(1)
        self.references.append(identity)
        self.push(Persistent(identity))

    def append_items(self, values: list[Any]) -> None:
        _list(self.stack[-1]).extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError("items set on what is no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Plain keys only: hashing nested tuples can be made to take forever.
            if not isinstance(key, str | int):
                raise TypeError("a dictionary key that is neither text nor number")
            target[key] = value


# What each instruction does to the machine; its argument as pickletools decodes it.
_ACTIONS: dict[str, Callable[[_Machine, Any], object]] = {
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.push(tuple(m.last(1))),
    "TUPLE2": lambda m, _: m.push(tuple(m.last(2))),
    "TUPLE3": lambda m, _: m.push(tuple(m.last(3))),
    "APPEND": lambda m, _: m.append_items(m.last(1)),
    "APPENDS": lambda m, _: m.append_items(m.since_mark()),
    "SETITEM": lambda m, _: m.set_items(m.last(2)),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "BINPUT": lambda m, index: m.memo.__setitem__(index, m.stack[-1]),
    "LONG_BINPUT": lambda m, index: m.memo.__setitem__(index, m.stack[-1]),
    "MEMOIZE": lambda m, _: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    "BINGET": lambda m, index: m.push(m.memo[index]),
    "LONG_BINGET": lambda m, index: m.push(m.memo[index]),
    "GLOBAL": lambda m, names: m.push_name(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.push_name(*m.last(2)),
    "REDUCE": lambda m, _: m.call(),
    # The state of an object: for tensors and state dictionaries only notes, not needed.
    "BUILD": lambda m, _: m.last(1),
    "BINPERSID": lambda m, _: m.refer(),
}


def _refused(name: str) -> WeightsError:
    return WeightsError(f"refused: its pickle asks for {name}, and only tensors are rebuilt")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a name that is no text")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("items added to what is no list")
    return value
