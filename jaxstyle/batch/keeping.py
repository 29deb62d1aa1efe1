"""A batch that was interrupted goes on from where it was: its state is kept beside the outputs."""

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from jaxstyle.batch.cells import Cell
from jaxstyle.batch.record import RunCheckpoint
from jaxstyle.errors import CheckpointError
from jaxstyle.runs import checkpoint

CHECKPOINTS = ".checkpoints"
"""The folder of them, among the outputs."""


@dataclass
class Keeper:
    """Keeps batches by the clock, and when ``check`` raises since the process is to end.

    folder: None where nothing can be kept. every: seconds, or None for only at the end. tell: is
    given a line where something could not be kept.
    """

    folder: Path | None = None
    every: float | None = None
    check: Callable[[], None] = lambda: None
    tell: Callable[[str], None] = lambda line: None
    since: float = field(default_factory=time.monotonic)

    def saved(self, name: str) -> RunCheckpoint | None:
        """What was kept of a batch; nothing if it cannot be read: it is begun anew."""
        if self.folder is None:
            return None
        try:
            return checkpoint.load(self.folder / name)
        except CheckpointError as error:
            self.tell(f"note: a batch is begun anew: {error}")
            return None

    def keep(self, name: str, take: Callable[[], RunCheckpoint]) -> None:
        """Keep a batch, if it is time; before the process ends in any case."""
        try:
            self.check()
        except KeyboardInterrupt:
            self._save(name, take)
            raise
        if self.every is not None and time.monotonic() - self.since >= self.every:
            self._save(name, take)
            self.since = time.monotonic()

    def done(self, name: str) -> None:
        """The batch has been written: nothing of it need be kept."""
        if self.folder is not None and name:
            checkpoint.delete(self.folder / name)

    def end(self) -> None:
        """All is done: what is left is of batches that will not be asked for again."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _save(self, name: str, take: Callable[[], RunCheckpoint]) -> None:
        if self.folder is None:
            return
        try:
            checkpoint.save(self.folder / name, take())
        except CheckpointError as error:  # which is not worth the batch
            self.tell(f"note: no checkpoint: {error}")


def name_of(cells: Sequence[Cell], made_by: str) -> str:
    """A name for a batch: another one where a pixel or a setting is another.

    Args:
      made_by: what else the state depends on: version, weights.
    """
    digest = hashlib.sha256(made_by.encode())
    known: dict[int, bytes] = {}  # many cells have one content, or one style
    for cell in cells:
        digest.update(repr((sorted(cell.settings.to_dict().items()), cell.way)).encode())
        for picture in (cell.content.rgb, *cell.styles):
            if id(picture) not in known:
                pixels = hashlib.sha256(picture.tobytes()).digest()
                known[id(picture)] = repr(picture.shape).encode() + pixels
            digest.update(known[id(picture)])
        for mask in (*cell.settings.content_mask, *cell.settings.style_mask):
            with suppress(OSError):  # then the cell fails, and says why
                digest.update(Path(mask).read_bytes())
    return digest.hexdigest()[:32]
