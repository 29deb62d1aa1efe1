"""The files of a run: checked before it, previews during it, picture and record after it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxstyle import image as images
from jaxstyle import timelapse
from jaxstyle.image import ImageError, Picture
from jaxstyle.result import Progress, Result

FRAMES = 90
"""About how many frames a timelapse has."""


@dataclass
class Outputs:
    """Where a run writes. Call it with every report of the run."""

    picture: Path
    bits: int = 8
    save_every: int | None = None
    timelapse: Path | None = None
    report: Path | None = None
    last: Progress | None = None
    frames: list[Float[np.ndarray, "h w 3"]] = field(default_factory=list)

    def check(self) -> None:
        """Raises ImageError where something could not be written, leaving nothing behind."""
        images.check_writable(self.picture, bits=self.bits)
        if self.timelapse:
            timelapse.check_timelapse(self.timelapse)
        if self.report:
            images.check_directory(self.report)
        targets = [p.resolve() for p in (self.picture, self.timelapse, self.report) if p]
        if len(set(targets)) < len(targets):
            raise ImageError(f"{self.picture}: two outputs have the same name: give each its own")

    def __call__(self, progress: Progress) -> None:
        before = _taken(self.last) if self.last else 0
        self.last = progress
        if self.save_every and _taken(progress) // self.save_every > before // self.save_every:
            self._write(self._preview(_taken(progress)), progress.image, None, "")
        total = sum(scale.steps for scale in progress.scales)
        every = max(1, total // FRAMES)
        if self.timelapse and (_taken(progress) // every > before // every):
            self.frames.append(timelapse.frame(progress.image))

    def save(self, result: Result, description: str) -> None:
        """The finished picture, its timelapse and its report."""
        self._write(self.picture, result.image, result.alpha, description)
        if self.timelapse:
            timelapse.write_timelapse(self.timelapse, [*self.frames, timelapse.frame(result.image)])
        if self.report:
            images.write_text(self.report, json.dumps(result.report(), indent=1) + "\n")

    def save_unfinished(self, content: Picture, description: str) -> str:
        """The picture so far at the size it was meant to have; says what was saved, if anything."""
        if self.last is None:
            return "nothing to save yet"
        progress, final = self.last, self.last.scales[-1]
        image = images.resize(progress.image, final.height, final.width)
        alpha = content.alpha
        if alpha is not None:
            alpha = images.resize(alpha, final.height, final.width)
        self._write(self.picture, image, alpha, description)
        return (
            f"saved the picture so far (scale {progress.scale + 1}/{len(progress.scales)}, "
            f"step {progress.solver.step}/{progress.solver.steps}) as {self.picture}"
        )

    def _preview(self, step: int) -> Path:
        return self.picture.with_stem(f"{self.picture.stem}-{step:05}")

    def _write(self, path: Path, image: np.ndarray, alpha: np.ndarray | None, text: str) -> None:
        images.write(path, Picture(image, alpha), bits=self.bits, description=text)


def _taken(progress: Progress) -> int:
    """Steps taken so far, over all scales."""
    return sum(scale.steps for scale in progress.scales[: progress.scale]) + progress.solver.step
