"""Coarse to fine: at which sizes, and for how many steps.

The receptive field of VGG-19 is fixed in pixels, so large shapes are moved where the picture is
small, and only texture is left to do where it is large and steps are dear (Gatys et al. 2017,
section 6).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Scale(NamedTuple):
    """height, width of the picture in pixels; longest is the size both were fitted to."""

    height: int
    width: int
    longest: int
    steps: int


def fit(height: int, width: int, longest: int) -> tuple[int, int]:
    """The size of the same shape whose longest side is ``longest``, each side at least 1."""
    factor = longest / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def sizes(size: int, smallest: int, factor: float) -> list[int]:
    """Longest sides from coarse to fine: ``size`` divided by powers of ``factor`` while at least
    ``smallest``. ``size`` is always among them.

    >>> sizes(512, 128, 2.0)
    [128, 256, 512]
    >>> sizes(100, 128, 2.0)
    [100]
    """
    found = [size]
    while round(size / factor ** len(found)) >= smallest:
        found.append(round(size / factor ** len(found)))
    return found[::-1]


def schedule(
    height: int,
    width: int,
    *,
    size: int,
    smallest: int,
    factor: float,
    steps: Sequence[int],
    usable: Callable[[int], bool] = lambda longest: True,
) -> list[Scale]:
    """The scales of a run, coarse to fine.

    Args:
      height, width: of the content picture, whose shape the result has.
      size: longest side of the result.
      smallest, factor: see ``sizes``.
      steps: per scale, coarsest first; the last number repeats where scales outnumber it.
      usable: whether a scale with this longest side can be run; the last one is kept in any case.
    """
    longest = sizes(size, smallest, factor)
    chosen = [*filter(usable, longest[:-1]), longest[-1]]
    # Steps belong to a place in the full ladder: leaving out a coarse scale shifts nothing.
    first = len(longest) - len(chosen)
    per_scale = [steps[min(first + i, len(steps) - 1)] for i in range(len(chosen))]
    return [Scale(*fit(height, width, s), s, n) for s, n in zip(chosen, per_scale, strict=True)]
