"""A clip from file to file: what is to be made, where it is kept, and the writing of the result."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.execution.plan import blank
from jaxstyle.images import Picture
from jaxstyle.images.video import Clip, ClipWriter, is_clip, open_clip, pictures_of
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.run_checkpoint import AFTERWARDS, fingerprint
from jaxstyle.runs.video.feed import Feed, Pixels, resized
from jaxstyle.runs.video.folder import Folder, pixels_of, write_pixels
from jaxstyle.runs.video.stylize import Job
from jaxstyle.settings import Settings


@dataclass(frozen=True)
class Range:
    """The part of a clip to make.

    Attributes:
      start, end: in seconds; None for all.
      fps: frames per second of the result; None for those of the clip.
    """

    start: float | None = None
    end: float | None = None
    fps: float | Fraction | None = None

    def of(self, path: str) -> Clip:
        """Open a clip in this range."""
        return open_clip(path, start=self.start, end=self.end, fps=self.fps)


def masks_of(settings: Settings, part: Range, clip: Clip) -> dict[int, Clip]:
    """Open those content masks that are clips, by their place among the masks.

    They are read at the rate of the content, as its frames come: also folders, which tell none.

    Raises:
      ImageError: one cannot be read, or has fewer frames than the content.
    """
    part = replace(part, fps=clip.fps)
    found = {
        index: part.of(path) for index, path in enumerate(settings.content_mask) if is_clip(path)
    }
    for mask in found.values():
        if mask.count < clip.count:
            raise ImageError(
                f"{mask.path}: has {mask.count} frames at the rate of {clip.path}, which has "
                f"{clip.count}: give a mask for each frame"
            )
    return found


def feed_of(clip: Clip, masks: Mapping[int, Clip], job: Job, ahead: int | None) -> Feed:
    """Return the feed of a clip, to be run by ``jaxstyle.runs.video.feed.fed``.

    Args:
      clip: the content.
      masks: those of ``masks_of``.
      job: the clip to make.
      ahead: number of frames to prepare ahead; None for all.
    """
    last, earlier = job.schedule[-1], job.clip.earlier_frames
    sides, resampling = (last.height, last.width), job.settings.resampling
    return Feed(clip, masks, sides, resampling, earlier, job.folder, ahead)


def frame_inputs(job: Job, pixels: Pixels) -> Inputs:
    """Return what to run for a frame that stands alone, with masks that are pictures."""
    last = job.schedule[-1]
    small = resized(pixels, (last.height, last.width), job.settings.resampling)
    content = Picture(images.from_levels(small))
    return Inputs(content, job.styles, job.settings, schedule=tuple(job.schedule))


def with_masks_at(
    masks: Mapping[int, Clip], place: int, settings: Settings, folder: Folder
) -> Settings:
    """Return settings with a frame of each mask that is a clip, written into an empty folder.

    Args:
      masks: those of ``masks_of``.
      place: number of the frame, from 0.
      settings: settings of each frame.
      folder: where to write.
    """
    for index, mask in masks.items():
        for _, pixels in islice(mask.frames(place), 1):
            path = folder.mask(index, place + 1)
            path.parent.mkdir(exist_ok=True)
            write_pixels(path, pixels)
    return folder.with_masks(settings, place + 1)


def blank_inputs(job: Job) -> Inputs:
    """Return inputs of the shapes of a frame."""
    last = job.schedule[-1]
    content = Picture(blank(last.height, last.width))
    return Inputs(content, job.styles, job.settings, schedule=tuple(job.schedule))


def disk_bytes(job: Job, frames: int) -> int:
    """Return the most bytes that are kept of so many frames while a clip is made."""
    last = job.schedule[-1]
    flows = 0 if job.folder.flows else FLOWS * len(job.clip.earlier_frames)
    return frames * last.height * last.width * (PICTURES * PNG + flows)


PICTURES, PNG = 3, 3
"""Pictures kept of each frame (content, result, frame), and the most bytes a pixel of each."""

FLOWS = 2 * 2 * 4
"""Bytes a pixel of the flow to an earlier frame and back: two numbers of four bytes each."""


def made_by(job: Job, paths: Sequence[str], part: Range) -> dict[str, Any]:
    """Return everything that the frames of a clip depend on, by name.

    Args:
      job: the clip to make.
      paths: paths of the clip, then of masks that are clips.
      part: the part of the clip.
    """
    still = tuple(path for path in job.settings.content_mask if path not in paths)
    settings = replace(job.settings, content_mask=still)
    frames = fingerprint(job.loaded, job.styles[0], job.styles, settings)
    del frames["the content picture"]
    names = ["clip", *(f"mask {number}" for number in range(1, len(paths)))]
    clips = {name: _digest(path) for name, path in zip(names, paths, strict=True)}
    after = {name: getattr(settings, name) for name in AFTERWARDS if name != "preset"}
    own = json.loads(json.dumps({**asdict(part), **asdict(job.clip), **after}))
    # Files that a frame lacked may be added to the folder of flow.
    flows = {"flow": str(job.folder.flows.resolve()) if job.folder.flows else ""}
    return {**frames, **own, **clips, **flows}


def _digest(path: str) -> str:
    """Return the SHA-256 of a file, or of the names, sizes and times of several files."""
    found = hashlib.sha256()
    if Path(path).is_file():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    for each in files_of(path):
        state = each.stat()
        found.update(repr((each.name, state.st_size, state.st_mtime_ns)).encode())
    return found.hexdigest()


def files_of(path: str) -> list[Path]:
    """Return a file, or the pictures of a folder or a pattern; results may lie beside them."""
    return [Path(path)] if Path(path).is_file() else list(map(Path, pictures_of(path)))


def encode(
    job: Job,
    path: Path,
    clip: Clip,
    codec: str | None,
    quality: int | None,
    pause: Callable[[], None] = lambda: None,
) -> int:
    """Write the finished frames as a clip, with the sound of the content.

    Args:
      job: the clip that was made.
      path: the clip to write.
      clip: the content.
      codec, quality: as of ``jaxstyle.images.video.ClipWriter``.
      pause: called after each frame; may raise, and then no clip is written.

    Returns:
      The number of frames.

    Raises:
      ImageError: there are no frames, or the clip cannot be written.
    """
    frames = job.folder.frames()
    if not frames:
        raise ImageError(f"{path}: there are no frames to write")
    height, width, _ = pixels_of(frames[0]).shape
    more = {"codec": codec, "quality": quality, "audio": clip, "description": job.description}
    with ClipWriter(path, height, width, clip.fps, **more) as writer:
        for frame in frames:
            writer.write(pixels_of(frame))
            pause()
    return len(frames)
