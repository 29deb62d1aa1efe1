"""--checkpoint-every and --resume: a run is kept beside its picture, and gone on with."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxstyle.cli.flags import flag
from jaxstyle.cli.outputs import Outputs
from jaxstyle.errors import CheckpointError
from jaxstyle.runs import checkpoint
from jaxstyle.runs.run_checkpoint import RunCheckpoint, differences
from jaxstyle.settings import Settings


@dataclass
class Keeper:
    """Keeps a run by the clock, and when it is asked to end. Call it with all that was reached.

    every: seconds, or None for only at the end. made_by: the run's fingerprint. check: raises
    KeyboardInterrupt once the run is to end. kept: what was kept then, in words. problem: why it
    could not be kept, the last time.
    """

    directory: Path
    every: float | None
    made_by: Mapping[str, Any]
    outputs: Outputs
    check: Callable[[], None]
    since: float = field(default_factory=time.monotonic)
    kept: str = ""
    problem: str = ""

    def __call__(self, saved: RunCheckpoint) -> None:
        try:
            self.check()
        except KeyboardInterrupt:
            if self._save(saved):
                self.kept = f"kept the run ({_place(saved)}) in {self.directory}: --resume goes on"
            raise
        if self.every and time.monotonic() - self.since >= self.every:
            self._save(saved)
            self.since = time.monotonic()

    def begin(self, settings: Settings, resume: bool) -> RunCheckpoint | None:
        """What to go on from, if that is wanted and there is something.

        Raises:
          CheckpointError: it is damaged, or of another run.
        """
        tell = self.outputs.tell
        if not resume:
            if self.directory.is_dir():
                tell(f"note: {self.directory} has an earlier run: --resume would go on with that")
            return None
        tree = checkpoint.load(self.directory)
        if tree is None:
            tell(f"{self.directory}: no checkpoint: starting from the beginning")
            return None
        named = [
            flag(name) if hasattr(settings, name) else name
            for name in differences(tree.get("made_by", {}), self.made_by)
        ]
        if named:
            raise CheckpointError(
                f"{self.directory}: is of a run that differs in {', '.join(named)}: give what was "
                "given then, or run without --resume to start from the beginning"
            )
        saved = RunCheckpoint.from_tree(tree["run"], settings)
        self.outputs.go_on(tree["outputs"])
        tell(f"{self.directory}: going on from {_place(saved)}")
        return saved

    def _save(self, saved: RunCheckpoint) -> bool:
        tree = {"made_by": self.made_by, "run": saved.to_tree(), "outputs": self.outputs.so_far()}
        try:
            checkpoint.save(self.directory, tree)
        except CheckpointError as error:  # which is not worth the run
            if str(error) != self.problem:
                self.outputs.tell(f"note: no checkpoint: {error}")
            self.problem = str(error)
            return False
        return True


def _place(saved: RunCheckpoint) -> str:
    step = saved.report.step if saved.report else 0
    of_what = " of a style picture" if saved.preparing else ""
    return f"step {step} of scale {saved.scale + 1}{of_what}"
