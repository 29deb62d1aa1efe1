"""Clips for tests: frames in memory, some of which move."""

from collections.abc import Iterator, Sequence

import numpy as np

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images.video import Clip


class ClipOf(Clip):
    """Frames in memory, as far as `Feed` needs a clip.

    Attributes:
      all: the frames.
      broken: number of the frame that cannot be read, from 0.
      begun: the numbers of the frames that were asked for first.
    """

    def __init__(
        self,
        frames: Sequence[np.ndarray],
        path: str = "clip.mp4",
        broken: int | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.all, self.path, self.broken = frames, path, broken
        self.count, self.begun, self._notes = len(frames), [], [*notes]

    @property
    def notes(self) -> list[str]:
        return self._notes

    def frames(self, first: int = 0) -> Iterator[tuple[int, np.ndarray]]:
        self.begun.append(first)
        for number in range(first, len(self.all)):
            if number == self.broken:
                raise ImageError(f"{self.path}: cannot be read")
            yield number, self.all[number]


def texture(seed: int = 0, height: int = 36, width: int = 48) -> np.ndarray:
    """Return a frame with large and small structure, which optical flow can follow."""
    rng = np.random.default_rng(seed)
    rough, fine = (
        images.resize(
            rng.uniform(size=(height // k + 2, width // k + 2, 3)).astype(np.float32), height, width
        )
        for k in (8, 3)
    )
    return np.uint8(255 * np.clip(0.6 * rough + 0.4 * fine, 0, 1))


def moving(count: int, seed: int = 0, height: int = 32, width: int = 40) -> list[np.ndarray]:
    """Return frames of a texture that moves two pixels to the left and one up, each time."""
    large = texture(seed, height + count, width + 2 * count)
    return [large[n : n + height, 2 * n : 2 * n + width] for n in range(count)]
