"""The ledger of an output folder: which jobs are done or failed, and with which settings.

No picture that is there is replaced by one that is made in another way, unless that is forced.
"""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from jaxstyle.batch.jobs import Job
from jaxstyle.batch.origins import Stamp, changed, description_of, difference
from jaxstyle.batch.storage import Folder, is_url
from jaxstyle.errors import DamagedError, LedgerError, StorageError, WouldReplaceError
from jaxstyle.machine.plain_json import parsed

LOG = "log.jsonl"
GUARD = "batch.json"
TOKEN = ".token-"
"""Beginning of the name of a file by which the workers of a cluster know the folder."""

_OWN = (LOG, GUARD, ".lock")

REWRITE_EVERY = 10.0
"""Minimum seconds between two writes of a log at a URL, where each write replaces the whole log."""


@dataclass(frozen=True)
class Entry:
    """One line of the log: the outcome of one job.

    Attributes:
      output: file name of the result.
      content: path or URL of the content picture.
      styles: paths or URLs of the style pictures.
      status: "done", "failed", or "again": its output is there, but is to be replaced.
      reason: why it failed; empty if it is done.
      seconds: time that the job took; None if unknown.
      host: name of the host that did it.
      fingerprint: hash of everything that the result depends on.
      time: when it was recorded, UTC in ISO 8601.
      inputs: the files that it was made from, if it is done.
    """

    output: str
    content: str
    styles: list[str]
    status: Literal["done", "failed", "again"]
    reason: str
    seconds: float | None
    host: str
    fingerprint: str
    time: str
    inputs: list[Stamp] = field(default_factory=list)

    def line(self) -> str:
        """Return the entry as a line of ASCII JSON."""
        return json.dumps(asdict(self))


class Log(NamedTuple):
    """What the log of a folder says.

    Attributes:
      entries: latest entry of every output, by output.
      damage: what is damaged in it; empty if nothing is.
    """

    entries: dict[str, Entry]
    damage: str


class Ledger:
    """The log of an output folder, which one process writes. Create it with ``Ledger.open``.

    Attributes:
      entries: latest entry of every output, by output, including those of earlier runs.
      damage: what was damaged in the log when it was opened; empty if nothing was.
      force: whether everything is done again.
    """

    def __init__(self, folder: Folder, guard: Mapping[str, Any], force: bool):
        self.entries, self.damage = read_log(folder)
        self.force = force
        self._folder, self._guard = folder, guard
        self._fingerprints: dict[str, str] = {}
        self._pending: list[str] = []
        self._written = 0.0
        self._recording = threading.Lock()

    @classmethod
    @contextmanager
    def open(
        cls, folder: Folder, guard: Mapping[str, Any], force: bool = False
    ) -> "Iterator[Ledger]":
        """Open the ledger of a folder, and lock the folder against other processes.

        Args:
          folder: folder of the outputs and the log; created if necessary.
          guard: values that all outputs depend on, JSON values by name; stored in batch.json.
          force: do everything again, even if the folder was made with another ``guard``.

        Yields:
          The ledger.

        Raises:
          LedgerError: another process has locked the folder, or it was made with another guard.
          StorageError: the folder cannot be written.
        """
        folder.create()
        with folder.locked():
            for name in folder.names() if not is_url(folder.root) else ():
                if name.startswith(TOKEN):  # of a driver that was killed: nobody else has the lock
                    folder.delete(name)
            _check_guard(folder, guard, force)
            ledger = cls(folder, guard, force)
            try:
                yield ledger
            finally:
                with suppress(StorageError):  # the next run finds done jobs by their outputs
                    ledger.flush()

    def missing(
        self, jobs: Sequence[tuple[Job, str]], describe: Callable[[Job], str] = lambda job: ""
    ) -> list[Job]:
        """Return the jobs that still have to be done.

        A job counts as done if its output exists, unless the log says that a later attempt failed.
        An output that the log does not know, but that says of itself that it was made in the same
        way, was written by a process that was killed before it could log it; it is logged now.

        Args:
          jobs: pairs of a job and its ``fingerprint``.
          describe: function of a job that returns what its output says about how it was made.

        Raises:
          WouldReplaceError: outputs exist that were made in another way, and it is not forced.
        """
        existing, missing, others = self._folder.names(), [], []
        for job, fingerprint in jobs:
            self._fingerprints[job.output] = _sealed(self._guard, fingerprint)
            entry = self.entries.get(job.output)
            if job.output not in existing:
                missing.append(job)
            elif self.force:
                self._record(job, "again")
                missing.append(job)
            elif self._is_other(job, describe):
                others.append(job)
            elif entry is None or not self._fits(job, entry):
                self._record(job, "done")
            elif entry.status != "done":
                missing.append(job)
        if others:
            raise WouldReplaceError(self._refusal(others, describe))
        return missing

    def _is_other(self, job: Job, describe: Callable[[Job], str]) -> bool:
        """Return whether the output that is there was made in another way than this job's.

        Where the log does not know, as it tells of a later attempt, the output itself says.
        """
        entry = self.entries.get(job.output)
        if entry is None or (entry.status != "done" and not self._fits(job, entry)):
            return self._says(job) != describe(job)
        return not self._fits(job, entry) or bool(changed(job.inputs(), entry.inputs))

    def _fits(self, job: Job, entry: Entry) -> bool:
        return entry.fingerprint == self._fingerprints[job.output]

    def _says(self, job: Job) -> str:
        return description_of(self._folder.path(job.output))

    def _refusal(self, jobs: Sequence[Job], describe: Callable[[Job], str]) -> str:
        """Return the message about outputs that were made in another way."""
        first = jobs[0]
        entry = self.entries.get(first.output)
        fits = entry is not None and self._fits(first, entry)
        path = changed(first.inputs(), entry.inputs) if entry and fits else ""
        how = difference(self._says(first), describe(first))
        how = f"from {path}, which has changed since" if path else how
        more = f" (and {len(jobs) - 1} more)" if jobs[1:] else ""
        return (
            f"{self._folder.path(first.output)}{more} was made {how}: remove it, give another "
            "folder, or --force to replace all that is there"
        )

    def done(
        self, job: Job, seconds: float | None, inputs: Sequence[Stamp] = (), host: str = ""
    ) -> None:
        """Record that a job's output is written. The job must have been given to ``missing``."""
        self._record(job, "done", "", seconds, inputs, host)

    def failed(self, job: Job, reason: str, seconds: float | None, host: str = "") -> None:
        """Record that a job has failed. The job must have been given to ``missing``."""
        self._record(job, "failed", " ".join(reason.split()), seconds, (), host)

    def flush(self) -> None:
        """Write all recorded entries to the log."""
        with self._recording:
            self._write_pending()

    def compact(self) -> None:
        """Rewrite the log with one line for every output."""
        self.flush()
        lines = "".join(entry.line() + "\n" for entry in self.entries.values())
        self._folder.write(LOG, lines.encode())

    def _record(
        self,
        job: Job,
        status: Literal["done", "failed", "again"],
        reason: str = "",
        seconds: float | None = None,
        inputs: Sequence[Stamp] = (),
        host: str = "",
    ) -> None:
        entry = Entry(
            output=job.output,
            content=job.content,
            styles=list(job.styles),
            status=status,
            reason=reason,
            seconds=None if seconds is None else round(seconds, 3),
            host=host or socket.gethostname(),
            fingerprint=self._fingerprints[job.output],
            time=datetime.now(UTC).isoformat(timespec="microseconds"),
            inputs=list(inputs),
        )
        with self._recording:
            self.entries[job.output] = entry
            self._pending.append(entry.line())
            rewrites = is_url(self._folder.root)
            if not rewrites or time.monotonic() - self._written >= REWRITE_EVERY:
                with suppress(StorageError):  # it stays pending, and ``flush`` reports it
                    self._write_pending()

    def _write_pending(self) -> None:
        if self._pending:
            self._folder.append(LOG, "\n".join(self._pending))
            self._pending.clear()
            self._written = time.monotonic()


def check_fresh(folder: Folder, outputs: Iterable[str], force: bool = False) -> None:
    """Check that a batch would not overwrite files that no batch has made, or follow links.

    Args:
      folder: output folder; it counts as a batch's own if it has a batch.json.
      outputs: file names that the batch will write, besides the log.
      force: overwrite them.

    Raises:
      WouldReplaceError: it would overwrite a file.
      StorageError: a file of ours is a link or the like.
    """
    folder.check_own(folder.all_names().intersection(_OWN))
    existing = folder.names()
    taken = sorted(existing.intersection([*outputs, LOG]))
    if taken and GUARD not in existing and not force:
        raise WouldReplaceError(
            f"{folder.path(taken[0])}: exists and was not made by a batch: give another folder, or "
            "--force to overwrite it"
        )


def read_log(folder: Folder) -> Log:
    """Return what the log of a folder says: the latest entry of every output.

    Damaged lines are left out. The last one may end in the middle, after a kill.
    """
    latest: dict[str, Entry] = {}
    bad: list[str] = []
    lines = (folder.read(LOG) or b"").split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            entry = parsed(line, Entry)
            latest[entry.output] = entry
        except DamagedError as error:
            bad += [f"line {number}: {error}"] if line.strip() and number < len(lines) else []
    more = f" and {len(bad) - 1} more" if bad[1:] else ""
    damage = f"{folder.path(LOG)}: is damaged, and repaired: {bad[0]}{more}" if bad else ""
    return Log(latest, damage)


def _sealed(guard: Mapping[str, Any], fingerprint: str) -> str:
    """Return a fingerprint that includes the guard.

    If a run with --force is killed halfway, batch.json already has the new guard, but the old
    outputs must not count as done.
    """
    return hashlib.sha256(
        json.dumps([dict(guard), fingerprint], sort_keys=True).encode()
    ).hexdigest()


# --- the settings of the folder -------------------------------------------------------------------


def _check_guard(folder: Folder, guard: Mapping[str, Any], force: bool) -> None:
    """Check that the folder was made with this guard; store the guard if it is new.

    Raises:
      WouldReplaceError: it was made with another guard.
      LedgerError: batch.json is damaged.
    """
    text = json.dumps(dict(guard), indent=1, sort_keys=True) + "\n"
    now, before = json.loads(text), None if force else _guard_of(folder)
    if before == now:
        return
    if before is not None:
        differing = [
            f"{name} {_short(before.get(name))}, not {_short(now.get(name))}"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        raise WouldReplaceError(
            f"{folder.root}: was made with {', and '.join(differing)}: give another folder, or "
            "--force to do everything again"
        )
    folder.write(GUARD, text.encode())


def _guard_of(folder: Folder) -> dict[str, Any] | None:
    """Read batch.json; None if there is none.

    Raises:
      LedgerError: it is damaged.
    """
    data = folder.read(GUARD)
    if data is None:
        return None
    try:
        return parsed(data, dict[str, Any])
    except DamagedError as error:
        raise LedgerError(
            f"{folder.path(GUARD)}: is damaged ({error}): give another folder, or --force to do "
            "everything again"
        ) from error


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 12 else text[:8] + "..."
