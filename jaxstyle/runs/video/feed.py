"""The feed of a clip: in the background, frames are read, flows computed and scene cuts found."""

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images.video import Clip
from jaxstyle.images.video.flow import optical_flow
from jaxstyle.losses import temporal
from jaxstyle.machine.programs import jit
from jaxstyle.runs.video.folder import Flow, Folder, pixels_of, write_pixels

Pixels = UInt8[np.ndarray, "_ _ 3"]

AHEAD = 24
"""Number of frames to prepare ahead where scenes are made one after the other."""

LEAST_SEEN = 0.25
"""Share of a frame that must be seen in the frame before, by reliable flow; less is a cut."""

LOOK = 0.2
"""Seconds between two looks at whether a frame is ready."""

_reliability = jit()(temporal.reliability)


class Ended(Exception):
    """The feed was ended while a frame was waited for: see ``Feed.end``."""


@dataclass
class Feed:
    """The frames of a clip, made ready one after the other by a thread.

    Attributes:
      clip: the content.
      masks: masks that are clips, by their place among the content masks.
      sides: height and width of the frames.
      resampling: how they are resized.
      earlier: how many frames back the flow is needed to.
      folder: where everything is kept.
      ahead: number of frames to prepare ahead of the one worked on; None for all.
      waited: seconds that frames were waited for.
      cuts: first frames of the scenes found so far.
    """

    clip: Clip
    masks: Mapping[int, Clip]
    sides: tuple[int, int]
    resampling: str
    earlier: Sequence[int]
    folder: Folder
    ahead: int | None = None
    waited: float = 0.0
    cuts: list[int] = field(default_factory=list)
    _ready: int = 0
    _wanted: int = 1
    _count: int | None = None
    _error: BaseException | None = None
    _turn: threading.Condition = field(default_factory=threading.Condition)

    @property
    def count(self) -> int:
        """The number of frames: that of the clip's header until all have been read."""
        return self.clip.count if self._count is None else self._count

    @property
    def notes(self) -> list[str]:
        """Notes on how the clips are read, for the user; reading finds more of them."""
        return [note for one in (self.clip, *self.masks.values()) for note in one.notes]

    def scene(self, number: int, pause: Callable[[], None]) -> int | None:
        """Wait for a frame, and return the first frame of its scene; None after the last frame.

        Args:
          number: the frame, from 1.
          pause: called while it is waited for; may raise.
        """
        start = time.perf_counter()
        with self._turn:
            self._wanted = max(self._wanted, number)
            self._turn.notify_all()
            while self._ready < number and self._count is None:
                if self._error:
                    raise self._error
                self._turn.wait(LOOK)
                pause()
            self.waited += time.perf_counter() - start
            return self._scene_of(number) if number <= self._ready else None

    def _scene_of(self, number: int) -> int:
        """Return the first frame of the scene of a frame that is ready."""
        return self.cuts[bisect_right(self.cuts, number) - 1]

    # --- the thread -------------------------------------------------------------------------------

    def run(self) -> None:
        """Make all frames ready, except those that are already."""
        try:
            done = self._done_before()
            for number, pixels in self._read(done):
                self._wait_for_turn(number)
                if self._error:  # it was ended
                    return
                self._prepare(number, pixels)
                self._tell(number)
            with self._turn:
                self._count = self._ready
        except BaseException as error:  # raised again where a frame is waited for
            self._error = self._error or error
        finally:
            with self._turn:
                self._turn.notify_all()

    def _done_before(self) -> int:
        """Return the number of frames that an earlier process made ready."""
        number = 0
        while scene := self.folder.scene(number + 1):
            number += 1
            if scene.first == number:
                self.cuts.append(number)
        self._tell(number)
        return number

    def _read(self, done: int) -> Iterator[tuple[int, Pixels]]:
        """Yield the number and pixels of each further frame; write the frames of masks."""
        frames = self.clip.frames(done)
        masks = {index: mask.frames(done) for index, mask in self.masks.items()}
        for place, pixels in frames:
            for index, others in masks.items():
                found = next(others, None)
                if found is None:
                    raise ImageError(
                        f"{self.masks[index].path}: has {place} frames, fewer than the clip: "
                        "give a mask for each frame"
                    )
                write_pixels(self.folder.mask(index, place + 1), found[1])
            yield place + 1, resized(pixels, self.sides, self.resampling)

    def _wait_for_turn(self, number: int) -> None:
        with self._turn:
            while self.ahead and number > self._wanted + self.ahead and not self._error:
                self._turn.wait(LOOK)

    def _prepare(self, number: int, pixels: Pixels) -> None:
        """Write a frame, the flows between it and those before, and its scene."""
        write_pixels(self.folder.content(number), pixels)
        first = number
        if number > 1 and _seen(*self._flows(number, number - 1, pixels)) >= LEAST_SEEN:
            first = self._scene_of(number - 1)
        for back in self.earlier:
            if back > 1 and number - back >= first:
                self._flows(number, number - back, pixels)
        if first == number:
            self.cuts.append(number)
        self.folder.save_scene(number, first)

    def _flows(self, number: int, other: int, pixels: Pixels) -> tuple[Flow, Flow]:
        """Return the flow from a frame to another and back, computed and written, or the user's."""
        if self.folder.flows:
            return self._checked(number, other), self._checked(other, number)
        earlier = pixels_of(self.folder.content(other))
        forth = self._computed(number, other, pixels, earlier)
        return forth, self._computed(other, number, earlier, pixels)

    def _computed(self, number: int, other: int, pixels: Pixels, others: Pixels) -> Flow:
        """Return the flow from a frame to another, written unless it is there already."""
        if self.folder.flow_file(number, other).exists():
            return self.folder.flow(number, other)
        flow = optical_flow(pixels, others)
        self.folder.save_flow(number, other, flow)
        return flow

    def _checked(self, number: int, other: int) -> Flow:
        """Return the user's flow from a frame to another.

        Raises:
          ImageError: it cannot be used.
        """
        path = self.folder.flow_file(number, other)
        flow = self.folder.flow(number, other)
        height, width, _ = flow.shape
        if np.isnan(flow).any():  # one of them would spread over the frame
            problem = "has values that are no numbers: where flow is unknown, 1e10 stands for it"
            raise ImageError(f"{path}: {problem}")
        if (height, width) != self.sides:
            raise ImageError(
                f"{path}: is a flow of {width}x{height}, and the frames of the result are "
                f"{self.sides[1]}x{self.sides[0]}: compute it at that size, or give another --size"
            )
        return flow

    def _tell(self, number: int) -> None:
        with self._turn:
            self._ready = number
            self._turn.notify_all()

    def end(self) -> None:
        """Let the thread end after the frame that it works on, and nobody wait for further ones."""
        with self._turn:
            self._error = self._error or Ended()
            self._turn.notify_all()


def _seen(flow: Flow, opposite: Flow) -> float:
    """Return the share of a frame that is seen in another, by the flow to it and back."""
    return float(np.mean(_reliability(flow, opposite)))


def resized(pixels: Pixels, sides: tuple[int, int], resampling: str) -> Pixels:
    """Return a frame of a clip resized to the height and width of the result."""
    if pixels.shape[:2] == sides:
        return pixels
    return images.to_levels(images.resize(images.from_levels(pixels), *sides, resampling))


@contextmanager
def fed(feed: Feed) -> Iterator[Feed]:
    """Run the thread of a feed during the block."""
    thread = threading.Thread(target=feed.run, daemon=True)
    thread.start()
    try:
        yield feed
    finally:
        feed.end()
        thread.join()
