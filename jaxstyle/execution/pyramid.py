"""The coarse-to-fine schedule: sizes and step counts.

The receptive field of VGG-19 is fixed in pixels. So large shapes are formed while the picture is
small, and only texture is left for large sizes, where steps are expensive (Gatys et al. 2017,
section 6).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Scale(NamedTuple):
    """A scale of a run.

    Attributes:
      height: height of the image in pixels.
      width: width of the image in pixels.
      size: the nominal size from which both sides were computed.
      steps: optimizer steps.
      photorealism: weight of the matting-Laplacian energy.
    """

    height: int
    width: int
    size: int
    steps: int
    photorealism: float = 0.0


def sizes(size: int, smallest: int, factor: float) -> list[int]:
    """Return sizes from coarse to fine: ``size`` divided by powers of ``factor``.

    Sizes below ``smallest`` are left out, but ``size`` itself is always included.

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
    """Return the scales of a run, coarsest first.

    Args:
      fitted: function from a size to the picture's height and width.
      size: size of the result.
      smallest: smallest size, see ``sizes``.
      factor: ratio of successive sizes, see ``sizes``.
      steps: steps per scale, coarsest first; the last number is repeated for further scales.
      usable: function that returns whether a size can be run; the last size is kept in any case.
      photorealism: photorealism weights. The finest scale is run once with each, in this order; the
        coarser scales use the first.
    """
    ladder = sizes(size, smallest, factor)
    chosen = [*filter(usable, ladder[:-1]), *[ladder[-1]] * len(photorealism)]
    weights = [photorealism[0]] * (len(chosen) - len(photorealism)) + list(photorealism)
    # Step counts belong to places in the full ladder: a scale left out does not shift the others.
    first = len(ladder) - 1 + len(photorealism) - len(chosen)
    per_scale = [steps[min(first + i, len(steps) - 1)] for i in range(len(chosen))]
    return [Scale(*fitted(s), s, n, w) for s, n, w in zip(chosen, per_scale, weights, strict=True)]
