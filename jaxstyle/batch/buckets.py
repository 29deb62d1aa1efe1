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
from jaxstyle.batch.cells import Cell, alone, layers_of, static_key
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
    to, or None where they have one shape already. way: the scales. slots: pictures in the program,
    at least as many. layers: that it measures, those of all batches of its kind.
    """

    jobs: tuple[Job, ...]
    sides: tuple[Sides, ...]
    bucket: Sides | None
    way: tuple[Scale, ...]
    slots: int
    layers: Layers


class Sized(NamedTuple):
    """A job, and the scales that it would go through by itself."""

    job: Job
    way: tuple[Scale, ...]

    @property
    def result(self) -> Sides:
        """The sides of its result."""
        return self.way[-1].height, self.way[-1].width


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
    keys = {i: (static_key(each), can_continue(each)) for i, each in known.items()}

    @cache
    def scales(which: int, content: Sides, styles: Styles) -> tuple[Scale, ...]:
        return tuple(plan(blank(*content), [blank(*style) for style in styles], known[which]))

    for job in jobs:
        styles = tuple(sides[style] for style in job.styles)
        try:
            way = scales(id(job.settings), sides[job.content], styles)
        except (PictureSizeError, SettingError) as error:
            refused.append(Refused(job, str(error)))
            continue
        key = *keys[id(job.settings)], len(styles)
        alike.setdefault(key, []).append(Sized(job, way))
    found: list[Work] = []
    for members in alike.values():
        many = len({each.result for each in members}) > MOST_SHAPES
        bucketed = many and can_continue(members[0].job.settings)
        together: dict[tuple[Scale, ...], list[Sized]] = {}
        for each in members:
            way = in_bucket(each.way) if bucketed else each.way
            together.setdefault(way, []).append(each)
        for way, same in together.items():
            mine = [each for each in same if own is None or each.job.output in own]
            if mine:
                whole = way[-1].height, way[-1].width
                most = batch_size(largest(same), whole, len(mine))
                layers = layers_of(each.job.settings for each in same)
                parts = [mine[i : i + most] for i in range(0, len(mine), most)]
                found += [work_of(part, bucketed, way, most, layers) for part in parts]
    return found, [each for each in refused if own is None or each.job.output in own]


def work_of(
    part: Sequence[Sized], bucketed: bool, way: tuple[Scale, ...], slots: int, layers: Layers
) -> Work:
    """One batch."""
    bucket = (way[-1].height, way[-1].width) if bucketed else None
    jobs, sides = tuple(each.job for each in part), tuple(each.result for each in part)
    return Work(jobs, sides, bucket, way, slots, layers)


def largest(members: Sequence[Sized]) -> Job:
    """A job that takes no less memory than the others: with most layers."""
    return max((each.job for each in members), key=lambda job: len(job.settings.layers()))


def bucket_of(sides: Sides) -> Sides:
    """The sides that a result is continued to.

    >>> bucket_of((341, 512)), bucket_of((384, 512)), bucket_of((500, 333))
    ((384, 512), (384, 512), (512, 384))
    """
    part = -(-max(sides) // (PARTS * GRANULARITY)) * GRANULARITY
    height, width = (-(-side // part) * part for side in sides)
    return height, width


def can_continue(settings: Settings) -> bool:
    """Whether a picture can be continued beyond its borders: not where it has none, nor where
    another picture, the start or the style, is to have just its shape, nor where it is alone."""
    free = settings.init in INITS and settings.style_fit in ("size", "no-enlarging")
    return free and settings.padding != "circular" and not alone(settings)


def in_bucket(way: Sequence[Scale]) -> tuple[Scale, ...]:
    """The scales of a picture that is continued to its bucket: as many, with the same steps and the
    same sizes of the style pictures, and every one continued by as much."""
    last = way[-1]
    height, width = bucket_of((last.height, last.width))
    return tuple(
        scale._replace(
            height=max(1, round(height * scale.size / last.size)),
            width=max(1, round(width * scale.size / last.size)),
        )
        for scale in way
    )


def cell_of(work: Work, index: int, content: Picture, styles: Sequence[Image]) -> Cell:
    """What is run for one of the jobs, its content picture continued to the bucket's sides."""
    job = work.jobs[index]
    if work.bucket is None:
        return _small(Cell(content, styles, job.settings, work.way))
    rgb, alpha = _continued(content.rgb, work, index), content.alpha
    alpha = None if alpha is None else _continued(alpha, work, index)
    return Cell(Picture(rgb, alpha), styles, job.settings, work.way)


def _small(cell: Cell) -> Cell:
    """The same cell, its content at the sides it will be wanted at: a photo has many times their
    pixels. Not where colors are matched, whose statistics are those of the whole photo."""
    settings, (*_, last) = cell.settings, cell.way
    if settings.color_match != "none" or alone(settings):
        return cell
    rgb, alpha = cell.content.rgb, cell.content.alpha
    sized = {
        (s.height, s.width): images.resize(rgb, s.height, s.width, settings.resampling)
        for s in cell.way
    }
    if alpha is not None:
        alpha = images.resize(alpha, last.height, last.width, settings.resampling)
    return replace(cell, content=Picture(sized[last.height, last.width], alpha), sized=sized)


def _continued(plane: np.ndarray, work: Work, index: int) -> np.ndarray:
    assert work.bucket is not None
    (height, width), resampling = work.sides[index], work.jobs[index].settings.resampling
    resized = images.resize(plane, height, width, resampling)
    more = [(0, whole - side) for whole, side in zip(work.bucket, (height, width), strict=True)]
    return np.pad(resized, [*more, (0, 0)][: plane.ndim], mode="symmetric")


def cut(plane: np.ndarray, sides: Sides) -> np.ndarray:
    """What a job asked for of what was run for it."""
    return plane[: sides[0], : sides[1]]
