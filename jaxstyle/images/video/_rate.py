"""Rates: whether the pictures of a source come at a constant one, and at which."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

_JITTER = 0.3
"""Part of the time between two frames by which times at a constant rate may be off."""

_ROUNDING = 0.05
"""Part of the time between two frames by which times may be off because they are rounded."""

_GAPS = 1.1
"""Frames at a constant rate for each picture, above which the rate counts as variable."""

_SLOWEST = Fraction(1, 1001)
"""Least rate, of pictures that are shown for a quarter of an hour or longer."""

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

    def notes(self) -> Iterator[str]:
        """Yield what the user should know about the rate."""
        if not self.constant or self.gaps:
            yield f"its variable rate is made constant: {float(self.rate):.4g} frames per second"


def rate_of(times: list[Fraction], length: Fraction, told: Iterable[Fraction | None]) -> Rate:
    """Return the rate of pictures that appear at these times.

    Args:
      times: Seconds at which they appear, ascending from 0.
      length: Seconds until the last one disappears.
      told: Rates that the file claims, in frames per second.
    """
    claims = [_standard(rate) for rate in told if rate]
    if len(times) == 1:
        return Rate(claims[0] if claims else USUAL, True, False)
    seconds = np.array([float(time) for time in times])
    fitting = _simple((len(times) - 1) / times[-1])
    errors = {rate: _error(seconds, rate) for rate in claims}
    # As times are rounded, it may fit a little better than the true rate.
    errors.setdefault(fitting, _error(seconds, fitting) + _ROUNDING)
    best = min(errors, key=errors.__getitem__)
    if errors[best] < _JITTER:
        return Rate(best, True, round(times[-1] * best) + 1 > len(times))
    return Rate(_simple(len(times) / length), False, False)


def _error(seconds: np.ndarray, rate: Fraction) -> float:
    """Return how far times are from multiples of 1 / rate, in frames; infinity if they are none."""
    frames = seconds * float(rate)
    slots = np.rint(frames)
    error = round(float(np.abs(frames - slots).max()), 6)
    distinct = bool((np.diff(slots) > 0).all())
    few_gaps = slots[-1] + 1 <= _GAPS * len(slots)
    return error if distinct and few_gaps else np.inf


def _standard(rate: Fraction) -> Fraction:
    """Return the whole rate, or the one of television such as 30000 / 1001, that one is meant as.

    Where times are rounded to milliseconds FFmpeg can only guess it.
    """
    for near in (Fraction(round(rate)), Fraction(1000 * round(rate * 1001 / 1000), 1001)):
        if abs(near - rate) < rate / 10**5:
            return near
    return rate


def _simple(rate: Fraction) -> Fraction:
    return max(_SLOWEST, rate.limit_denominator(1001))
