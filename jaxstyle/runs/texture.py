"""Texture synthesis: a picture of any size whose Gram matrices are those of the style pictures.

Gatys, Ecker, Bethge, "Texture Synthesis Using Convolutional Neural Networks", NIPS 2015: the style
loss alone, minimized from noise. With circular padding in the network, the picture has no border,
and tiles the plane without seams.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxstyle.errors import SettingError
from jaxstyle.execution import plan
from jaxstyle.execution.compilation import usual_rules
from jaxstyle.execution.plan import PERIOD, Image
from jaxstyle.images import Picture, sizes
from jaxstyle.losses import JOINT
from jaxstyle.network import weights
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.preprocessing import KEEPING, picture_notes
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.stylize import Source, in_words, read_styles, run, telling, warn
from jaxstyle.settings import Settings, resolve
from jaxstyle.settings.checks import MAX_SIZE
from jaxstyle.settings.effect import Idle, check_effects, is_record


@usual_rules()
def texture(
    style: Source | Sequence[Source],
    *,
    shape: tuple[int, int] | None = None,
    periodic: bool = False,
    weights_file: str | os.PathLike | weights.Loaded | None = None,
    callback: Callable[[Progress], None] | None = None,
    preset: str = "texture",
    **settings: Any,
) -> Result:
    """Synthesize a texture from one or several example pictures.

    Style pictures are never enlarged: a larger texture repeats the pattern at the same size, unless
    ``style_scale`` changes it.

    Args:
      style: paths, PIL images or arrays (see ``jaxstyle.images.read``).
      shape: height and width of the texture in pixels. If None, those of the first style picture,
        resized to the ``size`` of the settings.
      periodic: make the texture tile without seams; its sides must be multiples of 16.
      weights_file: as in ``jaxstyle.stylize``.
      callback: as in ``jaxstyle.stylize``.
      preset: preset from which the settings start.
      **settings: as in ``jaxstyle.stylize``.

    Raises:
      SettingError, ImageError, WeightsError, PictureSizeError, DivergedError: the input is not
        usable, or the optimization diverged.
    """
    chosen = resolve(preset, **settings)
    notes = picture_notes(chosen)
    styles = read_styles(style, notes.extend)
    canvas, used = on_canvas(styles, shape, periodic, chosen)
    warn([*notes, *in_words(check_given(settings, shape, len(styles), chosen, used))])
    loaded = weights.loaded(weights_file)
    return run(loaded, Inputs(canvas, styles, used), Hooks(telling(callback)))


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
        settings,
        size=size,
        size_rule="longest",
        content_weight=0.0,
        init="noise" if settings.init in KEEPING else settings.init,
        style_scale=tuple(scales),
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
    for name in names.difference(FITTED):
        if getattr(chosen, name) != getattr(used, name):
            raise SettingError(name, "has no effect on such a texture: leave it out")
    return check_effects([replace(used, size_rule=chosen.size_rule)], names, styles)


def _like(style: Image, periodic: bool, settings: Settings) -> tuple[int, int]:
    height, width = style.shape[:2]
    if settings.size_rule == "own":
        return height, width
    sides = sizes.fit(height, width, settings.size, settings.size_rule)
    return plan.whole_periods(sides) if periodic and settings.size % PERIOD == 0 else sides
