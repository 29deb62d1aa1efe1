"""Everything a run can be told: the one source of flags, API keywords, reports and presets."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from jaxstyle import presets
from jaxstyle.losses import CONTENT_LOSSES, STYLE_LOSSES
from jaxstyle.optimizers import LEARNING_RATES, OPTIMIZERS
from jaxstyle.vgg import (
    PADDINGS,
    POOLINGS,
    Padding,
    Pooling,
    UnknownLayerError,
    canonical_layer,
)

INITS = ("content", "noise")
PRECISIONS = ("auto", "float32", "bfloat16")
MAX_SIZE = 32768
MAX_STEPS = 1_000_000


class SettingError(ValueError):
    """A setting with a value that cannot be meant. ``name`` is the field's."""

    def __init__(self, name: str, problem: str):
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


def _setting(default: Any, help: str, choices: Iterable[str] = ()) -> Any:
    metadata = {"help": help, "choices": tuple(choices)}
    if isinstance(default, Mapping):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


STYLE_LAYERS = {"relu1_1": 20.0, "relu2_1": 5.0, "relu3_1": 3.0, "relu4_1": 1.0, "relu5_1": 1.0}


@dataclass(frozen=True)
class Settings:
    """What determines the picture. Flags are the same names with dashes.

    ``resolve`` makes one from looser values, and checks them.
    """

    preset: str = _setting("default", "published or house settings to start from")
    size: int = _setting(512, "longest side of the result in pixels")
    steps: tuple[int, ...] = _setting(
        (100, 60, 30), "steps per scale, coarsest first; the last number repeats"
    )
    smallest_size: int = _setting(128, "longest side of the coarsest scale")
    scale_factor: float = _setting(2.0, "ratio of one scale's size to the next coarser one's")
    content_weight: float = _setting(1.0, "weight of the content loss")
    style_weight: float = _setting(5.0, "weight of the style loss")
    tv_weight: float = _setting(25.0, "weight of the total variation loss")
    content_layers: dict[str, float] = _setting(
        {"relu4_2": 1.0}, "content layers, each with its share if not 1: relu4_2,relu5_2=0.5"
    )
    style_layers: dict[str, float] = _setting(
        STYLE_LAYERS, "style layers, each with its share if not 1: relu1_1=2,relu2_1"
    )
    content_loss: str = _setting(
        "content-relative", "content loss, as it is or relative to the photo", CONTENT_LOSSES
    )
    style_loss: str = _setting(
        "gram-relative", "style loss, as it is or relative to the painting", STYLE_LOSSES
    )
    style_scale: float = _setting(1.0, "size of the style pictures relative to the result's")
    style_blend: tuple[float, ...] = _setting(
        (), "share of each style picture, in their order; equal if not given"
    )
    pooling: Pooling = _setting("max", "how the network halves its maps", POOLINGS)
    padding: Padding = _setting(
        "replicate-first", "what the network sees beyond the border", PADDINGS
    )
    init: str = _setting("content", "start from: content, noise, or the path of a picture")
    optimizer: str = _setting("adam", "optimizer", OPTIMIZERS)
    learning_rate: float | None = _setting(None, "step size; the optimizer's own if not given")
    average: float = _setting(0.0, "decay of the average of the iterates; 0 keeps the last one")
    seed: int = _setting(0, "seed of the noise")
    precision: str = _setting("auto", "number format of the network", PRECISIONS)

    @property
    def rate(self) -> float:
        """The learning rate in force."""
        return LEARNING_RATES[self.optimizer] if self.learning_rate is None else self.learning_rate

    def content_weights(self) -> dict[str, float]:
        """Weight by content layer."""
        return {layer: self.content_weight * w for layer, w in self.content_layers.items()}

    def style_weights(self) -> dict[str, float]:
        """Weight by style layer."""
        return {layer: self.style_weight * w for layer, w in self.style_layers.items()}

    def layers(self) -> list[str]:
        """Every layer the losses look at."""
        return [*self.content_layers, *self.style_layers]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``resolve(**settings.to_dict())`` gives the same settings."""
        return asdict(self)


def resolve(preset: str = "default", **given: Any) -> Settings:
    """Settings from a preset, with whatever is given put over it, checked and in one form.

    Lists will do for tuples, one number of steps for all scales, layer names without shares.

    Raises:
      SettingError: an unknown preset or setting (with the nearest name), or a value that cannot be
        meant, named together with its field and what would do.
    """
    known = {setting.name for setting in fields(Settings)}
    for name in given:
        if name not in known:
            raise SettingError(name, f"no such setting{_did_you_mean(name, known)}")
    if preset not in presets.PRESETS:
        raise SettingError(
            "preset", f"no preset {preset!r}{_did_you_mean(preset, presets.PRESETS)}"
        )
    chosen = {**presets.PRESETS[preset], **given, "preset": preset}
    return Settings(**{name: _clean(name, value) for name, value in chosen.items()})


def _clean(name: str, value: Any) -> Any:
    if name in _CLEANERS:
        return _CLEANERS[name](name, value)
    choices = next(f.metadata["choices"] for f in fields(Settings) if f.name == name)
    if choices and value not in choices:
        raise SettingError(name, f"{value!r} is not one of {', '.join(choices)}")
    return value


def _did_you_mean(word: str, words: Iterable[str]) -> str:
    words = sorted(words)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f": did you mean {near[0]}?" if near else f" (there are: {', '.join(words)})"


def _number(
    name: str, value: Any, low: float | int, high: float | int, *, above: bool = False
) -> float:
    try:
        number = float("a truth value" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        raise SettingError(name, f"must be a number, not {value!r}") from None
    inside = low < number <= high if above else low <= number <= high
    if not math.isfinite(number) or not inside:
        bound = "above" if above else "at least"
        raise SettingError(name, f"must be {bound} {low:g} and at most {high:g}, not {value!r}")
    return number


def _whole(name: str, value: Any, low: int, high: int) -> int:
    number = _number(name, value, low, high)
    if number != int(number):
        raise SettingError(name, f"must be a whole number, not {value!r}")
    return int(number)


def _steps(name: str, value: Any) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not numbers:
        raise SettingError(name, "needs at least one number")
    return tuple(_whole(name, number, 0, MAX_STEPS) for number in numbers)


def _blend(name: str, value: Any) -> tuple[float, ...]:
    each = value if isinstance(value, (tuple, list)) else (value,)
    shares = tuple(_number(name, share, 0, 1e6) for share in each)
    if shares and not any(shares):
        raise SettingError(name, "at least one share must be above zero")
    return shares


def _layers(name: str, value: Any) -> dict[str, float]:
    names = [value] if isinstance(value, str) else value
    shares = value if isinstance(value, Mapping) else dict.fromkeys(names, 1.0)
    if not shares:
        raise SettingError(name, "needs at least one layer (a weight of 0 switches a loss off)")
    try:
        found = {canonical_layer(layer): share for layer, share in shares.items()}
    except UnknownLayerError as error:
        raise SettingError(name, str(error)) from None
    return {layer: _number(name, share, 0, 1e6) for layer, share in found.items()}


def _init(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise SettingError(name, "must be content, noise or the path of a picture")
    return value


def _weight(name: str, value: Any) -> float:
    return _number(name, value, 0, 1e9)


def _rate(name: str, value: Any) -> float | None:
    return None if value is None else _number(name, value, 0, 1e6, above=True)


_CLEANERS = {
    "size": lambda name, value: _whole(name, value, 1, MAX_SIZE),
    "steps": _steps,
    "smallest_size": lambda name, value: _whole(name, value, 1, MAX_SIZE),
    "scale_factor": lambda name, value: _number(name, value, 1.1, 100),
    "content_weight": _weight,
    "style_weight": _weight,
    "tv_weight": _weight,
    "content_layers": _layers,
    "style_layers": _layers,
    "style_scale": lambda name, value: _number(name, value, 0.01, 100),
    "style_blend": _blend,
    "init": _init,
    "learning_rate": _rate,
    "average": lambda name, value: _number(name, value, 0, 0.9999),
    "seed": lambda name, value: _whole(name, value, 0, 2**32 - 1),
}
