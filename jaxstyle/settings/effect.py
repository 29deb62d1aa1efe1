"""Which settings have an effect, given the others: one that was given and has none is a mistake.

A preset, a recipe or a default may well hold what is not used: only what the user gave counts.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from jaxstyle.errors import SettingError
from jaxstyle.images.sizes import ladder_of
from jaxstyle.losses import JOINT
from jaxstyle.network.vgg import smallest_side
from jaxstyle.optim.optimizers import IN_COORDINATES, SCHEDULED
from jaxstyle.optim.solve import PATIENCE
from jaxstyle.presets.preset import ONE_SCALE
from jaxstyle.settings._settings import Settings, resolve

ABOUT_PHOTOS = (
    *("content_mask", "style_mask", "auto_masks", "guidance"),
    *("photorealism_weight", "smooth_radius", "smooth_edge", "refine"),
)
"""Settings about masks and photorealism, which need a content picture and a style picture."""


class Idle(NamedTuple):
    """A setting that was given and has no effect, or not the whole of it.

    Attributes:
      name: the setting.
      problem: what is the matter with it.
    """

    name: str
    problem: str


class Rule(NamedTuple):
    """A condition of the effect of settings.

    Attributes:
      names: the settings.
      holds: function of all settings and the number of style pictures: whether these have an
        effect.
      problem: what to say where it does not hold.
    """

    names: tuple[str, ...]
    holds: Callable[[Settings, int], bool]
    problem: str


def check_effects(runs: Sequence[Settings], given: Iterable[str], styles: int) -> list[Idle]:
    """Check that the settings that were given have an effect.

    Args:
      runs: the settings of all runs; what has an effect in one of them is used.
      given: names of the settings that the user gave; in a record nothing counts as given.
      styles: number of style pictures.

    Returns:
      The settings that have no effect, but do no harm, to be remarked on.

    Raises:
      SettingError: one contradicts the others.
    """
    names = set(given)
    if is_record(names):
        return []
    for idle in _idle(CONTRADICTIONS, runs, names, styles):
        raise SettingError(idle.name, f"{idle.problem}: leave it out")
    return list(_idle(SUPERFLUOUS, runs, names, styles))


def needed(
    settings: Settings, idle: Collection[str] = (), used: Settings | None = None
) -> dict[str, Any]:
    """Return what to give beside the preset so that ``resolve`` returns these settings.

    Left out is what has no effect on a picture, as `check_effects` would refuse it.

    Args:
      settings: the settings.
      idle: names of further settings to leave out.
      used: the settings that a run makes of them, if others.
    """
    different = _different(settings, resolve(settings.preset), idle)
    # Beside these two, some settings of a preset do not apply.
    given = {name: different[name] for name in ("size", "optimizer") if name in different}
    while missing := _different(settings, resolve(settings.preset, **given), idle):
        given |= missing
    refused = {each.name for each in _idle(CONTRADICTIONS, [used or settings], set(given), 1)}
    return needed(settings, {*idle, *refused}, used) if refused else given


def _different(settings: Settings, others: Settings, idle: Collection[str]) -> dict[str, Any]:
    """Return the settings that are different; the order of layers counts, as that of sums."""
    values = {field.name: getattr(settings, field.name) for field in fields(Settings)}
    return {
        name: value
        for name, value in values.items()
        if name not in idle and repr(value) != repr(getattr(others, name))
    }


def is_record(given: Iterable[str]) -> bool:
    """Return whether these are the names of all settings, as ``Settings.to_dict`` returns them."""
    return {field.name for field in fields(Settings)} <= set(given)


def _idle(
    rules: Iterable[Rule], runs: Sequence[Settings], given: set[str], styles: int
) -> Iterable[Idle]:
    for rule in rules:
        for name in filter(given.__contains__, rule.names):
            switched_off = all(getattr(settings, name) is False for settings in runs)
            if not switched_off and not any(rule.holds(settings, styles) for settings in runs):
                yield Idle(name, rule.problem)


def _noisy(settings: Settings) -> bool:
    return settings.init == "noise" or settings.init_noise > 0


def _scales(settings: Settings) -> float:
    """Return the number of scales; infinite if it depends on the picture."""
    if settings.size_rule == "own":
        return float("inf")
    sizes = ladder_of(settings.size, settings.smallest_size, settings.scale_factor)
    return len(sizes) + settings.passes - 1


def _named(settings: Settings) -> bool:
    return isinstance(settings.optimizer, str)


CONTRADICTIONS = (
    Rule(
        ("betas", "epsilon"),
        lambda settings, _: settings.optimizer == "adam",
        "has no effect without --optimizer adam",
    ),
    Rule(
        ("momentum",),
        lambda settings, _: settings.optimizer == "sgd",
        "has no effect without --optimizer sgd",
    ),
    Rule(
        ("history",),
        lambda settings, _: settings.optimizer in ("lbfgs", "lbfgs-zoom"),
        "has no effect without --optimizer lbfgs or lbfgs-zoom",
    ),
    Rule(
        ("learning_rate", "learning_rate_decay"),
        lambda settings, _: _named(settings),
        "is for optimizers with a name: set it in your own",
    ),
    Rule(
        ("carry",),
        lambda settings, _: settings.optimizer == "adam" or not _named(settings),
        "has no effect without --optimizer adam",
    ),
    Rule(
        ("schedule",),
        lambda settings, _: settings.optimizer in SCHEDULED,
        "has no effect without --optimizer adam or sgd",
    ),
    Rule(
        ("pyramid_levels", "opponent_colors"),
        lambda settings, _: settings.optimizer in IN_COORDINATES,
        "has no effect without --optimizer adam",
    ),
    Rule(
        ("pyramid_levels",),
        lambda settings, _: settings.padding != "circular",
        "has no effect with --padding circular, as its levels do not wrap around",
    ),
    Rule(
        ("average",),
        lambda settings, _: not (settings.keep_best and settings.average),
        "has no effect with --keep-best, which takes one iterate",
    ),
    Rule(
        ("size",),
        lambda settings, _: settings.size_rule != "own",
        "has no effect with --size-rule own",
    ),
    Rule(
        ("style_scale",),
        lambda settings, _: settings.style_fit != "stretch",
        "has no effect with --style-fit stretch",
    ),
    Rule(
        ("guidance",),
        lambda settings, _: settings.guided,
        "has no effect without masks (--content-mask or --auto-masks)",
    ),
    Rule(
        ("smooth_edge",),
        lambda settings, _: bool(
            settings.smooth_radius
            or (settings.photorealistic and settings.init in ("content", "colors"))
        ),
        "has no effect without --smooth-radius or --photorealism-weight",
    ),
    Rule(
        ("luminance",),
        lambda settings, _: settings.original_colors or settings.color_match == "luminance",
        "has no effect without --original-colors or --color-match luminance",
    ),
    Rule(
        ("pooling_scale",),
        lambda settings, _: settings.pooling != "max",
        "has no effect without --pooling average or l2",
    ),
    Rule(
        ("init_noise",),
        lambda settings, _: settings.init != "noise" or not settings.init_noise,
        "has no effect with --init noise, which is all noise",
    ),
    Rule(
        ("noise",),
        lambda settings, _: _noisy(settings),
        "has no effect without --init noise or --init-noise",
    ),
    Rule(
        ("noise_level",),
        lambda settings, _: _noisy(settings) and settings.noise == "gaussian",
        "has no effect without --noise gaussian, and --init noise or --init-noise",
    ),
)
"""Settings that belong to a choice that was not made."""

SUPERFLUOUS = (
    Rule(
        ("steps",),
        lambda settings, _: len(settings.steps) <= _scales(settings),
        "has more numbers than there are scales: the last have no effect",
    ),
    Rule(
        ("content_factors",),
        lambda settings, _: len(settings.content_factors) <= _scales(settings),
        "has more numbers than there are scales: the last have no effect",
    ),
    Rule(
        ("smallest_size",),
        lambda settings, _: (
            settings.smallest_size in (settings.size, ONE_SCALE)
            or settings.smallest_size < settings.size
            or settings.size_rule == "own"
        ),
        "is above --size: there is one scale, of that size",
    ),
    Rule(
        ("scale_factor", "carry"),
        lambda settings, _: _scales(settings) > 1,
        "has no effect with one scale",
    ),
    Rule(
        ("content_layers", "content_loss", "content_factors"),
        lambda settings, _: settings.content_weight > 0,
        "has no effect with --content-weight 0",
    ),
    Rule(
        (
            *("style_layers", "style_loss", "last_style_loss", "style_scale", "style_fit"),
            *("fine_style", "sum_styles"),
        ),
        lambda settings, _: settings.style_weight > 0,
        "has no effect with --style-weight 0",
    ),
    Rule(
        ("strength", "style_blend", "content_mask", "style_mask", "auto_masks", "guidance"),
        lambda settings, _: settings.style_weight > 0 or settings.init == "colors",
        "has no effect with --style-weight 0",
    ),
    Rule(
        ("tv_loss",),
        lambda settings, _: settings.tv_weight > 0,
        "has no effect with --tv-weight 0",
    ),
    Rule(
        ("style_blend", "sum_styles"),
        lambda settings, styles: styles != 1 or len(settings.style_blend) > 1,  # refused later
        "has no effect with one style picture",
    ),
    Rule(
        ("seed",),
        lambda settings, _: (
            _noisy(settings) or any(JOINT[n].random for n in settings.joint_losses().values())
        ),
        "has no effect, as nothing is random without --init noise or --init-noise",
    ),
    Rule(
        ("pooling", "rounding", "pooling_scale"),
        lambda settings, _: smallest_side(settings.layers()) > 1,
        "has no effect on layers before the first pooling",
    ),
    Rule(
        ("original_colors",),
        lambda settings, _: settings.color_match != "luminance",
        "has no effect with --color-match luminance, which keeps the colors too",
    ),
    Rule(
        ("style_colors",),
        lambda settings, _: not settings.original_colors and settings.color_match != "luminance",
        "has no effect with --original-colors or --color-match luminance",
    ),
    Rule(
        ("sum_styles",),
        lambda settings, styles: styles == 1 or settings.style_loss not in JOINT,
        "has no effect with this style loss, which has a target for each style",
    ),
    Rule(
        ("tolerance",),
        lambda settings, _: not settings.tolerance or max(settings.steps) > PATIENCE,
        f"has no effect with {PATIENCE} steps or fewer",
    ),
)
"""Settings that could be left out: of a loss or a start without weight, or for other numbers."""

ALWAYS = (
    *("preset", "size_rule", "resampling", "content_weight", "style_weight", "tv_weight"),
    *("normalize_gradients", "photorealism_weight", "smooth_radius", "refine", "color_match"),
    *("padding", "network_white", "network_mean", "init", "optimizer", "white", "clamp"),
    *("keep_best", "precision", "tile", "shard"),
)
"""Settings that have an effect whatever the others are."""
