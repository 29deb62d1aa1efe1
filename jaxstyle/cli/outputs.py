"""The output files of a run: checks before it, previews during it, results after it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxstyle import images
from jaxstyle.cli.profile import check_profile
from jaxstyle.errors import CheckpointError, ImageError
from jaxstyle.images import Picture, timelapse
from jaxstyle.runs.preprocessing import finished
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
      save_every: steps between two previews.
      timelapse: path of the animation.
      report: path of the JSON report.
      profile: folder of the profiler's trace.
      checkpoint: folder of checkpoints.
      last: the latest report.
      taken: steps taken so far, over all scales.
      frames: frames of the timelapse so far.
    """

    picture: Path
    tell: Callable[[str], None]
    bits: int = 8
    save_every: int | None = None
    timelapse: Path | None = None
    report: Path | None = None
    profile: Path | None = None
    checkpoint: Path | None = None
    last: Progress | None = None
    taken: int = 0
    frames: list[Float[np.ndarray, "h w 3"]] = field(default_factory=list)

    def check(
        self, longest: int, inputs: Sequence[Path], description: str, others: Sequence[Path] = ()
    ) -> None:
        """Raise an error if a file could not be written; leave nothing behind.

        Args:
          longest: longest side of the result in pixels.
          inputs: files that are read, which must not be overwritten.
          description: the metadata of the result.
          others: further files that the run writes.

        Raises:
          ImageError: a file cannot be written, or has the name of another.
          CheckpointError: the checkpoint folder is a file.
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
        outputs = self.picture, self.timelapse, self.report, self.profile, self.checkpoint
        check_distinct([path for path in (*outputs, *others) if path], inputs)

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
        return {"taken": self.taken, "frames": self.frames}

    def go_on(self, so_far: Mapping[str, Any]) -> None:
        """Restore the state kept in a checkpoint."""
        self.taken, self.frames = so_far["taken"], so_far["frames"]

    def save(self, result: Result, description: str) -> None:
        """Write the finished picture, its timelapse and its report."""
        picture = Picture(result.image, result.alpha, dpi=result.dpi)
        images.write(self.picture, picture, bits=self.bits, description=description)
        if self.timelapse:
            timelapse.write_timelapse(self.timelapse, [*self.frames, timelapse.frame(result.image)])
        if self.report:
            images.write_text(self.report, json.dumps(result.report(), indent=1) + "\n")

    def save_unfinished(self, content: Picture, settings: Settings, description: str) -> str:
        """Write the picture so far at its final size; return a message about it."""
        if self.last is None:
            return "there is nothing to save yet"
        progress, final = self.last, self.last.scales[-1]
        image, alpha, _ = finished(progress.image, content, final, settings)
        try:
            self._write(self.picture, image, alpha, description)
        except ImageError as error:
            return f"the picture so far is lost: {error}"
        return (
            f"saved the picture so far (scale {progress.scale + 1}/{len(progress.scales)}, "
            f"step {progress.step}/{progress.steps}) as {self.picture}"
        )

    def _preview(self, progress: Progress) -> None:
        path = self.picture.with_stem(f"{self.picture.stem}-{_steps_taken(progress):05}")
        try:
            self._write(path, progress.image, None, "")
        except ImageError as error:  # a failed preview must not end the run
            self.tell(f"note: no more previews: {error}")
            self.save_every = None

    def _write(self, path: Path, image: np.ndarray, alpha: np.ndarray | None, text: str) -> None:
        images.write(path, Picture(image, alpha), bits=self.bits, description=text)


def checkpoint_of(picture: Path) -> Path:
    """Return the checkpoint folder of the run that makes this picture."""
    return picture.with_name(f"{picture.name}.checkpoint")


def check_folder(directory: Path) -> None:
    """Raise an error if checkpoints could not be written there; leave nothing behind."""
    if directory.exists() and not directory.is_dir():
        raise CheckpointError(f"{directory}: is a file, and checkpoints need a folder of this name")
    images.check_directory(directory / "checkpoint" if directory.exists() else directory)


def check_distinct(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raise ImageError if an output would overwrite an input or another output."""
    taken = {path.resolve(): "is read by this run" for path in inputs}
    for path in outputs:
        if path.resolve() in taken:
            raise ImageError(f"{path}: {taken[path.resolve()]}: choose another name")
        taken[path.resolve()] = "has the same name as another output"


def _steps_taken(progress: Progress) -> int:
    return sum(scale.steps for scale in progress.scales[: progress.scale]) + progress.step
