"""The settings of a run, as a dataclass: the one source of flags, keywords, reports and presets."""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, Literal

import optax

from jaxstyle import presets
from jaxstyle.errors import SettingError, did_you_mean
from jaxstyle.guidance.propagate import GUIDANCES
from jaxstyle.images.color import COLOR_MATCHES, LUMINANCES
from jaxstyle.images.resample import RESAMPLINGS
from jaxstyle.images.sizes import SIZE_RULES, SizeRule
from jaxstyle.losses import CONTENT_CHOICES, JOINT, STYLE_CHOICES, TV_LOSSES
from jaxstyle.network.vgg import PADDINGS, POOLINGS, ROUNDINGS, Padding, Pooling, Rounding
from jaxstyle.optim.optimizers import (
    COSINE_PEAK,
    LEARNING_RATES,
    OPTIMIZERS,
    SCHEDULED,
    searches_line,
)
from jaxstyle.presets.preset import ONE_SCALE
from jaxstyle.settings.checks import CLEANERS, INITS, TILE_CHOICES, shown

__all__ = [
    "CUSTOM",
    "GROUPS",
    "INITS",
    "ONE_SCALE",
    "SettingError",
    "Settings",
    "groups",
    "resolve",
]

CUSTOM = "custom"
"""What files say in place of an Optax transformation that was given as ``optimizer``."""

OF_OPTIMIZERS = ("learning_rate", "learning_rate_decay", "history")
"""Settings of a preset that are for its own optimizer."""

MASKS = ("content_mask", "style_mask")
"""Settings that are several paths."""

PATHS = ("init", "fine_style", *MASKS)
SCHEDULES = ("constant", "cosine")
NOISES = ("uniform", "gaussian")
STYLE_FITS = ("size", "no-enlarging", "width", "stretch")
PRECISIONS = ("auto", "float32", "bfloat16", "float64")
SHARDS = ("none", "space")
COLOR_CHOICES = ("none", *COLOR_MATCHES, "luminance")


def _setting(default: Any, help: str, choices: Iterable[str] = (), *, metavar: str = "") -> Any:
    metadata = {"help": help, "choices": tuple(choices), "metavar": metavar}
    if isinstance(default, Mapping):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


STYLE_LAYERS = {"relu1_1": 20.0, "relu2_1": 5.0, "relu3_1": 3.0, "relu4_1": 1.0, "relu5_1": 1.0}


@dataclass(frozen=True)
class Settings:
    """The settings of a run: whatever determines its result.

    Each field is a keyword of the API and, with dashes, a flag of the commands; its metadata holds
    the flag's help text and choices. Use ``resolve`` to make one: it checks every value.
    """

    # Picture
    preset: str = _setting(
        "default",
        "named settings to start from, which other flags override; 'jaxstyle presets' lists all",
    )
    size: int = _setting(
        512, "size of the result in pixels: its longest side, unless --size-rule says otherwise"
    )
    size_rule: SizeRule | Literal["own"] = _setting(
        "longest",
        "what --size measures; area: the square root of width x height; own: ignore --size and "
        "keep the photo's; --size without --size-rule is the longest side",
        (*SIZE_RULES, "own"),
    )
    steps: tuple[int, ...] = _setting(
        (40, 26), "optimizer steps at each scale, coarsest first; the last number repeats"
    )
    smallest_size: int = _setting(
        256, "smallest size that the coarsest scale may have; equal to --size: one scale only"
    )
    scale_factor: float = _setting(2.0, "ratio of a scale's size to that of the next coarser scale")
    resampling: str = _setting("lanczos", "interpolation used to resize pictures", RESAMPLINGS)

    # Losses
    strength: float = _setting(
        0.5,
        "from the photo (0) to the painting (1): multiplies the style weight by 1/100 to 100; "
        "below 0.5, --init colors keeps some of the photo's colors. Little effect where the style "
        "loss is the only one, as with presets nnst and texture",
    )
    content_weight: float = _setting(1.0, "weight of the content loss")
    content_factors: tuple[float, ...] = _setting(
        (1.0,),
        "factors of the content weight at each scale, coarsest first; the last number repeats",
    )
    style_weight: float = _setting(3.0, "weight of the style loss at --strength 0.5")
    tv_weight: float = _setting(25.0, "weight of the total variation loss")
    content_layers: dict[str, float] = _setting(
        {"relu4_2": 1.0},
        "VGG-19 layers of the content loss, each with its factor if not 1: relu4_2,relu5_2=0.5",
    )
    style_layers: dict[str, float] = _setting(
        STYLE_LAYERS,
        "VGG-19 layers of the style loss, each with its factor if not 1: relu1_1=2,relu2_1",
    )
    content_loss: str = _setting(
        "content-relative",
        "form of the content loss; relative: divided by the mean square of the photo's features",
        CONTENT_CHOICES,
    )
    style_loss: str = _setting(
        "gram-relative",
        "form of the style loss; relative: divided by the mean square of the style's Gram matrix",
        STYLE_CHOICES,
    )
    last_style_loss: str = _setting(
        "none",
        "form of the style loss in one more pass at the final size; none: no such pass",
        ("none", *STYLE_CHOICES),
    )
    tv_loss: str = _setting("total-variation", "form of the total variation loss", TV_LOSSES)
    normalize_gradients: bool = _setting(
        False, "divide each layer's gradient by its L1 norm, so that layers pull by weight alone"
    )

    # Style pictures
    style_scale: tuple[float, ...] = _setting(
        (1.0,), "size of the style pictures relative to the result: one number, or one for each"
    )
    style_fit: str = _setting(
        "size",
        "size: resize style pictures by the same rule as the result; no-enlarging: the same, "
        "but only to shrink them; width: to the result's width; stretch: to its width and "
        "height",
        STYLE_FITS,
    )
    style_blend: tuple[float, ...] = _setting(
        (), "relative weight of each style picture, in their order; equal if omitted"
    )
    sum_styles: bool = _setting(
        False,
        "add one loss for each style picture, instead of comparing with their averaged statistics",
    )
    fine_style: str = _setting(
        "",
        "picture whose fine texture replaces that of the style pictures before the run",
        metavar="FILE",
    )

    # Regions
    content_mask: tuple[str, ...] = _setting(
        (),
        "mask of the photo's regions: one segmentation by color, or one gray mask for each region "
        "(repeat the flag)",
    )
    style_mask: tuple[str, ...] = _setting(
        (),
        "masks of the style pictures, of the same kind; regions are matched by color, or by "
        "order where masks are gray",
    )
    auto_masks: int = _setting(
        0, "instead of masks, find up to this many regions that photo and style share; 0: off"
    )
    guidance: str = _setting(
        "augmented", "how masks are carried through the network: see docs/photo.md", GUIDANCES
    )

    # Photorealism
    photorealism_weight: tuple[float, ...] = _setting(
        (0.0,),
        "weight of the matting-Laplacian energy, which keeps a photo photorealistic; with "
        "several, the final size is run once with each",
    )
    smooth_radius: int = _setting(
        0,
        "rebuild the result from the photo's pixels, recolored by affine maps that are "
        "averaged within this radius in pixels; 0: off",
    )
    smooth_edge: float = _setting(
        0.01, "color difference (white is 1) across which --smooth-radius stops averaging"
    )
    refine: bool = _setting(False, "add the photo's finest detail to the result, against banding")

    # Color
    color_match: str = _setting(
        "none",
        "before the run, give the style pictures the photo's mean color and covariance, by "
        "this kind of linear map; luminance: transfer luminance only and keep the photo's "
        "colors",
        COLOR_CHOICES,
    )
    original_colors: bool = _setting(
        False, "after the run, give the result the photo's colors, keeping its luminance"
    )
    style_colors: bool = _setting(
        False,
        "after the run, give the result the photo's colors, moved to the styles' mean and "
        "covariance, keeping its finest detail",
    )
    luminance: str = _setting(
        "rec601",
        "definition of luminance where colors are kept; rec601: the Y of YUV, YIQ and YCbCr",
        LUMINANCES,
    )

    # Network
    pooling: Pooling = _setting("max", "kind of 2x2 pooling in the network", POOLINGS)
    rounding: Rounding = _setting(
        "floor",
        "odd sides in pooling; floor: drop the last row or column; ceil: pool it; ceil-max: "
        "pool it in max pooling only",
        ROUNDINGS,
    )
    pooling_scale: bool = _setting(
        False, "multiply pooled features by 2 (average) or 0.78 (l2), to keep their magnitude"
    )
    padding: Padding = _setting(
        "replicate-first",
        "padding of the network's convolutions; -first: of the first one, the others pad "
        "with zeros",
        PADDINGS,
    )
    network_white: float = _setting(
        255.0, "value of a white pixel in the network's input: 255, or 256 as in Lua Torch"
    )
    network_mean: tuple[float, ...] = _setting(
        (),
        "mean color that the network subtracts: red, green, blue from 0 to 1; that of the "
        "weights file if omitted",
    )

    # Starting image
    init: str = _setting(
        "colors",
        "starting image: content, noise, colors (the content in the style's colors), or a "
        "picture's path",
        metavar="content|noise|colors|FILE",
    )
    init_noise: float = _setting(0.0, "share of noise in the starting image, from 0 to 1")
    noise: str = _setting(
        "uniform",
        "distribution of the noise; uniform: from black to white; gaussian: around the network's "
        "mean color",
        NOISES,
    )
    noise_level: float = _setting(0.25, "standard deviation of Gaussian noise, where white is 1")
    seed: int = _setting(0, "seed of the noise, and of losses that sample positions")

    # Optimizer
    optimizer: str | optax.GradientTransformation = _setting("adam", "optimizer", OPTIMIZERS)
    learning_rate: float | None = _setting(
        None,
        "learning rate; if omitted 0.02 x white for adam, 0.1 x white^2 for sgd (half as much more "
        "with --schedule cosine), 1 for L-BFGS",
    )
    learning_rate_decay: float = _setting(
        1.0, "factor of the learning rate from one step to the next"
    )
    schedule: str = _setting(
        "cosine",
        "learning rate of adam and sgd; cosine: at each scale it rises over the first quarter of "
        "the steps and falls to a tenth",
        SCHEDULES,
    )
    pyramid_levels: int = _setting(
        4,
        "number of levels of the Laplacian pyramid that is optimized, so that large areas change "
        "in few steps; 1: the pixels themselves",
    )
    opponent_colors: bool = _setting(
        True,
        "step brightness and two color differences, these more slowly, in place of red, green "
        "and blue, so that no colored noise is drawn",
    )
    betas: tuple[float, ...] = _setting((0.5, 0.95), "Adam's decay rates beta1,beta2")
    epsilon: float = _setting(1e-8, "Adam's epsilon")
    momentum: float = _setting(0.9, "Nesterov momentum of sgd")
    history: int | None = _setting(
        None, "number of past steps that L-BFGS keeps; if omitted 100, or 10 for lbfgs-zoom"
    )
    white: float = _setting(
        1.0,
        "value of a white pixel that learning rates, Adam's epsilon and total variation are "
        "meant for: 1, or 255 as in most published programs",
    )
    clamp: bool = _setting(True, "clip pixels to the range from black to white after every step")
    carry: bool = _setting(False, "keep Adam's moments from one scale to the next")
    average: float = _setting(
        0.0, "decay of the moving average of iterates that is the result; 0: the last iterate"
    )
    keep_best: bool = _setting(False, "take the iterate with the lowest loss as the result")
    tolerance: float = _setting(
        0.0, "end a scale when 20 steps lower the loss by less than this share; 0: never"
    )
    precision: str = _setting(
        "auto", "number format of the network; auto: float32 on CPU, bfloat16 elsewhere", PRECISIONS
    )

    # Memory and devices
    tile: str = _setting(
        "auto",
        "compute in tiles of this many pixels a side, to save memory; auto: if the picture "
        "does not fit; off: never",
        metavar="auto|N|off",
    )
    shard: str = _setting(
        "none", "space: split each picture over all devices; none: keep it on one", SHARDS
    )

    @property
    def passes(self) -> int:
        """Return how many times the last scale is run."""
        return len(self.photorealism_weight) + (self.last_style_loss != "none")

    @property
    def follows_schedule(self) -> bool:
        """Return whether the learning rate rises and falls at each scale."""
        return self.schedule == "cosine" and self.optimizer in SCHEDULED

    @property
    def rate(self) -> float:
        """Return the learning rate, or the optimizer's default if none is set."""
        if self.learning_rate is not None:
            return self.learning_rate
        if not isinstance(self.optimizer, str):  # it has its own
            return 1.0
        usual = LEARNING_RATES[self.optimizer](self.white)
        return usual * (COSINE_PEAK if self.follows_schedule else 1)

    @property
    def tile_side(self) -> int:
        """Return the side of tiles in pixels, or 0 if ``tile`` is "auto" or "off"."""
        return 0 if self.tile in TILE_CHOICES else int(self.tile)

    def content_weights(self) -> dict[str, float]:
        """Return the weight of each content layer, without layers of weight 0."""
        return _layer_weights(self.content_weight, self.content_layers)

    def style_weights(self) -> dict[str, float]:
        """Return the weight of each style layer at this strength, without layers of weight 0."""
        return _layer_weights(self.style_weight * 100 ** (2 * self.strength - 1), self.style_layers)

    def layers(self) -> list[str]:
        """Return the layers that the losses use: those of the content, then of the style."""
        return [*self.content_weights(), *self.style_weights()]

    def joint_losses(self) -> dict[str, str]:
        """Return the losses in use that are on all layers at once, by setting."""
        used = {"content_loss": self.content_weights(), "style_loss": self.style_weights()}
        used["last_style_loss"] = used["style_loss"]
        names = {name: getattr(self, name) for name, weights in used.items() if weights}
        return {name: loss for name, loss in names.items() if loss in JOINT}

    @property
    def guided(self) -> bool:
        """Return whether masks, given or found, restrict styles to regions."""
        return bool(self.content_mask or self.style_mask or self.auto_masks)

    @property
    def photorealistic(self) -> bool:
        """Return whether the objective has a matting-Laplacian energy."""
        return any(self.photorealism_weight)

    def paths(self) -> dict[str, str]:
        """Return the paths of pictures in the settings, by setting; masks as "content_mask 1"."""
        found = self.pictures()
        return found | {f"{n} {i}": p for n in MASKS for i, p in enumerate(getattr(self, n), 1)}

    def pictures(self) -> dict[str, str]:
        """Return the paths of pictures in the settings that are no masks, by setting."""
        named = {"init": self.init, "fine_style": self.fine_style}
        return {name: path for name, path in named.items() if path and path not in INITS}

    def map_paths(self, move: Callable[[str], str], names: Container[str] = PATHS) -> "Settings":
        """Return the settings with ``move`` applied to the paths in the settings ``names``."""
        changes: dict[str, Any] = {}
        for name in filter(names.__contains__, PATHS):
            value = getattr(self, name)
            if isinstance(value, tuple):
                changes[name] = tuple(map(move, value))
            elif value and value not in INITS:
                changes[name] = move(value)
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, which `resolve` turns back into the same settings."""
        values = {f.name: _copy(getattr(self, f.name)) for f in fields(self)}
        named = isinstance(self.optimizer, str)
        return values if named else {**values, "optimizer": CUSTOM}


GROUPS = {
    "preset": "Picture",
    "strength": "Losses",
    "style_scale": "Style pictures",
    "content_mask": "Regions",
    "photorealism_weight": "Photorealism",
    "color_match": "Color",
    "pooling": "Network",
    "init": "Starting image",
    "optimizer": "Optimizer",
    "tile": "Memory and devices",
}
"""The title of each group of settings, by the name of its first field."""


def groups() -> dict[str, list[Field]]:
    """Return the fields of the settings in their order, by the title of their group."""
    found: dict[str, list[Field]] = {}
    for each in fields(Settings):
        title = GROUPS.get(each.name) or next(reversed(found))
        found.setdefault(title, []).append(each)
    return found


def _copy(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _layer_weights(weight: float, shares: Mapping[str, float]) -> dict[str, float]:
    return {layer: weight * share for layer, share in shares.items() if weight * share > 0}


def resolve(preset: str = "default", **given: Any) -> Settings:
    """Return checked settings: those of a preset, overridden by those given.

    Args:
      preset: a name in ``PRESETS`` or ``ALIASES``.
      **given: values by field of `Settings`, in loose form: lists for tuples, one number where
        several are allowed, layer names without weight factors.

    Raises:
      SettingError: the preset or a setting is unknown (the message suggests the nearest name), or a
        value cannot be used (the message says which values can).
    """
    known = {setting.name for setting in fields(Settings)}
    for name in given:
        if name not in known:
            raise SettingError(name, f"no such setting{_suggestion(name, known)}")
    preset = presets.ALIASES.get(str(preset), str(preset))
    if preset not in presets.PRESETS:
        raise SettingError(
            "preset", f"{preset!r} is not known{_suggestion(preset, presets.PRESETS)}"
        )
    chosen = {**_still_valid(presets.PRESETS[preset].settings, given), **given, "preset": preset}
    return Settings(**{name: _clean(name, value) for name, value in chosen.items()})


def _still_valid(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a preset's settings without those that no longer apply beside ``given``.

    A size without a size rule is the longest side, whatever the preset measures. The learning rate
    and history of the preset's optimizer do not suit another one.
    """
    left = dict(settings)
    if "size" in given and not left.get("size_rule", "longest").startswith("longest"):
        del left["size_rule"]
    optimizer = left.get("optimizer", Settings.optimizer)
    if str(given.get("optimizer", optimizer)) != optimizer:
        for name in OF_OPTIMIZERS:
            left.pop(name, None)
    return left


def _clean(name: str, value: Any) -> Any:
    if name in CLEANERS:
        return CLEANERS[name](name, value)
    if name == "optimizer":
        return _optimizer(value)
    choices = next(f.metadata["choices"] for f in fields(Settings) if f.name == name)
    if choices and not (isinstance(value, str) and value in choices):
        near = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise SettingError(name, f"{shown(value)} is not one of {', '.join(choices)}{near}")
    return value


def _optimizer(value: Any) -> str | optax.GradientTransformation:
    name = value if isinstance(value, str) else ""
    if name in OPTIMIZERS:
        return value
    if isinstance(value, optax.GradientTransformation):
        searches_line(value)  # raises if it cannot be used
        return value
    names = ", ".join(OPTIMIZERS)
    if name == CUSTOM:
        problem = "stands for an Optax transformation, which no file or flag can hold"
        raise SettingError("optimizer", f"{CUSTOM!r} {problem}: give it again, or one of {names}")
    raise SettingError(
        "optimizer",
        f"{shown(value)} is not one of {names}, nor an Optax transformation"
        f"{did_you_mean(name, OPTIMIZERS)}",
    )


def _suggestion(word: str, words: Iterable[str]) -> str:
    return did_you_mean(word, words) or f" (there are: {', '.join(sorted(words))})"
