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

from jaxstyle import images
from jaxstyle.batch.cells import Cell, alone, layers_of, static_key
from jaxstyle.batch.jobs import Job
from jaxstyle.errors import PictureSizeError, SettingError
from jaxstyle.execution.estimate import blank
from jaxstyle.execution.formulation import Layers
from jaxstyle.execution.plan import Image, plan
from jaxstyle.execution.pyramid import Scale
from jaxstyle.images import Picture
from jaxstyle.settings import INITS, Settings

Sides = tuple[int, int]
"""Height and width of a picture."""

Styles = tuple[Sides, ...]
"""Those of several."""

ScaleSchedule = tuple[Scale, ...]
"""The scales of a picture, coarse to fine."""

Shape = tuple[tuple[int, int, int], ...]
"""Height, width and steps of each scale: what a program is compiled and run for."""

MOST_SHAPES = 4
"""So many shapes, of pictures with the same settings, are each worth programs of their own."""

PARTS = 8
"""Beyond that, sides are rounded up to multiples of about this part of the longest one."""

GRANULARITY = 16
"""The parts are multiples of this: the network halves sides four times."""


@dataclass(frozen=True)
class Work:
    """Jobs that run together. sides: of each one's result. bucket: what all of them are continued
    to, or None where they have one shape already. ways: the scales of each; all have the same sides
    and steps. slots: pictures in the program, at least as many. layers: that it measures, those of
    all batches of its kind.
    """

    jobs: tuple[Job, ...]
    sides: tuple[Sides, ...]
    bucket: Sides | None
    ways: tuple[ScaleSchedule, ...]
    slots: int
    layers: Layers

    @property
    def shape(self) -> Shape:
        """What all of its pictures have in common."""
        return shape_of(self.ways[0])


class Sized(NamedTuple):
    """A job, and the scales that it would go through by itself."""

    job: Job
    way: ScaleSchedule

    @property
    def result(self) -> Sides:
        """The sides of its result."""
        return result_of(self.way)


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
    def scales(which: int, content: Sides, styles: Styles) -> ScaleSchedule:
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
        together: dict[Shape, list[Sized]] = {}
        for each in members:
            way = in_bucket(each.way, each.job.settings) if bucketed else each.way
            together.setdefault(shape_of(way), []).append(each)
        for shape, same in together.items():
            mine = [each for each in same if own is None or each.job.output in own]
            if mine:
                most = batch_size(largest(same), shape[-1][:2], len(mine))
                layers = layers_of(each.job.settings for each in same)
                parts = [mine[i : i + most] for i in range(0, len(mine), most)]
                found += [work_of(part, bucketed, most, layers) for part in parts]
    return found, [each for each in refused if own is None or each.job.output in own]


def work_of(part: Sequence[Sized], bucketed: bool, slots: int, layers: Layers) -> Work:
    """One batch."""
    jobs, sides = tuple(each.job for each in part), tuple(each.result for each in part)
    if not bucketed:
        return Work(jobs, sides, None, tuple(each.way for each in part), slots, layers)
    ways = tuple(in_bucket(each.way, each.job.settings) for each in part)
    return Work(jobs, sides, result_of(ways[0]), ways, slots, layers)


def shape_of(way: ScaleSchedule) -> Shape:
    """The same for pictures that can go together: sizes, which styles are fitted to, are not of
    it, and where each picture has its own, few would be alike."""
    return tuple((scale.height, scale.width, scale.steps) for scale in way)


def result_of(way: ScaleSchedule) -> Sides:
    """Of the result."""
    return way[-1].height, way[-1].width


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
    free &= not (settings.guided or settings.smooth_radius or settings.refine)
    return free and settings.padding != "circular" and not alone(settings)


def in_bucket(way: ScaleSchedule, settings: Settings) -> ScaleSchedule:
    """The scales of a picture that is continued to its bucket: as many, with the same steps and the
    same sizes of the style pictures, and every one continued by as much. Their sides are those of
    the bucket divided by powers of the factor, whatever the picture's own size is."""
    whole = bucket_of(result_of(way))
    factors = [settings.scale_factor**finer for finer in range(len(way) - 1, -1, -1)]
    sides = [[max(1, round(side / factor)) for side in whole] for factor in factors]
    return tuple(
        scale._replace(height=height, width=width)
        for scale, (height, width) in zip(way, sides, strict=True)
    )


def cell_of(work: Work, index: int, content: Picture, styles: Sequence[Image]) -> Cell:
    """What is run for one of the jobs, its content picture continued to the bucket's sides."""
    job = work.jobs[index]
    if work.bucket is None:
        return _prepared(Cell(content, styles, job.settings, work.ways[index]))
    rgb, alpha = _continued(content.rgb, work, index), content.alpha
    alpha = None if alpha is None else _continued(alpha, work, index)
    return Cell(Picture(rgb, alpha), styles, job.settings, work.ways[index])


def _prepared(cell: Cell) -> Cell:
    """The same cell, its content at the sides it will be wanted at: a photo has many times their
    pixels. Where colors are matched, the whole is kept: should it be run again by itself, the
    statistics are those of the whole photo."""
    settings, (*_, last) = cell.settings, cell.way
    if alone(settings):
        return cell
    colors = cell.recolored()
    sized = {
        (s.height, s.width): images.resize(colors[0], s.height, s.width, settings.resampling)
        for s in cell.way
    }
    if settings.color_match != "none":
        return replace(cell, colors=colors, sized=sized)
    alpha = cell.content.alpha
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
