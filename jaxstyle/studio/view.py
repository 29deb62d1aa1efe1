"""What a browser is shown of a piece of work, at one moment."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from PIL import Image as PillowImage

from jaxstyle import images
from jaxstyle.images.sizes import fit
from jaxstyle.machine.words import clock
from jaxstyle.runs.result import Progress

State = Literal["empty", "waiting", "running", "asking", "done", "stopped", "failed"]
Image = Float[np.ndarray, "_ _ 3"]

SHOWN = 1024
"""Longest side of a picture on the page, in pixels."""

SHOWN_MOVING = 640
"""The same of a picture that is still growing, several times a second."""

MOST_POINTS = 200
"""Points of a loss curve; of more reports, some are left out."""

FAMILIES = ("total", "content", "style", "tv")
"""What a loss curve shows: the sum of all terms, and of those whose names begin like this."""


@dataclass(frozen=True)
class Cell:
    """A cell of a grid.

    Attributes:
      label: what sets it apart, in words.
      picture: JPEG; empty if there is nothing to be seen yet.
      name: its name in the history once it is finished.
    """

    label: str
    picture: bytes = b""
    name: str = ""


@dataclass(frozen=True)
class View:
    """What a browser is shown of a piece of work.

    Attributes:
      state: how far it is.
      title: what is made, in a few words.
      text: one line about how it goes, or why it failed.
      picture: the picture, as a JPEG.
      before: the photo at the same size, as a JPEG, to compare with.
      alt: the picture in words.
      share: share of the work that is done, from 0 to 1.
      curves: losses by family, in the order of the reports.
      starts: at which reports a new scale began.
      notes: notes for the user.
      names: names of what it made, in the history.
      columns: number of columns of a grid.
      cells: cells of a grid, row by row.
    """

    state: State = "empty"
    title: str = ""
    text: str = ""
    picture: bytes = b""
    before: bytes = b""
    alt: str = ""
    share: float = 0.0
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    starts: Sequence[int] = ()
    notes: Sequence[str] = ()
    names: Sequence[str] = ()
    columns: int = 0
    cells: Sequence[Cell] = ()

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ("empty", "asking", "done", "stopped", "failed")


def jpeg(image: Image, longest: int = SHOWN, quality: int = 88) -> bytes:
    """Return an image as a JPEG, reduced to at most this many pixels a side."""
    height, width = image.shape[:2]
    if max(height, width) > longest:
        image = images.resize(image, *fit(height, width, longest))
    buffer = io.BytesIO()
    PillowImage.fromarray(images.to_levels(image)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def as_url(picture: bytes) -> str:
    """Return a JPEG as a URL that holds all of it."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


class Course:
    """The losses of a run so far, as curves."""

    def __init__(self) -> None:
        self.curves: dict[str, list[float]] = {family: [] for family in FAMILIES}
        self.starts: list[int] = []
        self._scale = 0

    def add(self, progress: Progress) -> None:
        """Add a report."""
        if progress.scale != self._scale:
            self._scale = progress.scale
            self.starts.append(len(self.curves["total"]))
        sums = dict.fromkeys(FAMILIES, 0.0) | {"total": float(progress.total)}
        for name, value in progress.terms.items():
            family = name.partition("/")[0]
            if family in sums:
                sums[family] += float(value)
        for family, value in sums.items():
            self.curves[family].append(value)

    def shown(self) -> dict[str, Any]:
        """Return the curves of the losses that are not always zero, and the starts, for `View`."""
        count = len(self.curves["total"])
        stride = 1 + count // MOST_POINTS
        places = [*range(0, count - 1, stride), count - 1] if count else []
        return {
            "curves": {
                name: tuple(each[place] for place in places)
                for name, each in self.curves.items()
                if any(each)
            },
            "starts": tuple(start // stride for start in self.starts),
        }


def in_words(progress: Progress) -> str:
    """Return one line about a run: its scale, step and time left."""
    scale = progress.scales[progress.scale]
    if progress.preparing:
        return "preparing the style picture"
    place = f"scale {progress.scale + 1} of {len(progress.scales)}"
    return (
        f"{place} · {scale.width} × {scale.height} · step {progress.step} of {progress.steps}"
        f" · {clock(progress.seconds_left)} left"
    )
