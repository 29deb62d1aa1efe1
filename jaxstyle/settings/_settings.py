"""Everything a run can be told: the one source of flags, API keywords, reports and presets."""

import difflib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from jaxstyle import presets
from jaxstyle.errors import SettingError
from jaxstyle.guidance.propagate import GUIDANCES
from jaxstyle.images.color import COLOR_MATCHES, LUMINANCES
from jaxstyle.images.resample import RESAMPLINGS
from jaxstyle.images.sizes import SIZE_RULES, SizeRule
from jaxstyle.losses import CONTENT_LOSSES, STYLE_LOSSES, TV_LOSSES
from jaxstyle.network.vgg import PADDINGS, POOLINGS, ROUNDINGS, Padding, Pooling, Rounding
from jaxstyle.optim.optimizers import LEARNING_RATES, OPTIMIZERS
from jaxstyle.presets.preset import ONE_SCALE
from jaxstyle.settings.checks import CLEANERS, TILE_CHOICES, shown

__all__ = ["ONE_SCALE", "SettingError", "Settings", "resolve"]

INITS = ("content", "noise", "colors")
PATHS = ("init", "fine_style", "content_mask", "style_mask")
NOISES = ("uniform", "gaussian")
STYLE_FITS = ("size", "no-enlarging", "width", "stretch")
PRECISIONS = ("auto", "float32", "bfloat16", "float64")
SHARDS = ("none", "space")
COLOR_CHOICES = ("none", *COLOR_MATCHES, "luminance")


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

    # The picture's size, and the way to it
    size: int = _setting(512, "size of the result in pixels: its longest side")
    size_rule: SizeRule | Literal["own"] = _setting(
        "longest", "what size measures; --size alone is the longest side", (*SIZE_RULES, "own")
    )
    steps: tuple[int, ...] = _setting(
        (100, 60, 30), "steps per scale, coarsest first; the last number repeats"
    )
    smallest_size: int = _setting(128, "size of the coarsest scale")
    scale_factor: float = _setting(2.0, "ratio of one scale's size to the next coarser one's")
    resampling: str = _setting("lanczos", "how pictures are resized", RESAMPLINGS)

    # The objective
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
    tv_loss: str = _setting("total-variation", "total variation loss", TV_LOSSES)
    normalize_gradients: bool = _setting(
        False, "every layer's loss pulls with the L1 norm of its weight"
    )

    # The style pictures
    style_scale: tuple[float, ...] = _setting(
        (1.0,), "size of the style pictures relative to the result's, or of each one"
    )
    style_fit: str = _setting(
        "size", "style pictures have the result's size, its width, or are stretched", STYLE_FITS
    )
    style_blend: tuple[float, ...] = _setting(
        (), "share of each style picture, in their order; equal if not given"
    )
    sum_styles: bool = _setting(
        False, "one loss for each style picture, not one for their blended statistics"
    )
    fine_style: str = _setting("", "a picture whose fine texture the style pictures are given")

    # Regions
    content_mask: tuple[str, ...] = _setting(
        (), "masks of the photo's regions: a segmentation in colors, or a gray one for each"
    )
    style_mask: tuple[str, ...] = _setting(
        (), "the same of the style pictures: region k is given the style of their region k"
    )
    auto_masks: int = _setting(0, "find so many regions that both pictures have, without masks")
    guidance: str = _setting(
        "augmented", "how masks go through the network: see docs/photo.md", GUIDANCES
    )

    # Photorealism
    photorealism_weight: tuple[float, ...] = _setting(
        (0.0,), "weight of the matting-Laplacian energy; of several, the final size has a run each"
    )
    smooth_radius: int = _setting(
        0, "make the result of the photo, by affine maps of its colors averaged so far; 0: do not"
    )
    smooth_edge: float = _setting(0.01, "difference of colors across which they are not averaged")
    refine: bool = _setting(False, "give the result the photo's finest detail, against banding")

    # Color
    color_match: str = _setting(
        "none", "give the style pictures the photo's colors, before the run", COLOR_CHOICES
    )
    original_colors: bool = _setting(False, "give the result the photo's colors, after the run")
    luminance: str = _setting(
        "rec601", "what is not color; rec601 is that of YUV, YIQ and YCbCr", LUMINANCES
    )

    # The network
    pooling: Pooling = _setting("max", "how the network halves its maps", POOLINGS)
    rounding: Rounding = _setting("floor", "what halving does to a last odd row", ROUNDINGS)
    pooling_scale: bool = _setting(False, "make up for what average or l2 pooling weakens")
    padding: Padding = _setting(
        "replicate-first", "what the network sees beyond the border", PADDINGS
    )
    network_white: float = _setting(255.0, "white as the network is shown it: 255, or 256 in Torch")
    network_mean: tuple[float, ...] = _setting(
        (), "the color the network takes for zero, three numbers; the weights' own if not given"
    )

    # The start
    init: str = _setting(
        "content", "start from: content, noise, colors (the content in the style's), or a picture"
    )
    init_noise: float = _setting(0.0, "share of noise in the start")
    noise: str = _setting("uniform", "uniform, or Gaussian around the mean color", NOISES)
    noise_level: float = _setting(0.25, "standard deviation of Gaussian noise; white is 1")
    seed: int = _setting(0, "seed of the noise")

    # The optimizer
    optimizer: str = _setting("adam", "optimizer", OPTIMIZERS)
    learning_rate: float | None = _setting(None, "step size; the optimizer's own if not given")
    learning_rate_decay: float = _setting(1.0, "factor of the step size from step to step")
    betas: tuple[float, ...] = _setting((0.9, 0.99), "Adam's two decays")
    epsilon: float = _setting(1e-8, "Adam's epsilon")
    momentum: float = _setting(0.9, "of sgd (Nesterov's)")
    history: int | None = _setting(None, "pairs L-BFGS remembers: 100, or 10 for lbfgs-zoom")
    white: float = _setting(1.0, "white in the units of step size and total variation: 1 or 255")
    clamp: bool = _setting(True, "keep the pixels between black and white at every step")
    carry: bool = _setting(False, "Adam's moments go on to the next scale")
    average: float = _setting(0.0, "decay of the average of the iterates; 0 keeps the last one")
    keep_best: bool = _setting(False, "the picture with the least loss, not the last one")
    tolerance: float = _setting(
        0.0, "end a scale once 20 steps lessen the loss by a smaller share; 0: never"
    )
    precision: str = _setting("auto", "number format of the network", PRECISIONS)

    # How it is computed, where a picture is large
    tile: str = _setting(
        "auto", "side of tiles to work in: auto (if memory asks for it), off, or a number of pixels"
    )
    shard: str = _setting("none", "space: split the picture over all devices", SHARDS)

    @property
    def rate(self) -> float:
        """The learning rate in force."""
        if self.learning_rate is not None:
            return self.learning_rate
        return LEARNING_RATES[self.optimizer](self.white)

    @property
    def tile_side(self) -> int:
        """In pixels; 0 where tiles are not asked for."""
        return 0 if self.tile in TILE_CHOICES else int(self.tile)

    def content_weights(self) -> dict[str, float]:
        """Weight by content layer; none where the content weighs nothing."""
        return _times(self.content_weight, self.content_layers)

    def style_weights(self) -> dict[str, float]:
        """Weight by style layer; none where the style weighs nothing."""
        return _times(self.style_weight, self.style_layers)

    def layers(self) -> list[str]:
        """Every layer the losses look at."""
        return [*self.content_weights(), *self.style_weights()]

    @property
    def guided(self) -> bool:
        """Whether there are regions, each with a style of its own."""
        return bool(self.content_mask or self.style_mask or self.auto_masks)

    @property
    def photorealistic(self) -> bool:
        """Whether the objective holds the image to the photo's colors."""
        return any(self.photorealism_weight)

    def paths(self) -> dict[str, str]:
        """The pictures that the settings name; of masks each by its number."""
        named = {"init": self.init, "fine_style": self.fine_style}
        found = {name: path for name, path in named.items() if path and path not in INITS}
        masks = {"content_mask": self.content_mask, "style_mask": self.style_mask}
        return found | {f"{n} {i}": p for n, paths in masks.items() for i, p in enumerate(paths, 1)}

    def map_paths(self, move: Callable[[str], str], names: Container[str] = PATHS) -> "Settings":
        """The same settings, every path in them changed; or only those in the settings named."""
        changes: dict[str, Any] = {}
        for name in filter(names.__contains__, PATHS):
            value = getattr(self, name)
            if isinstance(value, tuple):
                changes[name] = tuple(map(move, value))
            elif value and value not in INITS:
                changes[name] = move(value)
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``resolve(**settings.to_dict())`` gives the same settings."""
        return asdict(self)


def _times(weight: float, shares: Mapping[str, float]) -> dict[str, float]:
    return {layer: weight * share for layer, share in shares.items() if weight * share > 0}


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
    preset = presets.ALIASES.get(str(preset), str(preset))
    if preset not in presets.PRESETS:
        raise SettingError(
            "preset", f"{preset!r} is not known{_did_you_mean(preset, presets.PRESETS)}"
        )
    chosen = {**_beneath(presets.PRESETS[preset].settings, given), **given, "preset": preset}
    return Settings(**{name: _clean(name, value) for name, value in chosen.items()})


def _beneath(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of a preset's settings once others are given.

    A size by itself is the longest side, whatever the preset measures, and what was meant for one
    optimizer is not for another.
    """
    left = dict(settings)
    if "size" in given and not left.get("size_rule", "longest").startswith("longest"):
        del left["size_rule"]
    optimizer = left.get("optimizer", Settings.optimizer)
    if str(given.get("optimizer", optimizer)) != optimizer:
        for name in ("learning_rate", "learning_rate_decay", "history"):
            left.pop(name, None)
    return left


def _clean(name: str, value: Any) -> Any:
    if name in CLEANERS:
        return CLEANERS[name](name, value)
    choices = next(f.metadata["choices"] for f in fields(Settings) if f.name == name)
    if choices and not (isinstance(value, str) and value in choices):
        raise SettingError(name, f"{shown(value)} is not one of {', '.join(choices)}")
    return value


def _did_you_mean(word: str, words: Iterable[str]) -> str:
    words = sorted(words)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f": did you mean {near[0]}?" if near else f" (there are: {', '.join(words)})"
