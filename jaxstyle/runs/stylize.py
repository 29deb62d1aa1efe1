"""Neural style transfer from start to finish: ``stylize`` for sources, ``run`` for decoded images.

The method itself is in ``jaxstyle.runs.optimize``.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from jaxstyle import images
from jaxstyle.errors import DivergedError, PictureSizeError, SettingError, printable
from jaxstyle.execution.compilation import usual_rules
from jaxstyle.execution.plan import Image
from jaxstyle.machine.host import give_memory_back
from jaxstyle.network import weights
from jaxstyle.runs.fine_texture import with_fine_texture
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import NO_HOOKS, Hooks, optimize
from jaxstyle.runs.preprocessing import picture_notes
from jaxstyle.runs.recipe import recipe_of
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.run_checkpoint import RunCheckpoint
from jaxstyle.settings import resolve
from jaxstyle.settings.effect import Idle, check_effects

__all__ = ["PictureSizeError", "run", "stylize"]

Source = Any
"""A path, a PIL image or an array: anything that ``jaxstyle.images.read`` accepts."""


@usual_rules()
def stylize(
    content: Source,
    style: Source | Sequence[Source],
    *,
    weights_file: str | os.PathLike | weights.Loaded | None = None,
    callback: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> Result:
    """Render a content picture in the style of one or several style pictures.

    Args:
      content: a path, a PIL image or an array (see ``jaxstyle.images.read``).
      style: one such source or a list of them; a folder stands for all pictures in it.
      weights_file: a weights file written by ``convert_weights``, or weights returned by
        ``jaxstyle.network.weights.load``. If None, the default weights, downloaded on first use.
      callback: called with a ``Progress`` each time the solver reports.
      **settings: fields of ``jaxstyle.Settings``. ``optimizer`` may be any Optax transformation,
        such as ``optax.adam(0.02)``; its updates are added to the image unchanged. Its state, with
        the count of its schedules, starts anew at each scale, and after a step that gave NaN. Pass
        the same object to further runs: programs are compiled for it.

    Returns:
      The stylized picture, with the settings, losses and timings of the run.

    Raises:
      JaxstyleError: SettingError, ImageError, WeightsError, PictureSizeError or DivergedError.
    """
    chosen = resolve(**settings)
    notes = picture_notes(chosen)
    photo, styles = images.read(content), read_styles(style, notes.extend)
    idle = check_effects([chosen], settings, len(styles))
    masks = regions_of(None, photo.pixels, styles, chosen) if chosen.content_mask else None
    warn([*photo.notes, *notes, *(masks.notes if masks else ()), *in_words(idle)])
    loaded = weights.loaded(weights_file)
    recipe = recipe_of(content, listed(style), chosen, weights_file, loaded)
    made = run(loaded, Inputs(photo, styles, chosen, regions=masks), Hooks(telling(callback)))
    return replace(made, recipe=recipe)


def telling(
    callback: Callable[[Progress], None] | None,
) -> Callable[[Progress, RunCheckpoint], None]:
    """Return the report hook that calls a function of the progress alone."""
    return lambda progress, saved: callback(progress) if callback else None


def listed(style: Source | Sequence[Source]) -> Sequence[Source]:
    """Return one source or several as a sequence."""
    return style if isinstance(style, list | tuple) else [style]


def in_words(found: Iterable[Idle]) -> list[str]:
    """Return notes about settings that have no effect."""
    return [f"{name}: {problem}" for name, problem in found]


def warn(notes: Sequence[str]) -> None:
    """Warn of notes for the user: Python shows each once."""
    for note in dict.fromkeys(map(printable, notes)):
        warnings.warn(note, stacklevel=4)  # at the caller of a function with `usual_rules`


def read_styles(
    style: Source | Sequence[Source], note: Callable[[Sequence[str]], None]
) -> list[Image]:
    """Read the style pictures: one source or several, folders standing for their pictures.

    Args:
      style: the sources.
      note: called with notes on how each was read.

    Raises:
      SettingError: there is no style picture.
      ImageError: a picture cannot be read.
    """
    each = images.expand_folders(listed(style))
    if not each:
        raise SettingError("style", "give at least one style picture")
    pictures = [images.read(source) for source in each]
    for picture in pictures:
        note(picture.notes)
    return [picture.pixels for picture in pictures]


def run(
    loaded: weights.Loaded,
    inputs: Inputs,
    hooks: Hooks = NO_HOOKS,
    saved: RunCheckpoint | None = None,
) -> Result:
    """Run style transfer on decoded images.

    Args:
      loaded: weights of the network.
      inputs: the picture to make.
      hooks: functions to call on the way.
      saved: checkpoint to resume from: see ``jaxstyle.runs.optimize``.

    Returns:
      The picture, with the settings, losses and timings of the run.

    Raises:
      SettingError, MaskError, ImageError, PictureSizeError: the inputs do not fit together.
      DivergedError: the optimization diverged.
    """
    saved, start = saved or RunCheckpoint(), time.perf_counter()
    settings, content, styles = inputs.settings, inputs.content, inputs.styles
    if settings.fine_style:
        scales = inputs.scales()
        regions = inputs.regions or regions_of(loaded, content.pixels, styles, settings)
        mixtures = with_fine_texture(loaded, styles, scales[-1], settings, hooks, saved)
        inputs = replace(inputs, styles=mixtures, schedule=tuple(scales), regions=regions)
        if saved.preparing or not saved.reached:
            saved = RunCheckpoint(seconds=saved.seconds + time.perf_counter() - start)
        hooks = replace(hooks, report=_keeping(mixtures, hooks))
    (result,) = optimize(loaded, [inputs], hooks, saved)
    give_memory_back()  # that of the network; a notebook may wait for hours
    if isinstance(result, DivergedError):
        raise result
    return result


def _keeping(mixtures: Sequence[Image], hooks: Hooks) -> Callable[[Progress, RunCheckpoint], None]:
    """Return the report hook with the finished style pictures added to its checkpoints."""
    return lambda progress, saved: hooks.report(progress, replace(saved, mixtures=mixtures))
