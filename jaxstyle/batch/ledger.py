"""The ledger of an output folder: which jobs are done or failed, and with which settings."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from jaxstyle.batch.hosts import Host
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.lock import locked
from jaxstyle.batch.storage import Folder, is_url
from jaxstyle.errors import LedgerError, StorageError

LOG = "log.jsonl"
GUARD = "batch.json"
_LOGS = re.compile(r"log(-\d+-of-\d+)?\.jsonl")

REWRITE_EVERY = 10.0
"""Minimum seconds between two writes of a log at a URL, where each write replaces the whole log."""


@dataclass(frozen=True)
class Entry:
    """One line of the log: the outcome of one job.

    Attributes:
      output: file name of the result.
      content: path or URL of the content picture.
      styles: paths or URLs of the style pictures.
      status: "done" or "failed".
      reason: why it failed; empty if it is done.
      seconds: time that the job took; None if unknown.
      host: name of the host that did it.
      fingerprint: hash of everything that the result depends on.
      time: when it was recorded, UTC in ISO 8601.
    """

    output: str
    content: str
    styles: list[str]
    status: str
    reason: str
    seconds: float | None
    host: str
    fingerprint: str
    time: str

    def line(self) -> str:
        """Return the entry as a line of ASCII JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def parse(line: bytes) -> "Entry | None":
        """Parse a line; return None if it is truncated or not an entry."""
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError):
            return None
        texts = (entry.output, entry.content, entry.status, entry.reason, entry.host)
        texts += (entry.fingerprint, entry.time)
        whole = all(isinstance(text, str) for text in texts) and isinstance(entry.styles, list)
        return entry if whole else None


class Ledger:
    """One host's view of the log of an output folder. Create it with ``Ledger.open``.

    Attributes:
      entries: latest entry of every output, by output, including those of earlier runs.
    """

    def __init__(self, folder: Folder, host: Host, guard: Mapping[str, Any], force: bool):
        self.entries = read_logs(folder)
        self._folder, self._host, self._guard, self._force = folder, host, guard, force
        self._log = LOG if host.count == 1 else f"log-{host.index}-of-{host.count}.jsonl"
        self._fingerprints: dict[str, str] = {}
        self._pending: list[str] = []
        self._written = 0.0
        self._recording = threading.Lock()

    @classmethod
    @contextmanager
    def open(
        cls, folder: Folder, host: Host, guard: Mapping[str, Any], force: bool = False
    ) -> "Iterator[Ledger]":
        """Open the ledger of a folder, and lock the folder against other processes.

        Args:
          folder: folder of the outputs and the log; created if necessary.
          host: this host.
          guard: values that all outputs depend on, JSON values by name; stored in batch.json.
          force: do everything again, even if the folder was made with another ``guard``.

        Yields:
          The ledger.

        Raises:
          LedgerError: another process has locked the folder, or it was made with another guard.
          StorageError: the folder cannot be written.
        """
        folder.create()
        with locked(folder, host):
            _check_guard(folder, guard, force)
            ledger = cls(folder, host, guard, force)
            try:
                yield ledger
            finally:
                with suppress(StorageError):  # the next run finds done jobs by their outputs
                    ledger.flush()

    def missing(self, jobs: Sequence[tuple[Job, str]]) -> list[Job]:
        """Return the jobs that still have to be done.

        A job counts as done if its output exists, unless the log says that the output was made with
        another fingerprint or that a later attempt failed. An output that is not in the log was
        written by a process that was killed before it could log it; it is logged now.

        Args:
          jobs: pairs of a job and its ``fingerprint``.
        """
        existing, missing = self._folder.names(), []
        for job, fingerprint in jobs:
            expected = self._fingerprints[job.output] = _sealed(self._guard, fingerprint)
            entry = self.entries.get(job.output)
            if self._force or job.output not in existing:
                missing.append(job)
            elif entry is None:
                self._record(job, "done", "", None)
            elif (entry.status, entry.fingerprint) != ("done", expected):
                missing.append(job)
        return missing

    def done(self, job: Job, seconds: float) -> None:
        """Record that a job's output is written. The job must have been given to ``missing``."""
        self._record(job, "done", "", seconds)

    def failed(self, job: Job, reason: str, seconds: float) -> None:
        """Record that a job has failed. The job must have been given to ``missing``."""
        self._record(job, "failed", " ".join(reason.split()), seconds)

    def flush(self) -> None:
        """Write all recorded entries to the log."""
        with self._recording:
            self._write_pending()

    def merge(self) -> None:
        """Merge the logs of all hosts into one, with one line for every output.

        On hosts other than host 0 it only flushes this host's log.
        """
        self.flush()
        if self._host.index:
            return
        logs = _logs(self._folder)
        self.entries = read_logs(self._folder)
        lines = "".join(entry.line() + "\n" for entry in self.entries.values())
        self._folder.write(LOG, lines.encode())
        for name in logs:
            if name != LOG:
                self._folder.delete(name)

    def _record(self, job: Job, status: str, reason: str, seconds: float | None) -> None:
        entry = Entry(
            output=job.output,
            content=job.content,
            styles=list(job.styles),
            status=status,
            reason=reason,
            seconds=None if seconds is None else round(seconds, 3),
            host=self._host.names[self._host.index],
            fingerprint=self._fingerprints[job.output],
            time=datetime.now(UTC).isoformat(timespec="microseconds"),
        )
        with self._recording:
            self.entries[job.output] = entry
            self._pending.append(entry.line())
            rewrites = is_url(self._folder.root)
            if not rewrites or time.monotonic() - self._written >= REWRITE_EVERY:
                self._write_pending()

    def _write_pending(self) -> None:
        if self._pending:
            self._folder.append(self._log, "\n".join(self._pending))
            self._pending.clear()
            self._written = time.monotonic()


def check_fresh(folder: Folder, outputs: Iterable[str]) -> None:
    """Raise LedgerError if a batch would overwrite files that no batch has made.

    Args:
      folder: output folder; it counts as a batch's own if it has a batch.json.
      outputs: file names that the batch will write, besides the log.
    """
    existing = folder.names()
    if GUARD not in existing and (taken := sorted(existing.intersection([*outputs, LOG]))):
        raise LedgerError(
            f"{folder.path(taken[0])}: exists and was not made by a batch: give another folder, or "
            "--force to overwrite it"
        )


def read_logs(folder: Folder) -> dict[str, Entry]:
    """Return the latest entry of every output, by output, from all logs in a folder."""
    latest: dict[str, Entry] = {}
    for name in _logs(folder):
        lines = (folder.read(name) or b"").splitlines()
        entries = filter(None, map(Entry.parse, lines))
        own = {entry.output: entry for entry in entries}  # within a log, later lines win
        for output, entry in own.items():
            if output not in latest or entry.time >= latest[output].time:
                latest[output] = entry
    return latest


def _logs(folder: Folder) -> list[str]:
    return sorted(filter(_LOGS.fullmatch, folder.names()))


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
    """Raise LedgerError if the folder was made with another guard; store the guard if it is new."""
    text = json.dumps(dict(guard), indent=1, sort_keys=True) + "\n"
    now, before = json.loads(text), _guard_of(folder)
    if before == now:
        return
    if before is not None and not force:
        differing = [
            f"{name} ({_short(before.get(name))} before, {_short(now.get(name))} now)"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        raise LedgerError(
            f"{folder.root}: was made with other values of {', '.join(differing)}: give another "
            "folder, or --force to do everything again"
        )
    folder.write(GUARD, text.encode())


def _guard_of(folder: Folder) -> dict[str, Any] | None:
    """Read batch.json; None if there is none, empty if it is not a guard."""
    data = folder.read(GUARD)
    if data is None:
        return None
    try:
        guard = json.loads(data)
    except ValueError:
        return {}
    return guard if isinstance(guard, dict) else {}


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 12 else text[:8] + "..."
