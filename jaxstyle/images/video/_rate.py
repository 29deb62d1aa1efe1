"""Rates: whether the pictures of a source come at a constant one, and at which."""

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

_JITTER = 0.3
"""Part of the time between two frames by which times at a constant rate may be off."""

_GAPS = 1.1
"""Frames at a constant rate for each picture, above which the rate counts as variable."""

USUAL = Fraction(24)
"""Frames per second where nothing tells them."""


class Rate(NamedTuple):
    """A rate at which a source is shown.

    Attributes:
      rate: Frames per second.
      constant: Whether every picture is near a multiple of 1 / rate.
      gaps: Whether some of those multiples have no picture.
    """

    rate: Fraction
    constant: bool
    gaps: bool


def rate_of(times: list[Fraction], length: Fraction, told: Iterable[Fraction | None]) -> Rate:
    """Return the rate of pictures that appear at these times.

    Args:
      times: Seconds at which they appear, ascending from 0.
      length: Seconds until the last one disappears.
      told: Rates that the file claims, in frames per second.
    """
    candidates = [rate for rate in told if rate]
    if len(times) == 1:
        return Rate(candidates[0] if candidates else USUAL, True, False)
    candidates.append(_simple((len(times) - 1) / times[-1]))
    seconds = np.array([float(time) for time in times])
    errors = {rate: error for rate in candidates if (error := _error(seconds, rate)) is not None}
    if errors:
        best = min(errors, key=errors.__getitem__)  # the first of equals: what the file claims
        return Rate(best, True, round(times[-1] * best) + 1 > len(times))
    return Rate(_simple(len(times) / length), False, False)


def _error(seconds: np.ndarray, rate: Fraction) -> float | None:
    """Return how far times are from multiples of 1 / rate, in frames; None if too far."""
    frames = seconds * float(rate)
    slots = np.rint(frames)
    error = round(float(np.abs(frames - slots).max()), 6)
    distinct = bool((np.diff(slots) > 0).all())
    few_gaps = slots[-1] + 1 <= _GAPS * len(slots)
    return error if error < _JITTER and distinct and few_gaps else None


def _simple(rate: Fraction) -> Fraction:
    return rate.limit_denominator(1001)
