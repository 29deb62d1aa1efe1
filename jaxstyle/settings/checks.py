"""Validation of settings: one function per field that converts a value or raises SettingError."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxstyle.errors import SettingError, UnknownLayerError, did_you_mean
from jaxstyle.network.vgg import canonical_layer
from jaxstyle.optim.coordinates import MOST_LEVELS

MAX_SIZE = 32768
MAX_STEPS = 1_000_000
MOST_REGIONS = 16
INITS = ("content", "noise", "colors")
TILE_CHOICES = ("auto", "off")
LEAST_TILE = 64
MAX_WEIGHT = 1e15
"""Far above any published weight: losses of raw Gram matrices, and their weights, vary widely."""


def shown(value: Any) -> str:
    """Return a value as an error quotes it: on one line, cut to 60 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True)
class Bounds:
    """The bounds of a number; called with the name of a setting and a value, it checks the value.

    Attributes:
      low: the least number.
      high: the greatest number.
      whole: whether it must be a whole number.
      above: whether it must be above ``low``.
    """

    low: float
    high: float
    whole: bool = False
    above: bool = False

    def __call__(self, name: str, value: Any) -> float:
        """Return a value as a number.

        Raises:
          SettingError: it is none, or out of bounds.
        """
        try:
            number = float("a truth value" if isinstance(value, bool) else value)
        except (TypeError, ValueError, OverflowError):
            raise SettingError(name, f"must be a number, not {shown(value)}") from None
        inside = self.low < number if self.above else self.low <= number
        if not (math.isfinite(number) and inside and number <= self.high):
            least = f"{'above' if self.above else 'at least'} {self.low:g}"
            raise SettingError(
                name, f"must be {least} and at most {self.high:g}, not {shown(value)}"
            )
        if self.whole and number != int(number):
            raise SettingError(name, f"must be a whole number, not {shown(value)}")
        return int(number) if self.whole else number


SIZE = Bounds(1, MAX_SIZE, whole=True)
WEIGHT = Bounds(0, MAX_WEIGHT)
SHARE = Bounds(0, 1)
WHITE = Bounds(1, 65535)
DECAY = Bounds(0, 0.9999)
TILE = Bounds(LEAST_TILE, MAX_SIZE, whole=True)

BOUNDS = {
    "size": SIZE,
    "steps": Bounds(0, MAX_STEPS, whole=True),
    "smallest_size": SIZE,
    "scale_factor": Bounds(1.1, 100),
    "strength": SHARE,
    "content_weight": WEIGHT,
    "content_factors": WEIGHT,
    "style_weight": WEIGHT,
    "tv_weight": WEIGHT,
    "style_scale": Bounds(1e-4, 100),
    "style_blend": Bounds(0, 1e6),
    "auto_masks": Bounds(0, MOST_REGIONS, whole=True),
    "photorealism_weight": WEIGHT,
    "smooth_radius": Bounds(0, 100, whole=True),
    "smooth_edge": Bounds(0, 10, above=True),
    "network_white": WHITE,
    "network_mean": SHARE,
    "init_noise": SHARE,
    "noise_level": Bounds(0, 100),
    "seed": Bounds(0, 2**32 - 1, whole=True),
    "learning_rate": Bounds(0, 1e6, above=True),
    "learning_rate_decay": Bounds(0, 1, above=True),
    "pyramid_levels": Bounds(1, MOST_LEVELS, whole=True),
    "betas": Bounds(0, 0.999999),
    "epsilon": Bounds(0, 1, above=True),
    "momentum": DECAY,
    "history": Bounds(1, 10_000, whole=True),
    "white": WHITE,
    "average": DECAY,
    "tolerance": SHARE,
}
"""The bounds of settings that are numbers; of each number, where a setting has several."""


def bounds_of(name: str) -> Bounds | None:
    """Return the bounds of a setting, or of each of its numbers; None if it has none."""
    return BOUNDS.get(name)


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise SettingError(name, f"must be true or false, not {shown(value)}")
    return value


def _optional(name: str, value: Any) -> float | None:
    return None if value is None else BOUNDS[name](name, value)


def _each(value: Any) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    return tuple(BOUNDS[name](name, number) for number in _each(value))


def _some_numbers(name: str, value: Any) -> tuple[float, ...]:
    if not _each(value):
        raise SettingError(name, "needs at least one number")
    return _numbers(name, value)


def _betas(name: str, value: Any) -> tuple[float, ...]:
    if len(_each(value)) != 2:
        raise SettingError(name, f"needs two numbers, not {shown(value)}")
    return _numbers(name, value)


def _blend(name: str, value: Any) -> tuple[float, ...]:
    shares = _numbers(name, value)
    if shares and not any(shares):
        raise SettingError(name, "at least one share must be above zero")
    return shares


def _mean(name: str, value: Any) -> tuple[float, ...]:
    if len(_each(value)) not in (0, 3):
        raise SettingError(name, f"needs three numbers (red, green, blue), not {shown(value)}")
    return _numbers(name, value)


def _layers(name: str, value: Any) -> dict[str, float]:
    each = [value] if isinstance(value, str) else value
    if not isinstance(each, Mapping | list | tuple) or not all(isinstance(k, str) for k in each):
        raise SettingError(
            name,
            f"must be a layer name, a list of them, or factors by layer name, not {shown(value)}",
        )
    shares = each if isinstance(each, Mapping) else dict.fromkeys(each, 1.0)
    if not shares:
        raise SettingError(name, "needs at least one layer (a weight of 0 switches a loss off)")
    found = {}
    for layer, share in shares.items():
        try:
            canonical = canonical_layer(layer)
        except UnknownLayerError as error:
            raise SettingError(name, str(error)) from None
        if canonical in found:
            raise SettingError(name, f"names {canonical} twice")
        found[canonical] = WEIGHT(name, share)
    return found


def _init(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise SettingError(name, f"must be {', '.join(INITS)} or the path of a picture")
    near = "" if value in INITS or Path(value).suffix else did_you_mean(value, INITS)
    if near and not os.path.exists(value):
        raise SettingError(name, f"there is no picture {shown(value)}{near}")
    return value


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise SettingError(name, f"must be the path of a picture, not {shown(value)}")
    return value


def _paths(name: str, value: Any) -> tuple[str, ...]:
    return tuple(path for path in (_path(name, each) for each in _each(value)) if path)


def _tile(name: str, value: Any) -> str:
    if isinstance(value, str) and value in TILE_CHOICES:
        return value
    try:
        return str(TILE(name, value))
    except SettingError:
        small = str(value).lstrip("-").isdigit() and int(value) < LEAST_TILE
        why = ": the halo around smaller tiles would be nearly all of the work" if small else ""
        expected = f"auto, off, or from {LEAST_TILE} to {MAX_SIZE} pixels"
        raise SettingError(name, f"must be {expected}, not {shown(value)}{why}") from None


CLEANERS: dict[str, Callable[[str, Any], Any]] = {
    **BOUNDS,
    "steps": _some_numbers,
    "content_factors": _some_numbers,
    "content_layers": _layers,
    "style_layers": _layers,
    "normalize_gradients": _truth,
    "style_scale": _some_numbers,
    "style_blend": _blend,
    "sum_styles": _truth,
    "fine_style": _path,
    "content_mask": _paths,
    "style_mask": _paths,
    "photorealism_weight": _some_numbers,
    "refine": _truth,
    "original_colors": _truth,
    "style_colors": _truth,
    "pooling_scale": _truth,
    "network_mean": _mean,
    "init": _init,
    "learning_rate": _optional,
    "betas": _betas,
    "history": _optional,
    "clamp": _truth,
    "opponent_colors": _truth,
    "carry": _truth,
    "keep_best": _truth,
    "tile": _tile,
}
"""Cleaners by field of `jaxstyle.settings.Settings`; fields with choices have none."""
