"""Validation of settings: one function per field that converts a value or raises SettingError."""

import math
import os
from collections.abc import Mapping
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


def _number(
    name: str, value: Any, low: float | int, high: float | int, *, above: bool = False
) -> float:
    try:
        number = float("a truth value" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        raise SettingError(name, f"must be a number, not {shown(value)}") from None
    inside = low < number <= high if above else low <= number <= high
    if not math.isfinite(number) or not inside:
        bound = "above" if above else "at least"
        raise SettingError(
            name, f"must be {bound} {low:g} and at most {high:g}, not {shown(value)}"
        )
    return number


def _whole(name: str, value: Any, low: int, high: int) -> int:
    number = _number(name, value, low, high)
    if number != int(number):
        raise SettingError(name, f"must be a whole number, not {shown(value)}")
    return int(number)


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise SettingError(name, f"must be true or false, not {shown(value)}")
    return value


def _steps(name: str, value: Any) -> tuple[int, ...]:
    if not _each(value):
        raise SettingError(name, "needs at least one number")
    return tuple(_whole(name, number, 0, MAX_STEPS) for number in _each(value))


def _each(value: Any) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _scales(name: str, value: Any) -> tuple[float, ...]:
    if not _each(value):
        raise SettingError(name, "needs at least one number")
    return tuple(_number(name, scale, 1e-4, 100) for scale in _each(value))


def _betas(name: str, value: Any) -> tuple[float, ...]:
    if len(_each(value)) != 2:
        raise SettingError(name, f"needs two numbers, not {shown(value)}")
    return tuple(_number(name, beta, 0, 0.999999) for beta in _each(value))


def _blend(name: str, value: Any) -> tuple[float, ...]:
    shares = tuple(_number(name, share, 0, 1e6) for share in _each(value))
    if shares and not any(shares):
        raise SettingError(name, "at least one share must be above zero")
    return shares


def _mean(name: str, value: Any) -> tuple[float, ...]:
    if len(_each(value)) not in (0, 3):
        raise SettingError(name, f"needs three numbers (red, green, blue), not {shown(value)}")
    return tuple(_number(name, part, 0, 1) for part in _each(value))


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
        found[canonical] = _number(name, share, 0, MAX_WEIGHT)
    return found


def _init(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise SettingError(name, f"must be {', '.join(INITS)} or the path of a picture")
    near = "" if value in INITS or Path(value).suffix else did_you_mean(value, INITS)
    if near and not os.path.exists(value):
        raise SettingError(name, f"there is no picture {shown(value)}{near}")
    return value


def _weight(name: str, value: Any) -> float:
    return _number(name, value, 0, MAX_WEIGHT)


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise SettingError(name, f"must be the path of a picture, not {shown(value)}")
    return value


def _paths(name: str, value: Any) -> tuple[str, ...]:
    return tuple(path for path in (_path(name, each) for each in _each(value)) if path)


def _weights(name: str, value: Any) -> tuple[float, ...]:
    if not _each(value):
        raise SettingError(name, "needs at least one number")
    return tuple(_weight(name, weight) for weight in _each(value))


def _tile(name: str, value: Any) -> str:
    if isinstance(value, str) and value in TILE_CHOICES:
        return value
    try:
        return str(_whole(name, value, LEAST_TILE, MAX_SIZE))
    except SettingError:
        small = str(value).lstrip("-").isdigit() and int(value) < LEAST_TILE
        why = ": the halo around smaller tiles would be nearly all of the work" if small else ""
        expected = f"auto, off, or from {LEAST_TILE} to {MAX_SIZE} pixels"
        raise SettingError(name, f"must be {expected}, not {shown(value)}{why}") from None


def _history(name: str, value: Any) -> int | None:
    return None if value is None else _whole(name, value, 1, 10_000)


def _rate(name: str, value: Any) -> float | None:
    return None if value is None else _number(name, value, 0, 1e6, above=True)


CLEANERS = {
    "size": lambda name, value: _whole(name, value, 1, MAX_SIZE),
    "steps": _steps,
    "smallest_size": lambda name, value: _whole(name, value, 1, MAX_SIZE),
    "scale_factor": lambda name, value: _number(name, value, 1.1, 100),
    "strength": lambda name, value: _number(name, value, 0, 1),
    "content_weight": _weight,
    "style_weight": _weight,
    "tv_weight": _weight,
    "content_factors": _weights,
    "content_layers": _layers,
    "style_layers": _layers,
    "normalize_gradients": _truth,
    "style_scale": _scales,
    "style_blend": _blend,
    "sum_styles": _truth,
    "fine_style": _path,
    "content_mask": _paths,
    "style_mask": _paths,
    "auto_masks": lambda name, value: _whole(name, value, 0, MOST_REGIONS),
    "photorealism_weight": _weights,
    "smooth_radius": lambda name, value: _whole(name, value, 0, 100),
    "smooth_edge": lambda name, value: _number(name, value, 0, 10, above=True),
    "refine": _truth,
    "original_colors": _truth,
    "style_colors": _truth,
    "pooling_scale": _truth,
    "network_white": lambda name, value: _number(name, value, 1, 65535),
    "network_mean": _mean,
    "init": _init,
    "init_noise": lambda name, value: _number(name, value, 0, 1),
    "noise_level": lambda name, value: _number(name, value, 0, 100),
    "seed": lambda name, value: _whole(name, value, 0, 2**32 - 1),
    "learning_rate": _rate,
    "learning_rate_decay": lambda name, value: _number(name, value, 0, 1, above=True),
    "pyramid_levels": lambda name, value: _whole(name, value, 1, MOST_LEVELS),
    "betas": _betas,
    "epsilon": lambda name, value: _number(name, value, 0, 1, above=True),
    "momentum": lambda name, value: _number(name, value, 0, 0.9999),
    "history": _history,
    "white": lambda name, value: _number(name, value, 1, 65535),
    "clamp": _truth,
    "opponent_colors": _truth,
    "carry": _truth,
    "average": lambda name, value: _number(name, value, 0, 0.9999),
    "keep_best": _truth,
    "tile": _tile,
    "tolerance": lambda name, value: _number(name, value, 0, 1),
}
"""Cleaners by field of `jaxstyle.settings.Settings`; fields with choices have none."""
