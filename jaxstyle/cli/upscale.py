"""``run --upscale``: continues a finished run at the scales larger than its picture."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxstyle import images
from jaxstyle.cli.flags import flag
from jaxstyle.errors import SettingError, UsageError
from jaxstyle.execution.plan import number_of
from jaxstyle.images.sizes import ladder_of
from jaxstyle.runs import recipe
from jaxstyle.runs.recipe import Recipe
from jaxstyle.settings import Settings

SETTLED = ("init", "size_rule")
"""Settings that --upscale fixes: it starts from the picture and measures its longest side."""


def larger_run(picture: Path, given: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a run that continues the one that made ``picture``.

    Its scales are those of a whole run at the new size that are larger than the picture, each with
    the steps it has there.

    Args:
      picture: the finished picture, from which the run starts.
      given: settings that override the recipe's; the size is twice the picture's if not among them.

    Raises:
      UsageError: a given setting has no meaning here.
      SettingError: the size is not larger, or a given setting is invalid.
      ImageError: the picture was not made by ``jaxstyle run``, or cannot be read.
    """
    for name in filter(given.__contains__, SETTLED):
        raise UsageError(f"--upscale starts from {picture} as it is: it takes no {flag(name)}")
    height, width = images.read_sides(picture)
    own = max(height, width)
    size = given.get("size", 2 * own)
    job = recipe.read(picture, {**given, "size": size}, "run")
    if job.full_size:
        raise UsageError(
            f"{picture} has all pixels of its photo (--full-size): no more can be added"
        )
    if size <= own:
        raise SettingError("size", f"{size} is not larger than {picture}, of {width}x{height}")
    smallest, places = _scales(job.settings, own)
    steps, factors = (
        tuple(number_of(numbers, place) for place in places)
        for numbers in (job.settings.steps, job.settings.content_factors)
    )
    changes: dict[str, Any] = {"init": os.fspath(picture), "smallest_size": smallest}
    # No noise is added to the finished picture unless asked for.
    for name, value in (("steps", steps), ("content_factors", factors), ("init_noise", 0.0)):
        if name not in given:
            changes[name] = value
    return replace(job, settings=replace(job.settings, **changes))


def _scales(settings: Settings, own: int) -> tuple[int, range]:
    """Return the smallest scale above the size ``own``, and the places of all scales above it."""
    ladder = ladder_of(settings.size, settings.smallest_size, settings.scale_factor)
    above = [size for size in ladder if size > own]
    return above[0], range(len(ladder) - len(above), len(ladder) + settings.passes - 1)
