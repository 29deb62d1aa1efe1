"""How well a clip holds still, and what losses its frames have.

Two numbers of what moves in a stylized clip x and not in its content, from one frame to the next:

    warping error   mean of (x_t - w)^2 where the flow is reliable, w the frame before, warped
                    (Ruder et al. 2016, table 1)
    flicker         square root of the mean of (x_t - x_(t-1))^2 where the content does not move
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.execution.plan import Image
from jaxstyle.images.video import Clip
from jaxstyle.images.video.flow import optical_flow
from jaxstyle.losses import temporal
from jaxstyle.machine.programs import jit
from jaxstyle.network import weights
from jaxstyle.runs.score import score_pictures
from jaxstyle.runs.video.feed import LEAST_SEEN, Pixels, resized
from jaxstyle.settings import Settings

STILL = 0.5
"""Pixels that a point may move from one frame to the next and count as not moving."""

LEAST_STILL = 0.01
"""Share of a frame that must not move for its flicker to be measured."""


@dataclass(frozen=True)
class Steadiness:
    """How a frame differs from the one before.

    Attributes:
      warping: mean squared difference from the frame before, warped, where the flow is reliable.
      seen: share of the frame in which it is.
      change: mean squared difference where the content does not move.
      still: share of the frame in which it does not.
    """

    warping: float
    seen: float
    change: float
    still: float


@dataclass(frozen=True)
class ClipScore:
    """The score of a clip.

    Attributes:
      preset: name of the preset that defines the losses.
      frames: number of frames.
      cuts: number of scene cuts; frames after them are not compared with those before.
      total: sum of the terms.
      terms: weighted losses by name, the mean over the frames measured.
      warping_error: mean over frames; None if there are no two frames of a scene.
      flicker: root of the mean over frames; None if nothing stands still.
    """

    preset: str
    frames: int
    cuts: int
    total: float
    terms: Mapping[str, float]
    warping_error: float | None
    flicker: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the score as plain values for JSON."""
        return asdict(self)


def score_clip(
    loaded: weights.Loaded,
    made: Clip,
    content: Clip,
    styles: Sequence[Image],
    settings: Settings,
    every: int = 1,
    pause: Callable[[], None] = lambda: None,
) -> ClipScore:
    """Measure a stylized clip, made by any program.

    Args:
      loaded: weights of the network.
      made: the stylized clip.
      content: what it was made from, with a frame for each of its own; resized to its size.
      styles: pixels of the style pictures.
      settings: settings that define the losses.
      every: measure the losses of every so many frames.
      pause: called after each frame; may raise to end.

    Raises:
      ImageError: one clip has more frames than the other.
    """
    terms: list[Mapping[str, float]] = []
    steady: list[Steadiness] = []
    count = cuts = 0
    before: tuple[Pixels, Pixels] | None = None
    for frame, photo in _pairs(made, content, settings.resampling):
        if count % every == 0:
            image, own = images.from_levels(frame), images.from_levels(photo)
            found = score_pictures(loaded, image, own, styles, settings, resized=False)
            terms.append(found.terms)
        if before:
            held = steadiness((frame, before[0]), (photo, before[1]))
            if held.seen < LEAST_SEEN:
                cuts += 1
            else:
                steady.append(held)
        before, count = (frame, photo), count + 1
        pause()
    mean = {name: float(np.mean([of[name] for of in terms])) for name in (terms or [{}])[0]}
    still = [one.change for one in steady if one.still >= LEAST_STILL]
    return ClipScore(
        settings.preset,
        count,
        cuts,
        sum(mean.values()),
        mean,
        float(np.mean([one.warping for one in steady])) if steady else None,
        float(np.sqrt(np.mean(still))) if still else None,
    )


def _pairs(made: Clip, content: Clip, resampling: str) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield each frame of a clip with that of its content, resized to the same size."""
    others = content.frames()
    for _, frame in made.frames():
        found = next(others, None)
        if found is None:
            break
        yield frame, resized(found[1], frame.shape[:2], resampling)
    else:
        if next(others, None) is None:
            return
    counts = f"about {made.count} frames and the content about {content.count}"
    raise ImageError(f"{made.path}: has {counts}: --start, --end and --fps cut the content to it")


def steadiness(frames: tuple[Pixels, Pixels], photos: tuple[Pixels, Pixels]) -> Steadiness:
    """Return how a frame differs from the one before.

    Args:
      frames: the frame and the one before.
      photos: those of the content.
    """
    flow, opposite = optical_flow(*photos), optical_flow(photos[1], photos[0])
    now, then = map(images.from_levels, frames)
    return Steadiness(*map(float, _steadiness(now, then, flow, opposite)))


@jit()
def _steadiness(
    now: Float[Array, "h w 3"],
    then: Float[Array, "h w 3"],
    flow: Float[Array, "h w 2"],
    opposite: Float[Array, "h w 2"],
) -> tuple[Array, Array, Array, Array]:
    sure = temporal.reliability(flow, opposite)
    still = sure * ((flow**2).sum(-1) < STILL**2)

    def mean(squares: Array, weight: Array) -> Array:
        return (weight * squares.mean(-1)).sum() / (weight.sum() + 1e-9)

    warping = mean((now - temporal.warp(then, flow)) ** 2, sure)
    return warping, sure.mean(), mean((now - then) ** 2, still), still.mean()
