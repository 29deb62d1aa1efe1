"""Grouping of jobs of many sizes into batches of one shape, so that few programs are compiled.

If a folder has more than a few shapes, pictures are padded at the right and bottom, by mirroring,
to the next of a few bucket shapes, and the results are cropped again. Inside the padded picture the
original edge is no border, so the crop shows no border artifacts there.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from jaxstyle import images
from jaxstyle.batch.cells import alone, static_key
from jaxstyle.batch.jobs import Job
from jaxstyle.errors import ImageError, PictureSizeError, SettingError
from jaxstyle.execution.inputs import Layers, layers_of
from jaxstyle.execution.plan import Image, Scale, blank, plan
from jaxstyle.images import Picture
from jaxstyle.runs.inputs import Inputs
from jaxstyle.settings import INITS, Settings

Sides = tuple[int, int]
"""Height and width of a picture, in pixels."""

Styles = tuple[Sides, ...]
"""Sides of several style pictures."""

ScaleSchedule = tuple[Scale, ...]
"""The scales of a picture, coarse to fine."""

Shape = tuple[tuple[int, int, int], ...]
"""Height, width and number of steps of each scale. Jobs of one shape can share a batch."""

MOST_SHAPES = 4
"""Up to this many shapes among pictures of the same settings, each shape gets its own programs."""

PARTS = 8
"""With more shapes, sides are rounded up to multiples of about 1 / ``PARTS`` of the longest one."""

GRANULARITY = 16
"""Bucket sides are multiples of this many pixels, since the network halves sides four times."""


@dataclass(frozen=True)
class Batch:
    """Jobs that run together in one batch.

    Attributes:
      jobs: the jobs.
      sides: sides of each job's result.
      bucket: sides that all pictures are padded to; None if they have one shape already.
      schedules: scales of each job, coarse to fine; all have the same sides and steps.
      slots: batch size of the program, at least the number of jobs.
      layers: layers that the program measures, the same for all batches of this shape.
    """

    jobs: tuple[Job, ...]
    sides: tuple[Sides, ...]
    bucket: Sides | None
    schedules: tuple[ScaleSchedule, ...]
    slots: int
    layers: Layers

    @property
    def shape(self) -> Shape:
        """The shape that all of its pictures share."""
        return shape_of(self.schedules[0])

    def only(self, which: Sequence[int]) -> "Batch":
        """Return a batch of some of its jobs, by index, that the same programs make."""
        jobs, sides, schedules = (
            tuple(each[index] for index in which)
            for each in (self.jobs, self.sides, self.schedules)
        )
        return replace(self, jobs=jobs, sides=sides, schedules=schedules)


class Sized(NamedTuple):
    """A job and the scales that it would go through if it ran alone."""

    job: Job
    schedule: ScaleSchedule

    @property
    def result(self) -> Sides:
        """Sides of its result."""
        return result_of(self.schedule)


@dataclass(frozen=True)
class Refused:
    """A job that cannot be run, and the reason."""

    job: Job
    reason: str


def group_into_batches(
    jobs: Sequence[Job],
    sides: Mapping[str, Sides],
    batch_size: Callable[[Job, Sides, int], int],
) -> tuple[list[Batch], list[Refused]]:
    """Group jobs into batches.

    The grouping depends on the list of jobs alone, not on which of them are already done. A job
    that is run again is therefore batched with the same jobs and gives the same result.

    Args:
      jobs: all jobs.
      sides: sides of the pictures that the jobs read, by path.
      batch_size: function of a job, the sides of its result and the number of such jobs; returns
        how many of them to run at once.

    Returns:
      The batches, and the jobs that cannot be run.
    """
    refused: list[Refused] = []
    alike: dict[Hashable, list[Sized]] = {}
    distinct = {id(job.settings): job.settings for job in jobs}  # most jobs share one object
    keys = {i: (static_key(each), can_continue(each)) for i, each in distinct.items()}

    @cache
    def scales(which: int, content: Sides, styles: Styles) -> ScaleSchedule:
        return tuple(plan(blank(*content), [blank(*style) for style in styles], distinct[which]))

    for job in jobs:
        styles = tuple(sides[style] for style in job.styles)
        try:
            schedule = scales(id(job.settings), sides[job.content], styles)
        except (PictureSizeError, SettingError) as error:
            refused.append(Refused(job, str(error)))
            continue
        key = *keys[id(job.settings)], len(styles)
        alike.setdefault(key, []).append(Sized(job, schedule))
    found: list[Batch] = []
    for members in alike.values():
        many = len({each.result for each in members}) > MOST_SHAPES
        bucketed = many and can_continue(members[0].job.settings)
        together: dict[Shape, list[Sized]] = {}
        for each in members:
            schedule = in_bucket(each.schedule, each.job.settings) if bucketed else each.schedule
            together.setdefault(shape_of(schedule), []).append(each)
        for shape, same in together.items():
            most = batch_size(largest(same), shape[-1][:2], len(same))
            layers = layers_of(each.job.settings for each in same)
            parts = [same[i : i + most] for i in range(0, len(same), most)]
            found += [batch_of(part, bucketed, most, layers) for part in parts]
    return found, refused


def batch_of(part: Sequence[Sized], bucketed: bool, slots: int, layers: Layers) -> Batch:
    """Return one batch of these jobs."""
    jobs, sides = tuple(each.job for each in part), tuple(each.result for each in part)
    if not bucketed:
        return Batch(jobs, sides, None, tuple(each.schedule for each in part), slots, layers)
    schedules = tuple(in_bucket(each.schedule, each.job.settings) for each in part)
    return Batch(jobs, sides, result_of(schedules[0]), schedules, slots, layers)


def shape_of(schedule: ScaleSchedule) -> Shape:
    """Return the shape of a schedule: equal for pictures that can share a batch.

    It leaves out each scale's ``size``, to which styles are resized: it may differ within a batch,
    and often does.
    """
    return tuple((scale.height, scale.width, scale.steps) for scale in schedule)


def result_of(schedule: ScaleSchedule) -> Sides:
    """Return the sides of the result."""
    return schedule[-1].height, schedule[-1].width


def largest(members: Sequence[Sized]) -> Job:
    """Return the job that needs the most memory: the one with the most layers."""
    return max((each.job for each in members), key=lambda job: len(job.settings.layers()))


def bucket_of(sides: Sides) -> Sides:
    """Return the sides that a result is padded to.

    >>> bucket_of((341, 512)), bucket_of((384, 512)), bucket_of((500, 333))
    ((384, 512), (384, 512), (512, 384))
    """
    part = -(-max(sides) // (PARTS * GRANULARITY)) * GRANULARITY
    height, width = (-(-side // part) * part for side in sides)
    return height, width


def can_continue(settings: Settings) -> bool:
    """Return whether pictures of these settings may be padded to a bucket.

    Not with circular padding, which has no border; nor if another picture (the initial image or the
    style) must have exactly the content's shape; nor if the picture is run alone anyway.
    """
    possible = settings.init in INITS and settings.style_fit in ("size", "no-enlarging")
    possible &= not (settings.guided or settings.smooth_radius or settings.refine)
    return possible and settings.padding != "circular" and not alone(settings)


def in_bucket(schedule: ScaleSchedule, settings: Settings) -> ScaleSchedule:
    """Return the scales of a picture that is padded to its bucket.

    The number of scales, their steps and the sizes of the style pictures stay the same. The sides
    are those of the bucket divided by powers of ``settings.scale_factor``, whatever the picture's
    own sides are.
    """
    whole = bucket_of(result_of(schedule))
    factors = [settings.scale_factor**finer for finer in range(len(schedule) - 1, -1, -1)]
    sides = [[max(1, round(side / factor)) for side in whole] for factor in factors]
    return tuple(
        scale._replace(height=height, width=width)
        for scale, (height, width) in zip(schedule, sides, strict=True)
    )


def cell_of(batch: Batch, index: int, content: Picture, styles: Sequence[Image]) -> Inputs:
    """Return the cell of one job, its content picture padded to the bucket.

    Args:
      batch: the batch.
      index: index of the job in ``batch.jobs``.
      content: content picture of the job, as read.
      styles: style pictures of the job, as read.

    Raises:
      ImageError: the content picture has not the sides that the batch was planned for.
    """
    job = batch.jobs[index]
    if result_of(tuple(plan(content.rgb, styles, job.settings))) != batch.sides[index]:
        height, width = content.rgb.shape[:2]
        raise ImageError(
            f"{job.content}: is read as {width}x{height} pixels, but was planned with other sides: "
            "run the command again"
        )
    if batch.bucket is None:
        return _prepared(Inputs(content, styles, job.settings, batch.schedules[index]))
    seen = content.resized(_padded(content.pixels, batch, index))
    return Inputs(seen, styles, job.settings, batch.schedules[index])


def _prepared(cell: Inputs) -> Inputs:
    """Resize the cell's content to all scales now, so that the full-size photo can be freed.

    With color matching the photo is kept: if the cell is run again alone, the color statistics must
    be those of the whole photo.
    """
    settings, (*_, last) = cell.settings, cell.schedule
    if alone(settings):
        return cell
    colors = cell.recolored()
    sized = {
        (s.height, s.width): images.resize(colors[0], s.height, s.width, settings.resampling)
        for s in cell.schedule
    }
    if settings.color_match != "none":
        return replace(cell, colors=colors, sized=sized)
    return replace(cell, content=cell.content.resized(sized[last.height, last.width]), sized=sized)


def _padded(plane: np.ndarray, batch: Batch, index: int) -> np.ndarray:
    assert batch.bucket is not None
    (height, width), resampling = batch.sides[index], batch.jobs[index].settings.resampling
    resized = images.resize(plane, height, width, resampling)
    more = [(0, whole - side) for whole, side in zip(batch.bucket, (height, width), strict=True)]
    return np.pad(resized, [*more, (0, 0)][: plane.ndim], mode="symmetric")


def cut(plane: np.ndarray, sides: Sides) -> np.ndarray:
    """Crop the padding off a result."""
    return plane[: sides[0], : sides[1]]
