"""Jobs of many sizes as batches of one size each: a handful of programs for a folder of photos.

A batch has one shape. Where a folder has more shapes than a few, pictures are continued beyond
their right and lower borders, as in a mirror, up to the next of a few shapes, and cut off again
afterwards: where the mirror stands the picture has no border, so none can be seen.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from jaxstyle import image as images
from jaxstyle.batch.cells import Cell, layers_of, static_key
from jaxstyle.batch.jobs import Job
from jaxstyle.estimate import blank
from jaxstyle.image import Picture
from jaxstyle.plan import Image, PictureSizeError, plan
from jaxstyle.pyramid import Scale
from jaxstyle.settings import INITS, SettingError, Settings
from jaxstyle.stylize import Layers

Sides = tuple[int, int]
"""Height and width of a picture."""

Styles = tuple[Sides, ...]
"""Those of several."""

MOST_SHAPES = 4
"""So many shapes, of pictures with the same settings, are each worth programs of their own."""

PARTS = 8
"""Beyond that, sides are rounded up to multiples of about this part of the longest one."""

GRANULARITY = 16
"""The parts are multiples of this: the network halves sides four times."""


@dataclass(frozen=True)
class Work:
    """Jobs that run together. sides: of each one's result. bucket: what all of them are continued
    to, or None where they have one shape already. slots: pictures in the program, at least as many.
    layers: that it measures, which are those of all batches of its kind.
    """

    jobs: tuple[Job, ...]
    sides: tuple[Sides, ...]
    bucket: Sides | None
    slots: int
    layers: Layers


class Sized(NamedTuple):
    """A job, the sides of its result, and those of its style pictures."""

    job: Job
    result: Sides
    styles: Styles


@dataclass(frozen=True)
class Refused:
    """A job that cannot be done, and why."""

    job: Job
    reason: str


def works(
    jobs: Sequence[Job],
    sides: Mapping[str, Sides],
    batch_size: Callable[[Job, Sides, int], int],
    own: Set[str] | None = None,
) -> tuple[list[Work], list[Refused]]:
    """Every job in one batch, or refused.

    What goes together depends on the list of jobs alone, and not on what of it is done already: so
    a job that is done again has the same companions, and comes out the same.

    Args:
      own: outputs that are for this host to make, if not all are.
      sides: of the pictures that the jobs read, by path.
      batch_size: how many go together, of so many jobs like this one with a result of these sides.
    """
    refused: list[Refused] = []
    alike: dict[Hashable, list[Sized]] = {}
    known = {id(job.settings): job.settings for job in jobs}  # most jobs have the same
    keys = {which: static_key(settings) for which, settings in known.items()}
    continued = {which: in_bucket(settings) for which, settings in known.items()}

    @cache
    def scales(which: int, bucketed: bool, content: Sides, styles: Styles) -> tuple[Scale, ...]:
        settings = (continued if bucketed else known)[which]
        return tuple(plan(blank(*content), [blank(*style) for style in styles], settings))

    for job in jobs:
        which, styles = id(job.settings), tuple(sides[style] for style in job.styles)
        try:
            result = scales(which, False, sides[job.content], styles)[-1]
        except (PictureSizeError, SettingError) as error:
            refused.append(Refused(job, str(error)))
            continue
        sized = Sized(job, (result.height, result.width), styles)
        alike.setdefault((keys[which], len(styles)), []).append(sized)
    found: list[Work] = []
    for members in alike.values():
        many = len({each.result for each in members}) > MOST_SHAPES
        bucketed = many and can_continue(members[0].job.settings)
        together: dict[Hashable, list[Sized]] = {}
        for each in members:
            whole = bucket_of(each.result) if bucketed else each.result
            key = scales(id(each.job.settings), bucketed, whole, each.styles)
            together.setdefault(key, []).append(each)
        layers = layers_of(each.job.settings for each in members)
        for same in together.values():
            mine = [each for each in same if own is None or each.job.output in own]
            if mine:
                whole = bucket_of(same[0].result) if bucketed else same[0].result
                most = batch_size(same[0].job, whole, len(mine))
                found += _in_batches(mine, whole if bucketed else None, most, layers)
    return found, [each for each in refused if own is None or each.job.output in own]


def _in_batches(
    members: Sequence[Sized], bucket: Sides | None, most: int, layers: Layers
) -> list[Work]:
    """In order, ``most`` at a time."""
    parts = [members[start : start + most] for start in range(0, len(members), most)]
    return [
        Work(tuple(m.job for m in part), tuple(m.result for m in part), bucket, most, layers)
        for part in parts
    ]


def bucket_of(sides: Sides) -> Sides:
    """The sides that a result is continued to.

    >>> bucket_of((341, 512)), bucket_of((384, 512)), bucket_of((500, 333))
    ((384, 512), (384, 512), (512, 384))
    """
    part = -(-max(sides) // (PARTS * GRANULARITY)) * GRANULARITY
    height, width = (-(-side // part) * part for side in sides)
    return height, width


def can_continue(settings: Settings) -> bool:
    """Whether a picture can be continued beyond its borders: not where it has none, nor where it
    starts from another one, whose borders are elsewhere."""
    return settings.padding != "circular" and settings.init in INITS


def in_bucket(settings: Settings) -> Settings:
    """The settings for a content picture that has its final sides already."""
    return replace(settings, size_rule="own")


def cell_of(work: Work, index: int, content: Picture, styles: Sequence[Image]) -> Cell:
    """What is run for one of the jobs, its content picture continued to the bucket's sides."""
    job = work.jobs[index]
    if work.bucket is None:
        return Cell(content, styles, job.settings)
    rgb, alpha = _continued(content.rgb, work, index), content.alpha
    alpha = None if alpha is None else _continued(alpha, work, index)
    return Cell(Picture(rgb, alpha), styles, in_bucket(job.settings))


def _continued(plane: np.ndarray, work: Work, index: int) -> np.ndarray:
    assert work.bucket is not None
    (height, width), resampling = work.sides[index], work.jobs[index].settings.resampling
    resized = images.resize(plane, height, width, resampling)
    more = [(0, whole - side) for whole, side in zip(work.bucket, (height, width), strict=True)]
    return np.pad(resized, [*more, (0, 0)][: plane.ndim], mode="symmetric")


def cut(plane: np.ndarray, sides: Sides) -> np.ndarray:
    """What a job asked for of what was run for it."""
    return plane[: sides[0], : sides[1]]
