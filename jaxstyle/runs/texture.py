"""Texture synthesis: a picture of any size whose Gram matrices are those of the style pictures.

Gatys, Ecker, Bethge, "Texture Synthesis Using Convolutional Neural Networks", NIPS 2015: the style
loss alone, minimized from noise. With circular padding in the network, the picture has no border,
and tiles the plane without seams.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from jaxstyle.execution.compilation import usual_rules
from jaxstyle.network import weights
from jaxstyle.runs.canvas import check_given, on_canvas
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.preprocessing import picture_notes
from jaxstyle.runs.recipe import recipe_of
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.stylize import Source, in_words, listed, read_styles, run, telling, warn
from jaxstyle.settings import resolve


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
    recipe = recipe_of(None, listed(style), chosen, weights_file, loaded, shape, periodic)
    made = run(loaded, Inputs(canvas, styles, used), Hooks(telling(callback)))
    return replace(made, recipe=recipe)
