"""The files of a run: checked before it, previews during it, picture and record after it."""

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
"""At most how many frames a timelapse has."""

JPEG_METADATA = 60_000
"""Bytes of text that surely fit into a JPEG's EXIF block, which ends at 64 kB."""


@dataclass
class Outputs:
    """Where a run writes. Call it with every report of the run.

    checkpoint: the folder of its checkpoints, if there are to be any. taken: steps, so far.
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
        """Raises ImageError where something could not be written, leaving nothing behind.

        Args:
          longest: longest side of the picture to come.
          inputs: files that are read, and must not be written over.
          description: the metadata to come.
          others: files that are written beside these.
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
        before, self.taken, self.last = self.taken, _taken(progress), progress
        if self.save_every and self.taken // self.save_every > before // self.save_every:
            self._preview(progress)
        total = sum(scale.steps for scale in progress.scales)
        every = -(-total // FRAMES)
        if self.timelapse and (self.taken // every > before // every):
            self.frames.append(timelapse.frame(progress.image))

    def so_far(self) -> dict[str, Any]:
        """What a checkpoint has of it."""
        return {"taken": self.taken, "frames": self.frames}

    def go_on(self, so_far: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.taken, self.frames = so_far["taken"], so_far["frames"]

    def save(self, result: Result, description: str) -> None:
        """The finished picture, its timelapse and its report."""
        self._write(self.picture, result.image, result.alpha, description)
        if self.timelapse:
            timelapse.write_timelapse(self.timelapse, [*self.frames, timelapse.frame(result.image)])
        if self.report:
            images.write_text(self.report, json.dumps(result.report(), indent=1) + "\n")

    def save_unfinished(self, content: Picture, settings: Settings, description: str) -> str:
        """The picture so far at the size it was meant to have; says what was saved, if anything."""
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
            f"step {progress.solver.step}/{progress.solver.steps}) as {self.picture}"
        )

    def _preview(self, progress: Progress) -> None:
        path = self.picture.with_stem(f"{self.picture.stem}-{_taken(progress):05}")
        try:
            self._write(path, progress.image, None, "")
        except ImageError as error:  # a preview is not worth the run
            self.tell(f"note: no more previews: {error}")
            self.save_every = None

    def _write(self, path: Path, image: np.ndarray, alpha: np.ndarray | None, text: str) -> None:
        images.write(path, Picture(image, alpha), bits=self.bits, description=text)


def checkpoint_of(picture: Path) -> Path:
    """The folder for checkpoints of the run that makes a picture."""
    return picture.with_name(f"{picture.name}.checkpoint")


def check_folder(directory: Path) -> None:
    """Raises an error where checkpoints could not be written there; leaves nothing behind."""
    if directory.exists() and not directory.is_dir():
        raise CheckpointError(f"{directory}: is a file, and checkpoints need a folder of that name")
    images.check_directory(directory / "checkpoint" if directory.exists() else directory)


def check_distinct(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raises ImageError where an output would be written over an input, or over another output."""
    taken = {path.resolve(): "is read by this run" for path in inputs}
    for path in outputs:
        if path.resolve() in taken:
            raise ImageError(f"{path}: {taken[path.resolve()]}: choose another name")
        taken[path.resolve()] = "has the same name as another output"


def _taken(progress: Progress) -> int:
    """Steps taken so far, over all scales."""
    return sum(scale.steps for scale in progress.scales[: progress.scale]) + progress.solver.step
