"""What clips are read from: a source shows pictures at times of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

Frame = UInt8[np.ndarray, "height width 3"]


class Shown(NamedTuple):
    """A picture of a source, which is converted to RGB only if it is asked for.

    Attributes:
      time: Seconds from the first picture of the source until this one appears.
      picture: Returns the frame.
    """

    time: Fraction
    picture: Callable[[], Frame]


class Audio(NamedTuple):
    """A stream of sound: its number in the file, and the name of its codec."""

    stream: int
    codec: str


@dataclass
class Source:
    """A file or folder that pictures are read from, in the order in which they are shown.

    Attributes:
      path: As the user named it.
      height, width: In pixels, upright and square.
      rate: Frames per second that show every picture, or about as many as there are.
      last: Seconds until the last picture appears.
      length: Seconds until it disappears.
      tolerance: Seconds by which times may be wrong, as they are rounded in the file.
      zero: Time of the first picture in the file, in seconds.
      audio: Streams of sound.
      notes: What the user should know; reading may add some.
    """

    path: str
    height: int
    width: int
    rate: Fraction
    last: Fraction
    length: Fraction
    tolerance: Fraction = Fraction(0)
    zero: Fraction = Fraction(0)
    audio: list[Audio] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def shown(self, since: Fraction) -> Iterator[Shown]:
        """Yield the pictures, beginning with the one that is shown at a time or one before it."""
        raise NotImplementedError

    def note(self, text: str) -> None:
        """Add a note for the user, unless it was made before."""
        note = f"{self.path}: {text}"
        if note not in self.notes:
            self.notes.append(note)
