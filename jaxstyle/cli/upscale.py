"""run --upscale: a finished run is gone on with, at the scales that are larger than its picture."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxstyle import images
from jaxstyle.cli import recipe
from jaxstyle.cli.flags import flag
from jaxstyle.cli.recipe import Recipe
from jaxstyle.errors import SettingError, UsageError
from jaxstyle.execution import pyramid
from jaxstyle.settings import Settings

SETTLED = ("init", "size_rule")
"""Settings that are not left to the user: the start is the picture, its size the longest side."""


def larger_run(picture: Path, given: Mapping[str, Any]) -> Recipe:
    """The recipe in a picture, from that picture on: twice its size unless ``given`` has another.

    The scales are those of the whole run at the new size that are larger than the picture, each
    with the steps it would have there. ``given`` settings are put over the recipe's.

    Raises:
      UsageError: something is asked for that has no meaning here.
      SettingError: the size is not larger, or one of ``given`` is wrong.
      ImageError: the picture was not made by ``jaxstyle run``, or cannot be read.
    """
    for name in filter(given.__contains__, SETTLED):
        raise UsageError(f"--upscale starts from {picture} as it is: it takes no {flag(name)}")
    height, width = images.read_sides(picture)
    own = max(height, width)
    size = given.get("size", 2 * own)
    job = recipe.read(picture, {**given, "size": size})
    if job.full_size:
        raise UsageError(f"{picture} has all pixels of its photo (--full-size): no more are there")
    if size <= own:
        raise SettingError("size", f"{size} is not larger than {picture}, of {width}x{height}")
    smallest, steps = _scales(job.settings, own)
    changes: dict[str, Any] = {"init": os.fspath(picture), "smallest_size": smallest}
    for name, value in (("steps", steps), ("init_noise", 0.0)):  # noise is for a first start
        if name not in given:
            changes[name] = value
    return replace(job, settings=replace(job.settings, **changes))


def _scales(settings: Settings, own: int) -> tuple[int, tuple[int, ...]]:
    """The smallest of the scales above the size ``own``, and the steps of each of them."""
    ladder = pyramid.sizes(settings.size, settings.smallest_size, settings.scale_factor)
    above = [size for size in ladder if size > own]
    again = len(settings.photorealism_weight) - 1  # how often the last scale is there besides
    places = range(len(ladder) - len(above), len(ladder) + again)
    steps = tuple(settings.steps[min(place, len(settings.steps) - 1)] for place in places)
    return above[0], steps
