"""The rules by which the size of a picture is measured."""

import math
from typing import Literal, get_args

SizeRule = Literal["longest", "longest-floor", "shortest", "height", "area"]
SIZE_RULES: tuple[str, ...] = get_args(SizeRule)


def fit(height: int, width: int, size: int, rule: SizeRule = "longest") -> tuple[int, int]:
    """Return height and width of the same shape, each at least 1, at a size measured by ``rule``.

    longest: the longest side is ``size``, the other one rounded to the nearest pixel.
    longest-floor, shortest, height: the side of that name is ``size``, the other rounded down.
    area: as many pixels as a square of that side.

    >>> fit(734, 979, 512), fit(734, 979, 512, "longest-floor"), fit(734, 979, 512, "shortest")
    ((384, 512), (383, 512), (512, 682))
    """
    longest, shortest = max(height, width), min(height, width)
    measured = {"shortest": shortest, "height": height, "area": math.sqrt(height * width)}
    side = measured.get(rule, longest)
    whole = round if rule in ("longest", "area") else math.floor
    # Multiplied before it is divided, so that the side that is fitted comes out exactly.
    return max(1, whole(height * size / side)), max(1, whole(width * size / side))
