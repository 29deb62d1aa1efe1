"""Read MATLAB v5 files as plain Python data, in one pass with bounded memory.

SciPy's reader is not used because damaged files can crash it and because it loads the whole file.
This one skips arrays larger than any convolution of VGG-19: the fully connected layers, nine tenths
of the published file.

The format, from "MAT-File Format" by The MathWorks: a header of 128 bytes, then data elements, each
a tag (type, number of bytes) and its data padded to 8 bytes. An array is an element that contains
other elements: flags (with its class), dimensions and name, then, depending on the class, numbers,
text or further arrays.
"""

import math
import struct
import zlib
from collections.abc import Callable, Set
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal

import numpy as np

from convert_weights.allowance import Allowance
from convert_weights.vgg19 import MAX_ELEMENTS
from jaxstyle.errors import WeightsError, one_line

ByteOrder = Literal["<", ">"]

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_NUMBERS |= {12: "i8", 13: "u8"}
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _CHAR = 1, 2, 4  # array classes
# dtype of each numeric array class; the file may store the numbers in a smaller type.
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4"}
_CLASSES |= {14: "i8", 15: "u8"}

_MAX_DEPTH = 16
_MAX_TEXT = 100_000  # bytes of a text, or of the names of fields
_MAX_VARIABLE = 1 << 30  # decompressed bytes; the published network has 575 million
_BLOCK = 1 << 20
_INPUT = 1 << 14  # bytes to decompress at once; zlib copies those left over on every read


def read_mat_v5(path: Path, names: Set[str]) -> dict[str, Any]:
    """Read variables by name; names that the file lacks are left out.

    Returns:
        The values by name. Cell arrays become lists, structures dicts (lists of dicts unless 1x1),
        text str, and numbers arrays of MATLAB's shape. Anything else, and arrays larger than any of
        VGG-19, become None.

    Raises:
        WeightsError: The file is damaged or truncated.
    """
    found: dict[str, Any] = {}
    allowance = Allowance()
    try:
        with open(path, "rb") as file:
            order = "<" if file.read(128)[126:] == b"IM" else ">"
            while tag := file.read(8):
                kind, size = struct.unpack(order + "II", tag)
                start = file.tell()
                name, value = _variable(file, order, kind, size, names - found.keys(), allowance)
                if name:
                    found[name] = value
                file.seek(start + size)
    except (struct.error, zlib.error, ValueError, EOFError) as error:
        raise WeightsError(f"a damaged or truncated .mat file ({one_line(error)})") from error
    return found


def _variable(
    file: BufferedIOBase,
    order: ByteOrder,
    kind: int,
    size: int,
    names: Set[str],
    allowance: Allowance,
) -> tuple[str, Any]:
    """Read a variable from a top-level element.

    Returns:
        Its name and value; the name is empty if it is not one of `names`.
    """
    if kind == _COMPRESSED:
        elements = _Elements(_inflate(file, size), order, _MAX_VARIABLE, allowance)
        kind, size, _ = elements.tag()
    else:
        elements = _Elements(file.read, order, size, allowance)
    if kind != _MATRIX:
        return "", None
    array_class, shape, name = elements.header()
    if name not in names:
        return "", None
    return name, elements.contents(array_class, shape, depth=0)


def _inflate(file: BufferedIOBase, size: int) -> Callable[[int], bytes]:
    """Return a function like `file.read` that decompresses the next `size` bytes of the file."""
    engine = zlib.decompressobj()
    left = size

    def read(count: int) -> bytes:
        nonlocal left
        parts = []
        while count > 0 and not engine.eof:
            data = engine.unconsumed_tail or file.read(min(left, _INPUT))
            left -= 0 if engine.unconsumed_tail else len(data)
            part = engine.decompress(data, count)
            if not data and not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    return read


class _Elements:
    """A sequential parser of the data elements in at most `size` bytes of a stream."""

    def __init__(
        self, read: Callable[[int], bytes], order: ByteOrder, size: int, allowance: Allowance
    ) -> None:
        self.read = read
        self.order = order
        self.left = size
        self.allowance = allowance

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise EOFError("an element reaches beyond the array it is in")
        data = self.read(count)
        if len(data) < count:
            raise EOFError("it ends in the middle of an array")
        self.left -= count
        return data

    def skip(self, count: int) -> None:
        while count > 0:
            count -= len(self.take(min(count, _BLOCK)))

    def tag(self) -> tuple[int, int, bytes]:
        """Read a tag: type and size of the next element, and its data if stored in the tag."""
        tag = self.take(8)
        kind, size = struct.unpack(self.order + "II", tag)
        if kind >> 16:  # small element: up to four bytes of data stored in the tag
            kind, size = kind & 0xFFFF, kind >> 16
            return kind, size, tag[4 : 4 + size]
        return kind, size, b""

    def data(self, limit: int) -> tuple[int, bytes]:
        """Read the type and the data, at most `limit` bytes, of the next element."""
        kind, size, data = self.tag()
        if size > limit:
            raise ValueError("an element is too large")
        if not data:
            data = self.take(size)
            self.skip(-size % 8)
        return kind, data

    def integers(self, limit: int) -> list[int]:
        kind, data = self.data(limit)
        if kind not in (5, 6):
            raise ValueError("an array without flags or dimensions")
        return np.frombuffer(data, self.order + _NUMBERS[kind]).tolist()

    def header(self) -> tuple[int, list[int], str]:
        """Read the class, shape and name of an array."""
        flags = self.integers(8)
        shape = self.integers(256)
        _, name = self.data(256)
        if len(flags) != 2 or len(shape) < 2 or min(shape) < 0:
            raise ValueError("an array without flags or dimensions")
        return flags[0] & 0xFF, shape, name.decode("latin-1")

    def array(self, depth: int) -> Any:
        """Read the array in the next element and skip any part that was not parsed."""
        kind, size, _ = self.tag()
        self.allowance.spend(parts=1)
        if kind != _MATRIX or depth > _MAX_DEPTH:
            raise ValueError("cells or fields are not arrays, or nested too deeply")
        if size == 0:
            return np.zeros((0, 0))
        end = self.left - size
        array_class, shape, _ = self.header()
        value = self.contents(array_class, shape, depth)
        if self.left < end:
            raise ValueError("an element reaches beyond the array it is in")
        self.skip(self.left - end)
        return value

    def contents(self, array_class: int, shape: list[int], depth: int) -> Any:
        count = math.prod(shape)
        if array_class == _CELL:
            return [self.array(depth + 1) for _ in range(count)]
        if array_class == _STRUCT:
            return self.structures(count, depth)
        if array_class == _CHAR:
            kind, data = self.data(2 * _MAX_TEXT)
            self.allowance.spend(numbers=len(data))
            return data.decode(self.encoding(kind), "replace")
        if array_class in _CLASSES and count <= MAX_ELEMENTS:
            return self.numbers().astype(_CLASSES[array_class]).reshape(shape, order="F")
        return None

    def numbers(self) -> np.ndarray:
        kind, data = self.data(8 * MAX_ELEMENTS)
        if kind not in _NUMBERS:
            raise ValueError("numbers of an unknown type")
        self.allowance.spend(numbers=len(data) // np.dtype(_NUMBERS[kind]).itemsize)
        return np.frombuffer(data, self.order + _NUMBERS[kind])

    def structures(self, count: int, depth: int) -> Any:
        (length,) = self.integers(4)
        _, text = self.data(_MAX_TEXT)
        if length < 1:
            raise ValueError("a structure without field names")
        names = [
            text[start : start + length].split(b"\0")[0].decode("latin-1")
            for start in range(0, len(text), length)
        ]
        self.allowance.spend(parts=len(names) + count)
        found = [{name: self.array(depth + 1) for name in names} for _ in range(count)]
        return found[0] if count == 1 else found

    def encoding(self, kind: int) -> str:
        encoding = _ENCODINGS.get(kind, "latin-1")
        suffix = "-le" if self.order == "<" else "-be"
        return encoding + suffix if encoding in ("utf-16", "utf-32") else encoding
