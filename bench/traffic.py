"""Bytes that a TPU program moves in and out of HBM, read off its compiled text.

XLA's own count ("bytes accessed") takes in what stays on the chip: a TPU's compiler keeps most of a
step's arrays in VMEM (memory space 1, written S(1) in their layout), and only the rest costs HBM
bandwidth.
"""

import re
from math import prod

WIDTHS = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4}
_ARRAY = re.compile(r"\b(" + "|".join(WIDTHS) + r")\[([\d,]*)\](?:\{([^}]*)\})?")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?(%[\w.-]+) = (.+?) ([a-z][\w-]*)\((.*?)\)(?:, |$)")
_FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "custom-call")
"""What moves nothing; the compiler's custom calls name places in VMEM, or join views of them."""


def hbm_bytes(text: str) -> int:
    """Bytes read from and written to HBM by one run of the entry computation: every operand and
    every result of its instructions that is not on the chip. Loops are not looked into."""
    entry = text[text.index("ENTRY ") :]
    shapes: dict[str, str] = {}
    total = 0
    for line in entry.splitlines():
        found = _INSTRUCTION.match(line)
        if not found:
            continue
        name, shape, operation, operands = found.groups()
        shapes[name] = shape
        if operation in _FREE or operation.endswith("-done"):
            continue
        if operation.endswith("-start"):  # shape: the source, the piece of it that moves, a token
            total += min(filter(None, map(_bytes, _ARRAY.findall(shape)[:2])), default=0)
            continue
        read = [shapes.get(operand, "") for operand in re.findall(r"%[\w.-]+", operands)]
        total += sum(_off_chip(each) for each in (shape, *read))
    return total


def _off_chip(shape: str) -> int:
    return sum(_bytes(array) for array in _ARRAY.findall(shape) if "S(" not in array[2])


def _bytes(array: tuple[str, str, str]) -> int:
    """With the padding of its tiles: of {1,0:T(8,128)}, the last side is a multiple of 128 and the
    one before it of 8."""
    width, text, layout = array
    sides = [int(side) for side in text.split(",") if side]
    order, _, tiling = layout.partition(":")
    tile = re.match(r"T\(([\d,]+)\)", tiling)
    if tile and order:
        minor_first = [int(index) for index in order.split(",")]
        for index, multiple in zip(minor_first, reversed(tile[1].split(",")), strict=False):
            sides[index] = -(-sides[index] // int(multiple)) * int(multiple)
    return WIDTHS[width] * prod(sides)
