"""The output files of a run: checks before it, previews during it, results after it.

An existing file is replaced only where the user named it. All other names are derived from that of
the result, and get a number if they are taken.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxstyle import images
from jaxstyle.cli.profile import check_profile
from jaxstyle.errors import ImageError, message_of
from jaxstyle.images import Picture, timelapse
from jaxstyle.machine.files import beside, name_with, remove_leftovers
from jaxstyle.machine.host import cache_directory
from jaxstyle.runs import checkpoint
from jaxstyle.runs.preprocessing import unfinished
from jaxstyle.runs.recipe import interrupted
from jaxstyle.runs.result import Progress, Result
from jaxstyle.settings import Settings

FRAMES = 90
"""Largest number of frames of a timelapse."""

JPEG_METADATA = 60_000
"""Bytes of text that fit into a JPEG's EXIF block with certainty; its limit is 64 kB."""


@dataclass
class Outputs:
    """The output files of a run. Call it with every report of the run.

    Attributes:
      picture: path of the result.
      tell: prints a line for the user.
      bits: bits per channel of the result.
      named: whether the user named the result; if not, it replaces no file.
      save_every: steps between two previews.
      timelapse: path of the animation.
      report: path of the JSON report.
      profile: folder of the profiler's trace.
      checkpoint: folder of checkpoints.
      others: further files that the run writes.
      last: the latest report.
      made: the result of the run, before its last processing.
      taken: steps taken so far, over all scales.
      frames: frames of the timelapse so far.
    """

    picture: Path
    tell: Callable[[str], None]
    bits: int = 8
    named: bool = True
    save_every: int | None = None
    timelapse: Path | None = None
    report: Path | None = None
    profile: Path | None = None
    checkpoint: Path | None = None
    others: Sequence[Path] = ()
    last: Progress | None = None
    made: Result | None = None
    taken: int = 0
    frames: list[Float[np.ndarray, "h w 3"]] = field(default_factory=list)

    def check(self, longest: int, inputs: Sequence[Path], description: str) -> None:
        """Raise an error if a file could not be written; leave nothing behind.

        Temporary files of runs that were killed are deleted.

        Args:
          longest: longest side of the result in pixels.
          inputs: files that are read, which must not be overwritten.
          description: the metadata of the result.

        Raises:
          ImageError: a file cannot be written, or has the name of another.
          CheckpointError: the checkpoint folder is a file or a link.
        """
        images.check_writable(self.picture, bits=self.bits, longest=longest)
        if self.picture.suffix.lower() in (".jpg", ".jpeg") and len(description) > JPEG_METADATA:
            raise ImageError(f"{self.picture}: too many settings for a JPEG's metadata: use PNG")
        if self.timelapse:
            timelapse.check_timelapse(self.timelapse)
        if self.report:
            images.check_directory(self.report)
        if self.profile:
            check_profile(self.profile)
        if self.checkpoint:
            check_folder(self.checkpoint)
        check_distinct(self._named_files(), inputs)
        for folder in {path.parent for path in self._named_files()}:
            remove_leftovers(folder)
        remove_leftovers()

    def __call__(self, progress: Progress) -> None:
        if progress.preparing:
            return
        before, self.taken, self.last = self.taken, _steps_taken(progress), progress
        if self.save_every and self.taken // self.save_every > before // self.save_every:
            self._preview(progress)
        total = sum(scale.steps for scale in progress.scales)
        every = -(-total // FRAMES)
        if self.timelapse and (self.taken // every > before // every):
            self.frames.append(timelapse.frame(progress.image))

    def so_far(self) -> dict[str, Any]:
        """Return the state to keep in a checkpoint."""
        return {"taken": self.taken, "frames": list(self.frames)}

    def go_on(self, so_far: Mapping[str, Any]) -> None:
        """Restore the state kept in a checkpoint."""
        self.taken, self.frames = so_far["taken"], so_far["frames"]

    def save_picture(self, result: Result, description: str) -> str:
        """Write the finished picture; return why it could not be, and where it is instead."""
        picture = Picture(result.image, result.alpha, dpi=result.dpi)
        try:
            if self.named:
                images.write(self.picture, picture, bits=self.bits, description=description)
            else:
                self.picture = self._write_unused(self.picture, picture, description)
        except Exception as error:
            return f"{message_of(error)}: {rescued(self.picture, picture, self.bits, description)}"
        return ""

    def save_others(self, result: Result, more: Sequence[Callable[[], None]] = ()) -> list[str]:
        """Write the timelapse, the report, and further files; return why any could not be."""
        writers = list(more)
        if self.timelapse:
            frames = [*self.frames, timelapse.frame(result.image)]
            writers.append(partial(timelapse.write_timelapse, self.timelapse, frames))
        if self.report:
            text = json.dumps(result.report(), indent=1) + "\n"
            writers.append(partial(images.write_text, self.report, text))
        return [problem for problem in map(_attempt, writers) if problem]

    def save_unfinished(self, content: Picture, settings: Settings, description: str) -> str:
        """Write the picture so far at its final size; return a message about it.

        It is written beside the result, as ``OUT-interrupted.png``, and its metadata says so.
        """
        if self.last is None:
            return "there is nothing to save yet"
        progress, last = self.last, self.last.scale + 1
        what = (
            f"the picture so far (scale {last}/{len(progress.scales)}, "
            f"step {progress.step}/{progress.steps})"
        )
        so_far = partial(self._so_far, progress, content, settings)
        text, taken = interrupted(description, **progress.reached_at), self._named_files()
        return save_interrupted(self.picture, so_far, what, text, self.bits, taken)

    def _so_far(self, progress: Progress, content: Picture, settings: Settings) -> Picture:
        """Return the picture at its final size or, if that fails, as it is."""
        if self.made:
            return Picture(self.made.image, self.made.alpha, dpi=self.made.dpi)
        return unfinished(progress.image, content, progress.scales[-1], settings)

    def _preview(self, progress: Progress) -> None:
        path = beside(self.picture, f"{_steps_taken(progress):05}")
        try:
            self._write_unused(path, Picture(progress.image), "")
        except ImageError as error:  # a failed preview must not end the run
            self.tell(f"note: no more previews: {error}")
            self.save_every = None

    def _write_unused(self, path: Path, picture: Picture, text: str) -> Path:
        """Write a picture to a path, or one with a number, that no file of the run has."""
        taken = {each.resolve() for each in self._named_files()}
        if path == self.picture:
            taken.remove(path.resolve())
        options: dict[str, Any] = {"bits": self.bits, "description": text}
        return images.write_unused(path, picture, taken=taken, **options)

    def _named_files(self) -> list[Path]:
        named = self.picture, self.timelapse, self.report, self.profile, self.checkpoint
        return [path for path in (*named, *self.others) if path]


def rescued(path: Path, picture: Picture, bits: int, description: str) -> str:
    """Save a picture that cannot be written at its path in another folder; say in which.

    Folders for temporary files, the cache, and the user's own are tried.
    """
    attempts = [(path.name, {"bits": bits, "description": description}), (f"{path.stem}.png", {})]
    for parent, (name, options) in product(_elsewhere(), attempts):
        with suppress(Exception):  # any of them may be missing, full, or not ours
            folder = Path(tempfile.mkdtemp(prefix="jaxstyle-", dir=parent))
            try:
                images.write(folder / name, picture, **options)
            except Exception:
                folder.rmdir()
                raise
            return f"saved the picture as {folder / name} instead"
    return "the picture is lost"


def save_interrupted(
    output: Path,
    so_far: Callable[[], Picture],
    what: str,
    description: str,
    bits: int = 8,
    taken: Sequence[Path] = (),
) -> str:
    """Write an unfinished picture as ``OUT-interrupted.png``, or in another folder; say where.

    Args:
      output: path of the finished picture.
      so_far: returns the picture; may raise if there is too little memory left.
      what: words for the picture.
      description: its metadata.
      bits: bits per channel.
      taken: further paths to leave alone.
    """
    path, resolved = beside(output, "interrupted"), {each.resolve() for each in taken}
    try:
        picture = so_far()
    except Exception as error:  # memory has run out, or the device is lost
        return f"{what} cannot be saved: {message_of(error)}"
    try:
        path = images.write_unused(
            path, picture, bits=bits, description=description, taken=resolved
        )
    except Exception as error:
        return f"{message_of(error)}: {rescued(path, picture, bits, description)}"
    return f"saved {what} as {path}"


def write_or_rescue(path: Path, picture: Picture, bits: int = 8, description: str = "") -> None:
    """Write a picture or, if it cannot be written at its path, save it in another folder.

    Raises:
      ImageError: it could not be written; a note says where it is.
    """
    try:
        images.write(path, picture, bits=bits, description=description)
    except Exception as error:
        error.add_note(rescued(path, picture, bits, description))
        raise


def _elsewhere() -> Iterator[Path]:
    for place in (tempfile.gettempdir, cache_directory, Path.home):
        with suppress(Exception):  # there may be no such folder
            if folder := place():
                yield Path(folder)


def _attempt(write: Callable[[], None]) -> str:
    """Write a file; return why it could not be, or an empty text."""
    try:
        write()
    except Exception as error:
        return message_of(error)
    return ""


def checkpoint_of(picture: Path) -> Path:
    """Return the checkpoint folder of the run that makes this picture."""
    return picture.with_name(name_with(picture.name, ".checkpoint"))


def check_folder(directory: Path) -> None:
    """Raise an error if checkpoints could not be written there; leave nothing behind."""
    checkpoint.check_own(directory)
    images.check_directory(directory / "checkpoint" if directory.exists() else directory)


def check_distinct(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raise ImageError if an output would overwrite an input or another output."""
    taken = {_identity(path): "is read by this run" for path in inputs}
    for path in outputs:
        if _identity(path) in taken:
            raise ImageError(f"{path}: {taken[_identity(path)]}: choose another name")
        taken[_identity(path)] = "has the same name as another output"


def _identity(path: Path) -> object:
    """Return what is equal for all names of a file."""
    path = Path(os.path.realpath(path))  # unlike `resolve`, also of a link that leads to itself
    try:
        found = path.stat()
    except OSError:
        return path
    return (found.st_dev, found.st_ino) if found.st_ino else path


def _steps_taken(progress: Progress) -> int:
    return sum(scale.steps for scale in progress.scales[: progress.scale]) + progress.step
