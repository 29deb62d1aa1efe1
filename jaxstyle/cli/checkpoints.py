"""``--checkpoint-every`` and ``--resume``: checkpoints of a run, beside its picture."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jaxstyle.cli.flags import flag
from jaxstyle.cli.outputs import Outputs
from jaxstyle.errors import CheckpointError, DamagedError
from jaxstyle.machine.plain_json import checked
from jaxstyle.runs import checkpoint
from jaxstyle.runs.run_checkpoint import RunCheckpoint, differences
from jaxstyle.settings import Settings

START_OVER = "run without --resume to start from the beginning"


@dataclass(frozen=True)
class OutputsSoFar:
    """What ``Outputs.so_far`` returns."""

    taken: int
    frames: list[Any]


@dataclass(frozen=True)
class Kept:
    """A checkpoint: what made the run, its state, and that of its output files."""

    made_by: dict[str, Any]
    run: dict[str, Any]
    outputs: OutputsSoFar


@dataclass
class Keeper:
    """Writer of checkpoints, at intervals and on interruption. Call it with the state of the run.

    Attributes:
      directory: folder of the checkpoint.
      every: seconds between checkpoints, or None for one on interruption only.
      made_by: fingerprint of the run.
      outputs: the output files, whose state is saved too.
      check: raises KeyboardInterrupt once the run has been interrupted.
      since: time of the last checkpoint.
      last: the state at the latest report, and that of the output files.
      continued: whether the run continues from a checkpoint.
      problem: why the last checkpoint could not be written; empty if it was.
    """

    directory: Path
    every: float | None
    made_by: Mapping[str, Any]
    outputs: Outputs
    check: Callable[[], None]
    since: float = field(default_factory=time.monotonic)
    last: tuple[RunCheckpoint, dict[str, Any]] | None = None
    continued: bool = False
    problem: str = ""

    def __call__(self, saved: RunCheckpoint) -> None:
        """Save a checkpoint if one is due; raise KeyboardInterrupt if the run is interrupted."""
        self.last = saved, self.outputs.so_far()
        self.check()
        if self.every and time.monotonic() - self.since >= self.every:
            self._save()
            self.since = time.monotonic()

    def pause(self) -> None:
        """Raise KeyboardInterrupt between reports, if the run is interrupted and nothing is lost.

        Otherwise the run goes on to its next report.
        """
        if self.can_save():
            self.check()

    def can_save(self) -> bool:
        """Return whether all that was reached can be saved now."""
        return self.last is None or self.last[0].is_whole()

    def save(self) -> str:
        """Save a checkpoint of the latest report; return a message, or an empty text if it fails.

        Before the first report nothing is saved, as there is nothing new.
        """
        if self.last is None:
            return f"continue from {self.directory} with --resume" if self.continued else ""
        if not self._save():
            return ""
        where = _position(self.last[0])
        return f"saved a checkpoint ({where}) in {self.directory}: continue with --resume"

    def begin(self, settings: Settings, resume: bool) -> RunCheckpoint | None:
        """Load the checkpoint to continue from, or return None to start from the beginning.

        Raises:
          CheckpointError: the checkpoint is damaged, or belongs to another run.
        """
        tell = self.outputs.tell
        if not resume:
            if self.directory.is_dir():
                tell(
                    f"note: {self.directory} has an earlier run: starting over (--resume would "
                    "continue it)"
                )
            return None
        tree = checkpoint.load(self.directory)
        if tree is None:
            tell(f"{self.directory}: no checkpoint: starting from the beginning")
            return None
        try:
            kept = checked(tree, Kept)
        except DamagedError as error:
            raise CheckpointError(
                f"{self.directory}: is damaged, or of another program ({error}): {START_OVER}"
            ) from error
        named = [
            flag(name) if hasattr(settings, name) else name
            for name in differences(kept.made_by, self.made_by)
        ]
        if named:
            raise CheckpointError(
                f"{self.directory}: is of a run that differs in {', '.join(named)}: repeat its "
                "arguments, or run without --resume to start from the beginning"
            )
        try:
            saved = RunCheckpoint.from_tree(kept.run, settings)
        except CheckpointError as error:
            raise CheckpointError(f"{self.directory}: {error}: {START_OVER}") from error
        self.outputs.go_on(asdict(kept.outputs))
        self.continued = True
        tell(f"{self.directory}: continuing from {_position(saved)}")
        return saved

    def _save(self) -> bool:
        assert self.last
        saved, so_far = self.last
        try:
            tree = {"made_by": self.made_by, "run": saved.to_tree(), "outputs": so_far}
            checkpoint.save(self.directory, tree)
        except (CheckpointError, RuntimeError) as error:  # which must not end the run
            if str(error) != self.problem:
                self.outputs.tell(f"note: no checkpoint: {error}")
            self.problem = str(error)
            return False
        return True


def _position(saved: RunCheckpoint) -> str:
    step = saved.reached.step if saved.reached else 0
    of_what = " of a style picture" if saved.preparing else ""
    return f"step {step} of scale {saved.scale + 1}{of_what}"
