"""Count the bytes that a TPU program moves to and from HBM, from its compiled text (HLO).

XLA's own count ("bytes accessed") includes arrays that stay on the chip: the TPU compiler keeps
most arrays of a step in VMEM (memory space 1, written S(1) in their layout), and only the others
need HBM bandwidth.
"""

import re
from math import prod

WIDTHS = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4}
_ARRAY = re.compile(r"\b(" + "|".join(WIDTHS) + r")\[([\d,]*)\](?:\{([^}]*)\})?")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?(%[\w.-]+) = (.+?) ([a-z][\w-]*)\((.*?)\)(?:, |$)")
_FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "custom-call")
"""Operations that move no data. The compiler's custom calls only allocate VMEM or join views."""


def hbm_bytes(text: str) -> int:
    """Return the bytes that one run of the entry computation reads from and writes to HBM.

    These are all operands and results of its instructions that are not in VMEM. The bodies of loops
    are not counted.
    """
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
        if operation.endswith("-start"):  # shape: source, the part that is moved, token
            total += min(filter(None, map(_bytes, _ARRAY.findall(shape)[:2])), default=0)
            continue
        read = [shapes.get(operand, "") for operand in re.findall(r"%[\w.-]+", operands)]
        total += sum(_off_chip(each) for each in (shape, *read))
    return total


def _off_chip(shape: str) -> int:
    return sum(_bytes(array) for array in _ARRAY.findall(shape) if "S(" not in array[2])


def _bytes(array: tuple[str, str, str]) -> int:
    """Return the bytes of an array, padded to its tiles.

    For {1,0:T(8,128)}, the last side is padded to a multiple of 128 and the one before to one of 8.
    """
    width, text, layout = array
    sides = [int(side) for side in text.split(",") if side]
    order, _, tiling = layout.partition(":")
    tile = re.match(r"T\(([\d,]+)\)", tiling)
    if tile and order:
        minor_first = [int(index) for index in order.split(",")]
        for index, multiple in zip(minor_first, reversed(tile[1].split(",")), strict=False):
            sides[index] = -(-sides[index] // int(multiple)) * int(multiple)
    return WIDTHS[width] * prod(sides)
