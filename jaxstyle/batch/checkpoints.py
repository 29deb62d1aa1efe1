"""Checkpoints of batches, kept beside the outputs, so that an interrupted batch can be resumed."""

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from jaxstyle.errors import CheckpointError
from jaxstyle.runs import checkpoint
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.run_checkpoint import RunCheckpoint
from jaxstyle.settings import Settings

CHECKPOINTS = ".checkpoints"
"""Name of the folder of checkpoints inside the output folder."""


@dataclass
class Keeper:
    """Saves, loads and deletes the checkpoints of batches.

    Attributes:
      folder: folder of the checkpoints; None to keep none.
      every: seconds between checkpoints; None to save only before the process ends.
      check: called with every report; raises KeyboardInterrupt if the process has to end.
      tell: called with a line of text if a checkpoint cannot be read or written.
      since: time of the last checkpoint, by ``time.monotonic``.
      last: name and latest state of the running batch.
      unwritten: names of the batches whose results are not written yet.
    """

    folder: Path | None = None
    every: float | None = None
    check: Callable[[], None] = lambda: None
    tell: Callable[[str], None] = lambda line: None
    since: float = field(default_factory=time.monotonic)
    last: tuple[str, RunCheckpoint] | None = None
    unwritten: set[str] = field(default_factory=set)

    def saved(self, name: str, settings: Settings) -> RunCheckpoint | None:
        """Load a batch's checkpoint; None if there is none or it cannot be read.

        Args:
          name: name of the batch, from ``name_of``.
          settings: settings of one of its pictures.
        """
        if self.folder is None:
            return None
        try:
            tree = checkpoint.load(self.folder / name)
            return RunCheckpoint.from_tree(tree, settings) if tree else None
        except CheckpointError as error:
            self.tell(f"note: a batch starts from the beginning: {error}")
            return None

    def keep(self, name: str, reached: RunCheckpoint) -> None:
        """Save a checkpoint if one is due, or if the process has to end.

        Args:
          name: name of the batch, from ``name_of``.
          reached: the batch's current state.

        Raises:
          KeyboardInterrupt: passed on from ``check``, after saving.
        """
        self.last = name, reached
        self.pause()
        if self.every is not None and time.monotonic() - self.since >= self.every:
            self._save(name, reached)
            self.since = time.monotonic()

    def pause(self) -> None:
        """Save a checkpoint if the process has to end, unless a step is being taken.

        Raises:
          KeyboardInterrupt: passed on from ``check``, after saving.
        """
        if self.last and not self.last[1].is_whole():
            return
        try:
            self.check()
        except KeyboardInterrupt:
            if self.last:
                self._save(*self.last)
            raise

    def save(self) -> bool:
        """Save a checkpoint, from any thread; return whether the process can end without a loss."""
        last = self.last
        if self.unwritten or (last and not last[1].is_whole()):
            return False
        try:
            if last:
                self._save(*last)
        except RuntimeError:  # a step has begun meanwhile
            return False
        return last is self.last and not self.unwritten

    def run(self, name: str) -> None:
        """Let go of the state of a batch that has been run, and whose results will be written."""
        self.unwritten.add(name)
        self.last = None

    def done(self, name: str) -> None:
        """Delete the checkpoint of a batch whose results are written."""
        self.unwritten.discard(name)
        if self.folder is not None and name:
            checkpoint.delete(self.folder / name)

    def _save(self, name: str, reached: RunCheckpoint) -> None:
        if self.folder is None:
            return
        try:
            checkpoint.save(self.folder / name, reached.to_tree())
        except CheckpointError as error:  # no reason to stop the batch
            self.tell(f"note: no checkpoint: {error}")


def name_of(cells: Sequence[Inputs], made_by: str) -> str:
    """Return the name of a batch's checkpoint: a hash of all its pixels and settings.

    Args:
      cells: pictures of the batch, in order.
      made_by: text on which the state depends too, such as versions and the hash of the weights.
    """
    digest = hashlib.sha256(made_by.encode())
    hashes: dict[int, bytes] = {}  # many cells share a content or a style
    for cell in cells:
        digest.update(repr((sorted(cell.settings.to_dict().items()), cell.schedule)).encode())
        for picture in (cell.content.pixels, *cell.styles):
            if id(picture) not in hashes:
                pixels = hashlib.sha256(picture.tobytes()).digest()
                hashes[id(picture)] = repr(picture.shape).encode() + pixels
            digest.update(hashes[id(picture)])
        for mask in (*cell.settings.content_mask, *cell.settings.style_mask):
            with suppress(OSError):  # running the cell will report it
                digest.update(Path(mask).read_bytes())
    return digest.hexdigest()[:32]
