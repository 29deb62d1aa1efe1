"""Size rules: how a single number determines the height and width of an image."""

import math
from typing import Literal, get_args

SizeRule = Literal["longest", "longest-floor", "shortest", "height", "area"]
SIZE_RULES: tuple[str, ...] = get_args(SizeRule)


def fit(height: int, width: int, size: int, rule: SizeRule = "longest") -> tuple[int, int]:
    """Return the height and width, each at least 1, of an image scaled to a size.

    Args:
      height, width: The size of the original in pixels; its aspect ratio is kept.
      size: The target size in pixels.
      rule: What ``size`` measures:

        - ``longest``: the longest side; the other side is rounded to the nearest pixel.
        - ``longest-floor``, ``shortest``, ``height``: the longest side, the shortest side or the
          height; the other side is rounded down.
        - ``area``: the side of a square with as many pixels.

    >>> fit(734, 979, 512), fit(734, 979, 512, "longest-floor"), fit(734, 979, 512, "shortest")
    ((384, 512), (383, 512), (512, 682))
    """
    longest, shortest = max(height, width), min(height, width)
    measured = {"shortest": shortest, "height": height, "area": math.sqrt(height * width)}
    side = measured.get(rule, longest)
    whole = round if rule in ("longest", "area") else math.floor
    # Multiply before dividing, so that the measured side comes out as exactly ``size``.
    return max(1, whole(height * size / side)), max(1, whole(width * size / side))


def ladder_of(size: int, smallest: int, factor: float) -> list[int]:
    """Return sizes from coarse to fine: ``size`` divided by powers of ``factor``.

    Sizes below ``smallest`` are left out, but ``size`` itself is always included.

    >>> ladder_of(512, 128, 2.0)
    [128, 256, 512]
    >>> ladder_of(100, 128, 2.0)
    [100]
    """
    found = [size]
    while round(size / factor ** len(found)) >= smallest:
        found.append(round(size / factor ** len(found)))
    return found[::-1]
