"""The method for a clip: its frames one after the other, each held to those before it.

Ruder, Dosovitskiy, Brox, "Artistic Style Transfer for Videos", GCPR 2016. The first frame of a
scene is a run like that of any picture. A later frame starts from the result before it, warped
along the optical flow, and takes a few steps at the final size on the same losses and the temporal
loss. In several passes, forward and backward in turn, what comes late in a clip reaches its
beginning too.
Start reading at ``stylize``.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxstyle.errors import DivergedError, MaskError, SettingError
from jaxstyle.execution.factories import tuned_network
from jaxstyle.execution.plan import Image, Scale, blank, plan
from jaxstyle.images import Picture
from jaxstyle.network import weights
from jaxstyle.network.vgg import VGG19
from jaxstyle.optim.optimizers import SCHEDULED
from jaxstyle.runs.fine_texture import with_fine_texture
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks, optimize
from jaxstyle.runs.preprocessing import enlarged, first_image, recolored
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.run_checkpoint import RunCheckpoint
from jaxstyle.runs.video.feed import Ended, Feed
from jaxstyle.runs.video.folder import Folder, image_of
from jaxstyle.runs.video.motion import Moved, Neighbor, moved, nothing_earlier
from jaxstyle.settings import Settings
from jaxstyle.settings.clip import ClipSettings

LATER_RATE = 0.6
"""Factor of the learning rate where a frame starts from another result, which is nearly what it
should be. At the full rate Adam's first steps lead away from it, further than its few steps lead
back, and each frame starts from that of the one before: what stands still flickers and grows noisy.
At half of that, too little is painted of what comes into view."""

LOOK = 0.1
"""Seconds between two looks at whether the devices are done."""


@dataclass(frozen=True)
class FrameReport:
    """How a frame was made.

    Attributes:
      number: its number, from 1.
      of_pass: the pass, from 1.
      first: first frame of its scene.
      seconds: time it took.
      steps: optimizer steps taken.
      compilations: number of programs that were compiled.
      total: total loss before the last step.
      terms: weighted losses by name.
    """

    number: int
    of_pass: int
    first: int
    seconds: float
    steps: int
    compilations: int
    total: float
    terms: dict[str, float]


@dataclass(frozen=True)
class ClipHooks:
    """Functions that are called while a clip is made. They may raise to end it.

    Attributes:
      done: called with each frame that is done.
      report: called at each report within a frame, with its number, the pass and the progress.
      pause: called often.
    """

    done: Callable[[FrameReport], None] = lambda report: None
    report: Callable[[int, int, Progress], None] = lambda number, of_pass, progress: None
    pause: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Job:
    """A clip to make.

    Attributes:
      loaded: weights of the network.
      styles: pixels of the style pictures.
      settings: settings of each frame.
      clip: settings of the clip.
      schedule: scales of the first frame of a scene, coarse to fine: see ``schedule_of``.
      folder: where frames are kept.
      description: the metadata of finished frames.
    """

    loaded: weights.Loaded
    styles: Sequence[Image]
    settings: Settings
    clip: ClipSettings
    schedule: Sequence[Scale]
    folder: Folder
    description: str = ""

    @property
    def later(self) -> tuple[Scale, ...]:
        """The scale of a frame that starts from another result."""
        return (self.schedule[-1]._replace(steps=self.clip.later_steps),)

    @cached_property
    def network(self) -> VGG19:
        """The network of all frames."""
        return tuned_network(self.loaded, self.settings)


def schedule_of(
    height: int, width: int, styles: Sequence[Image], settings: Settings
) -> list[Scale]:
    """Return the scales of the first frame; the final sides are even, as most video codecs need.

    Args:
      height, width: sides of the clip.
      styles: style pictures.
      settings: settings of each frame.

    Raises:
      PictureSizeError, SettingError: as of ``jaxstyle.execution.plan.plan``, or a setting does not
        go with clips.
    """
    if settings.auto_masks:
        problem = "finds other regions in each frame: give --content-mask, a picture or a clip"
        raise SettingError("auto_masks", problem)
    if settings.padding == "circular":
        raise SettingError("padding", "circular is for textures, and does not go with clips")
    scales = plan(blank(height, width), styles, settings)
    last = scales[-1]

    def even(scale: Scale) -> Scale:
        if scale[:2] != last[:2]:
            return scale
        sides = (side + side % 2 for side in last[:2])
        return scale._replace(**dict(zip(("height", "width"), sides, strict=True)))

    return [even(scale) for scale in scales]


def stylize(
    job: Job, feed: Feed, hooks: ClipHooks = ClipHooks(), devices: Sequence[Any] = ()
) -> None:
    """Make all frames that are not in the folder yet.

    Args:
      job: the clip to make.
      feed: its frames, already running: see ``jaxstyle.runs.video.feed.fed``.
      hooks: functions to call on the way.
      devices: devices that scenes are spread over; JAX's own choice if empty.

    Raises:
      ImageError, CheckpointError: a frame cannot be read or written.
      DivergedError: a frame could not be made; the message says which.
    """
    job = prepared(job, hooks)
    if len(devices) < 2:
        for first in scenes(feed, hooks.pause):
            make_scene(job, numbers(feed, first, hooks.pause), first, hooks)
    else:
        _over_devices(job, feed, hooks, devices)


def _over_devices(job: Job, feed: Feed, hooks: ClipHooks, devices: Sequence[Any]) -> None:
    """Make the scenes of a clip, each on the device that is free next; end all if one fails."""
    turn, over = threading.Lock(), threading.Event()

    def pause() -> None:
        if over.is_set():
            raise Ended
        hooks.pause()

    waiting, own_hooks = scenes(feed, pause), replace(hooks, pause=pause)

    def work(device: Any) -> None:
        with jax.default_device(device):
            own = replace(job)  # with a network of its own
            while True:
                with turn:
                    first = next(waiting, None)
                if first is None:
                    return
                make_scene(own, numbers(feed, first, pause), first, own_hooks)

    with ThreadPoolExecutor(len(devices)) as pool:
        working = [pool.submit(work, device) for device in devices]
        try:
            while any(not each.done() for each in working):
                wait(working, timeout=LOOK)
                hooks.pause()
                _raise_first(working)
            _raise_first(working)
        finally:
            over.set()
            feed.end()  # so that no thread waits for a frame


def _raise_first(working: Iterable[Future[None]]) -> None:
    """Raise what ended any thread that has ended; not that it was ended by others."""
    for each in working:
        error = each.exception() if each.done() else None
        if error and not isinstance(error, Ended):
            raise error


def prepared(job: Job, hooks: ClipHooks) -> Job:
    """Return the job with its style pictures given their fine texture, if it asks for that."""
    if not job.settings.fine_style:
        return job
    inner = Hooks(pause=hooks.pause)
    styles = with_fine_texture(
        job.loaded, job.styles, job.schedule[-1], job.settings, inner, RunCheckpoint()
    )
    return replace(job, styles=styles, settings=replace(job.settings, fine_style=""))


def scenes(feed: Feed, pause: Callable[[], None]) -> Iterator[int]:
    """Yield the first frame of each scene, as soon as it is known."""
    number = 1
    while (first := feed.scene(number, pause)) is not None:
        if first == number:
            yield first
        number += 1


def make_scene(job: Job, frames: Iterable[int], first: int, hooks: ClipHooks) -> None:
    """Make the frames of a scene in all passes, beginning where an earlier process ended.

    Args:
      job: the clip.
      frames: numbers of the frames, as they are ready.
      first: the first of them.
      hooks: functions to call.
    """
    last = first - 1
    for number in frames:  # the first pass
        make_frame(job, 1, number, first, number, hooks)
        last = number
    for of_pass in range(2, job.clip.passes + 1):
        order = range(first, last + 1) if of_pass % 2 else range(last, first - 1, -1)
        for number in order:
            make_frame(job, of_pass, number, first, last, hooks)
        job.folder.forget_results(of_pass - 1, range(first, last + 1))


def numbers(feed: Feed, first: int, pause: Callable[[], None]) -> Iterator[int]:
    """Yield the numbers of the frames of a scene, as they are ready."""
    number = first
    while feed.scene(number, pause) == first:
        yield number
        number += 1


def make_frame(
    job: Job, of_pass: int, number: int, first: int, last: int, hooks: ClipHooks
) -> None:
    """Make a frame in a pass, unless there is a result already, and write it.

    Args:
      job: the clip.
      of_pass: the pass, from 1.
      number: the frame, from 1.
      first, last: first and last frame of its scene; in the first pass the last so far.
      hooks: functions to call.
    """
    if job.folder.has_result(of_pass, number):
        return
    start = time.perf_counter()
    made = Making(hooks, number, of_pass)
    try:
        given = inputs_of(job, of_pass, number, first, last)
        (result,) = optimize(job.loaded, [given], made.hooks, network=job.network)
    except (DivergedError, MaskError) as error:
        raise type(error)(f"frame {number}: {error}") from error
    assert isinstance(result, Result)
    image = _unprocessed(job, given, made.progress)
    if of_pass == job.clip.passes:
        job.folder.save_frame(number, result, job.description)
    job.folder.save_result(of_pass, number, image)
    hooks.done(_report(of_pass, number, first, time.perf_counter() - start, result))


def _unprocessed(job: Job, given: Inputs, last: Progress | None) -> Image:
    """Return the image that a frame ended with, whose last scales may have had no steps."""
    scale, (photo, styles) = given.scales()[-1], given.recolored()
    if last is not None:
        image = last.image
    elif given.start is not None:
        image = given.start
    else:
        regions, settings = given.regions, given.settings
        image = first_image(photo, styles, regions, given.scales()[0], job.network, settings)
    return enlarged(image, photo, scale, given.settings)


@dataclass
class Making:
    """A frame that is being made; keeps the last progress, whose image has not been processed."""

    of_clip: ClipHooks
    number: int
    of_pass: int
    progress: Progress | None = None

    @property
    def hooks(self) -> Hooks:
        """The hooks of its run."""
        return Hooks(self._report, self.of_clip.pause)

    def _report(self, progress: Progress, saved: RunCheckpoint) -> None:
        del saved
        self.progress = progress
        self.of_clip.pause()
        self.of_clip.report(self.number, self.of_pass, progress)


def _report(of_pass: int, number: int, first: int, seconds: float, result: Result) -> FrameReport:
    last = result.losses[-1] if result.losses else {"total": float("nan"), "terms": {}}
    return FrameReport(
        number,
        of_pass,
        first,
        seconds,
        steps=sum(scale.steps for scale in result.scales),
        compilations=sum(scale.compilations for scale in result.scales),
        total=last["total"],
        terms=last["terms"],
    )


def inputs_of(job: Job, of_pass: int, number: int, first: int, last: int) -> Inputs:
    """Return what to run for a frame in a pass: see ``make_frame``."""
    scale, most = job.schedule[-1], len(job.clip.earlier_frames)
    whole = replace(
        _alone(job, number, first),
        earlier=nothing_earlier(scale.height, scale.width, most),
        temporal_weight=job.clip.weight_in(of_pass),
    )
    neighbors = _neighbors(job, of_pass, number, first, last)
    if of_pass == 1 and not neighbors:
        return whole
    later = replace(whole, schedule=job.later, settings=_slower(whole.settings))
    own = _result(job, of_pass - 1, number) if of_pass > 1 else None
    if not neighbors:
        return replace(later, start=own)
    found = moved(neighbors, most)
    start = filled(found, _filling(job, whole)) if own is None else averaged(found, own)
    return replace(later, start=start, earlier=found.earlier)


def _slower(settings: Settings) -> Settings:
    """Return the settings of a frame that starts from another result: see ``LATER_RATE``."""
    if settings.optimizer not in SCHEDULED:
        return settings
    return replace(settings, learning_rate=LATER_RATE * settings.rate)


def _alone(job: Job, number: int, first: int) -> Inputs:
    """Return what to run for a frame that has no neighbors, in a scene that begins at ``first``."""
    content = Picture(image_of(job.folder.content(number)))
    settings = job.folder.with_masks(job.settings, number)
    regions = regions_of(job.loaded, content.rgb, job.styles, settings)
    colors = recolored(content.rgb, [], settings)[0], _matched_styles(job, first)
    schedule = tuple(job.schedule)
    return Inputs(content, job.styles, settings, schedule, regions, colors)


def _matched_styles(job: Job, first: int) -> list[Image]:
    """Return the style pictures matched to the first frame of a scene: the same for all of it."""
    if job.settings.color_match == "none":
        return list(job.styles)
    return recolored(image_of(job.folder.content(first)), job.styles, job.settings)[1]


def _filling(job: Job, whole: Inputs) -> Float[np.ndarray, "h w 3"] | None:
    """Return the image that a frame alone would start from; None if that is noise.

    Noise needs all steps of a first frame to become anything.
    """
    if whole.settings.init == "noise":
        return None
    assert whole.colors
    given = *whole.colors, whole.regions, job.schedule[-1], job.network, whole.settings
    return first_image(*given)


def filled(found: Moved, filling: Float[np.ndarray, "h w 3"] | None) -> Float[np.ndarray, "h w 3"]:
    """Return the nearest result, warped, with what it does not see filled in (section 5.1).

    Args:
      found: the results of the neighbors.
      filling: what to fill in; None to leave what was warped, as the authors' program does.
    """
    if filling is None:
        return found.nearest
    weight = found.reliability[..., None]
    return weight * found.nearest + (1 - weight) * filling


def averaged(found: Moved, own: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """Return a frame's own result of the pass before, averaged with the nearest, warped.

    Only where the flow is reliable (section 6, with the blend weights of the authors' program).
    """
    weight = found.reliability[..., None]
    return (own + weight * found.nearest) / (1 + weight)


def _neighbors(job: Job, of_pass: int, number: int, first: int, last: int) -> list[Neighbor]:
    """Return the frames that were made before a frame in its pass, the nearest first."""
    way = -1 if of_pass % 2 else 1
    others = [number + way * distance for distance in job.clip.earlier_frames]
    return [
        Neighbor(
            _result(job, of_pass, other),
            job.folder.flow(number, other),
            job.folder.flow(other, number),
        )
        for other in others
        if first <= other <= last
    ]


def _result(job: Job, of_pass: int, number: int) -> Float[np.ndarray, "h w 3"]:
    return image_of(job.folder.result(of_pass, number))
