"""Parse pickles without executing them.

A pickle is a program for a small stack machine. This interpreter supports only the instructions
that build plain data (numbers, text, lists, dictionaries). Calls of a few permitted names are
recorded instead of made. Nothing is imported, no object is created and no attribute is set.
"""

import pickletools
from collections.abc import Callable, Set
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, BinaryIO, cast

from convert_weights.allowance import Allowance
from jaxstyle.errors import WeightsError, one_line


@dataclass(frozen=True)
class Name:
    """The full name of a global that the pickle refers to, such as torch.FloatStorage."""

    text: str


@dataclass(frozen=True)
class Call:
    """A call requested by the pickle, recorded but not made."""

    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Persistent:
    """A reference to an object stored outside the pickle (a persistent id)."""

    id: Any


def parse_pickle(
    stream: BufferedIOBase, permitted: Set[str], references: list[Any] | None = None
) -> Any:
    """Parse the pickle at the current position of a stream, which then is at the pickle's end.

    Args:
        stream: A seekable binary file.
        permitted: Full names that may appear, as `Name` or as the function of a `Call`.
            collections.OrderedDict is always permitted and becomes a dict.
        references: List to which the id of every `Persistent` is appended.

    Returns:
        The data: numbers, text, lists, tuples, dictionaries, `Name`, `Call` and `Persistent`.

    Raises:
        WeightsError: The pickle uses any other name or instruction, or is damaged.
    """
    machine = _Machine(permitted, [] if references is None else references)
    try:
        for opcode, argument, _ in pickletools.genops(cast(BinaryIO, stream)):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument)
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise WeightsError(f"a damaged or truncated pickle ({one_line(error)})") from error
    raise WeightsError("a damaged or truncated pickle (no STOP instruction)")


_ORDERED_DICT = "collections.OrderedDict"
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "BINUNICODE8"}
    | {"SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"}
)
_IGNORED = frozenset({"PROTO", "FRAME"})


class _Machine:
    """The stack machine that a pickle is a program for, reduced to building plain data."""

    def __init__(self, permitted: Set[str], references: list[Any]) -> None:
        self.permitted = permitted | {_ORDERED_DICT}
        self.references = references
        self.allowance = Allowance()
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
            raise WeightsError(f"refused: its pickle uses {code}, which tensors do not need")

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
            raise WeightsError("refused: its pickle calls an unnamed function")
        if function.text == _ORDERED_DICT:
            self.push({})
            if arguments:
                self.set_items([part for pair in self.pairs(*arguments) for part in pair])
        else:
            self.push(Call(function.text, arguments))

    def pairs(self, values: Any) -> list[list[Any]]:
        self.allowance.spend(parts=len(_list(values)))  # it can use the same list very often
        pairs = [_list(pair) for pair in values]
        if any(len(pair) != 2 for pair in pairs):
            raise TypeError("a dictionary of lists that are no pairs")
        return pairs

    def refer(self) -> None:
        (identity,) = self.last(1)
        self.references.append(identity)
        self.push(Persistent(identity))

    def append_items(self, values: list[Any]) -> None:
        _list(self.stack[-1]).extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError("items set on an object that is not a dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Plain keys only: hashing maliciously nested tuples takes exponential time.
            if not isinstance(key, str | int):
                raise TypeError("a dictionary key that is neither text nor an integer")
            target[key] = value


# Effect of each instruction on the machine, given its argument as decoded by pickletools.
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
    # BUILD sets an object's state; that of tensors and state dictionaries is only metadata.
    "BUILD": lambda m, _: m.last(1),
    "BINPERSID": lambda m, _: m.refer(),
}


def _refused(name: str) -> WeightsError:
    return WeightsError(f"refused: its pickle asks for {name}; only tensors are allowed")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a name that is not text")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("items added to an object that is not a list")
    return value
