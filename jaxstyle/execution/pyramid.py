"""Coarse to fine: at which sizes, and for how many steps.

The receptive field of VGG-19 is fixed in pixels, so large shapes are moved where the picture is
small, and only texture is left to do where it is large and steps are dear (Gatys et al. 2017,
section 6).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Scale(NamedTuple):
    """height, width of the picture in pixels; size is the number both were fitted to.

    photorealism: weight of the matting-Laplacian energy.
    """

    height: int
    width: int
    size: int
    steps: int
    photorealism: float = 0.0


def sizes(size: int, smallest: int, factor: float) -> list[int]:
    """Sizes from coarse to fine: ``size`` divided by powers of ``factor`` while at least
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
    fitted: Callable[[int], tuple[int, int]],
    *,
    size: int,
    smallest: int,
    factor: float,
    steps: Sequence[int],
    usable: Callable[[int], bool] = lambda size: True,
    photorealism: Sequence[float] = (0.0,),
) -> list[Scale]:
    """The scales of a run, coarse to fine.

    Args:
      fitted: height and width of the picture at a size.
      size: of the result.
      smallest, factor: see ``sizes``.
      steps: per scale, coarsest first; the last number repeats where scales outnumber it.
      usable: whether a scale of this size can be run; the last one is kept in any case.
      photorealism: its weight; of several, the last scale is there once for each, in that order,
        and the coarser ones have the first.
    """
    ladder = sizes(size, smallest, factor)
    chosen = [*filter(usable, ladder[:-1]), *[ladder[-1]] * len(photorealism)]
    weights = [photorealism[0]] * (len(chosen) - len(photorealism)) + list(photorealism)
    # Steps belong to a place in the full ladder: leaving out a coarse scale shifts nothing.
    first = len(ladder) - 1 + len(photorealism) - len(chosen)
    per_scale = [steps[min(first + i, len(steps) - 1)] for i in range(len(chosen))]
    return [Scale(*fitted(s), s, n, w) for s, n, w in zip(chosen, per_scale, weights, strict=True)]
