"""The canvas of a texture: its size, and settings that ignore a content picture."""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from jaxstyle.errors import SettingError
from jaxstyle.execution import plan
from jaxstyle.execution.plan import PERIOD, Image
from jaxstyle.images import Picture, sizes
from jaxstyle.losses import JOINT
from jaxstyle.runs.preprocessing import KEEPING
from jaxstyle.settings import Settings
from jaxstyle.settings.checks import MAX_SIZE
from jaxstyle.settings.effect import ABOUT_PHOTOS, Idle, check_effects, is_record, needed

ABOUT_CONTENT = (
    *("content_weight", "content_layers", "content_loss", "style_fit", "color_match"),
    *("original_colors", "style_colors", "luminance"),
    *ABOUT_PHOTOS,
)
"""Settings that a texture has no use for."""


def on_canvas(
    styles: Sequence[Image], shape: tuple[int, int] | None, periodic: bool, settings: Settings
) -> tuple[Picture, Settings]:
    """Return a blank content picture of the texture's size, and settings that ignore its content.

    Raises:
      SettingError: the shape is invalid, or cannot tile the plane.
    """
    plan.check_counts(styles, settings)
    for name, loss in settings.joint_losses().items():
        if JOINT[loss].found:
            raise SettingError(name, f"{loss} follows a photo, and a texture has none: use another")
    if shape and not all(isinstance(side, int) and 0 < side <= MAX_SIZE for side in shape):
        raise SettingError("shape", f"must be two sides from 1 to {MAX_SIZE}, not {shape}")
    height, width = shape or _like(styles[0], periodic, settings)
    if periodic and (height % PERIOD or width % PERIOD):
        raise SettingError(
            "periodic", f"needs sides that are multiples of {PERIOD}, not {width}x{height}"
        )
    size = max(height, width)
    factors = settings.style_scale * (len(styles) if len(settings.style_scale) == 1 else 1)
    scales = [f * min(1, max(s.shape[:2]) / size) for f, s in zip(factors, styles, strict=True)]
    return Picture(np.zeros((height, width, 3), np.float32)), replace(
        without_content(settings, periodic),
        size=size,
        size_rule="longest",
        style_scale=tuple(scales),
    )


def without_content(settings: Settings, periodic: bool) -> Settings:
    """Return settings that ignore a content picture."""
    return replace(
        settings,
        content_weight=0.0,
        init="noise" if settings.init in KEEPING else settings.init,
        style_fit="size",
        padding="circular" if periodic else settings.padding,
        color_match="none",
        original_colors=False,
        style_colors=False,
    )


FITTED = ("size", "size_rule", "style_scale")
"""Settings that ``on_canvas`` uses, and sets to others with the same effect."""


def check_given(
    given: Iterable[str],
    shape: tuple[int, int] | None,
    styles: int,
    chosen: Settings,
    used: Settings,
) -> list[Idle]:
    """Check that the settings that were given have an effect on a texture: see ``check_effects``.

    Args:
      given: their names.
      shape: height and width of the texture, if given.
      styles: number of style pictures.
      chosen: all settings.
      used: those that ``on_canvas`` made of them.

    Raises:
      SettingError: one has no effect.
    """
    names = set(given)
    if is_record(names):
        return []
    for name in ("size", "size_rule"):
        if shape and name in names:
            raise SettingError(name, "does not go with a shape: leave one of them out")
    for name in filter(names.__contains__, _unused(chosen, used)):
        raise SettingError(name, "has no effect on such a texture: leave it out")
    return check_effects([replace(used, size_rule=chosen.size_rule)], names, styles)


def needed_on_canvas(
    settings: Settings, shape: tuple[int, int] | None, periodic: bool
) -> dict[str, Any]:
    """Return what to give beside the preset for the same texture: see ``effect.needed``.

    Args:
      settings: the settings chosen, before `on_canvas`.
      shape: height and width of the texture, if given.
      periodic: whether it tiles without seams.
    """
    used = without_content(settings, periodic)
    by_shape = ("size", "size_rule") if shape else ()
    return needed(settings, (*ABOUT_CONTENT, *by_shape, *_unused(settings, used)), used)


def _unused(chosen: Settings, used: Settings) -> list[str]:
    """Return the names of the settings whose value a texture replaces by another."""
    names = [field.name for field in fields(Settings) if field.name not in FITTED]
    return [name for name in names if getattr(chosen, name) != getattr(used, name)]


def _like(style: Image, periodic: bool, settings: Settings) -> tuple[int, int]:
    height, width = style.shape[:2]
    if settings.size_rule == "own":
        return height, width
    sides = sizes.fit(height, width, settings.size, settings.size_rule)
    return plan.whole_periods(sides) if periodic and settings.size % PERIOD == 0 else sides
