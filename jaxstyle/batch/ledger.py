"""What is known of a batch's folder: what is done, and with which settings."""

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
"""Seconds at least from one rewriting of a log behind a URL to the next."""


@dataclass(frozen=True)
class Entry:
    """One line of the log: how it went with one picture.

    ``status`` is "done" or "failed", the latter with a reason; ``seconds`` is None where nobody
    measured them; ``fingerprint`` stands for everything that the picture depends on; ``time`` is
    UTC in ISO 8601.
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
        """As JSON, in ASCII."""
        return json.dumps(asdict(self))

    @staticmethod
    def parse(line: bytes) -> "Entry | None":
        """An entry from its line; None from a line that is torn or somebody else's."""
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError):
            return None
        texts = (entry.output, entry.content, entry.status, entry.reason, entry.host)
        texts += (entry.fingerprint, entry.time)
        whole = all(isinstance(text, str) for text in texts) and isinstance(entry.styles, list)
        return entry if whole else None


class Ledger:
    """What one host of a batch knows and notes down. `open` makes one.

    ``entries`` has the latest entry of every output, of earlier runs too.
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
        """Be the only process at work in a folder, which is made if need be, for one block.

        Args:
          folder: where the outputs and the log are.
          host: which part of the work is this process's.
          guard: what all outputs depend on, as JSON values by name; kept in batch.json.
          force: do everything again, and take the folder over where ``guard`` has changed.

        Raises:
          LedgerError: another process is at work there, or the folder has another guard.
          StorageError: it cannot be written.
        """
        folder.create()
        with locked(folder, host):
            _check_guard(folder, guard, force)
            ledger = cls(folder, host, guard, force)
            try:
                yield ledger
            finally:
                with suppress(StorageError):  # what is not noted down is found by its output
                    ledger.flush()

    def missing(self, jobs: Sequence[tuple[Job, str]]) -> list[Job]:
        """The jobs that are still to be done, of jobs with the fingerprints of their settings.

        An output that is there is done, unless the log says that it has been made with another
        fingerprint, or that making it anew has failed. If the log does not know it, the process
        that made it was killed before it could say so, and that is made up for here.
        """
        there, missing = self._folder.names(), []
        for job, fingerprint in jobs:
            sealed = self._fingerprints[job.output] = _sealed(self._guard, fingerprint)
            known = self.entries.get(job.output)
            if self._force or job.output not in there:
                missing.append(job)
            elif known is None:
                self._record(job, "done", "", None)
            elif (known.status, known.fingerprint) != ("done", sealed):
                missing.append(job)
        return missing

    def done(self, job: Job, seconds: float) -> None:
        """Note down that a job's output is in the folder. The job is one given to `missing`."""
        self._record(job, "done", "", seconds)

    def failed(self, job: Job, reason: str, seconds: float) -> None:
        """Note down that a job has failed, and why."""
        self._record(job, "failed", " ".join(reason.split()), seconds)

    def flush(self) -> None:
        """Write down what is noted."""
        with self._recording:
            self._write_pending()

    def merge(self) -> None:
        """Make one log of those of all hosts, with one line for every output. Host 0 does it."""
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
            rare = is_url(self._folder.root)  # there the whole log is written every time
            if not rare or time.monotonic() - self._written >= REWRITE_EVERY:
                self._write_pending()

    def _write_pending(self) -> None:
        if self._pending:
            self._folder.append(self._log, "\n".join(self._pending))
            self._pending.clear()
            self._written = time.monotonic()


def check_fresh(folder: Folder, outputs: Iterable[str]) -> None:
    """Raises LedgerError where a folder in which no batch has been at work has files by the names
    of these, or of the log."""
    there = folder.names()
    if GUARD not in there and (taken := sorted(there.intersection([*outputs, LOG]))):
        raise LedgerError(
            f"{folder.path(taken[0])}: is there, and no batch has made it: give another folder, or "
            "--force to write over it"
        )


def read_logs(folder: Folder) -> dict[str, Entry]:
    """The latest entry of every output, from all logs in a folder, by output."""
    latest: dict[str, Entry] = {}
    for name in _logs(folder):
        lines = (folder.read(name) or b"").splitlines()
        entries = filter(None, map(Entry.parse, lines))
        own = {entry.output: entry for entry in entries}  # within a log the later line counts
        for output, entry in own.items():
            if output not in latest or entry.time >= latest[output].time:
                latest[output] = entry
    return latest


def _logs(folder: Folder) -> list[str]:
    return sorted(filter(_LOGS.fullmatch, folder.names()))


def _sealed(guard: Mapping[str, Any], fingerprint: str) -> str:
    """One for all that an output depends on.

    With the guard in it, a batch done again with --force and killed in the middle is known to be
    half old: the folder's guard is the new one by then.
    """
    return hashlib.sha256(
        json.dumps([dict(guard), fingerprint], sort_keys=True).encode()
    ).hexdigest()


# --- the settings of the folder -------------------------------------------------------------------


def _check_guard(folder: Folder, guard: Mapping[str, Any], force: bool) -> None:
    """Raises LedgerError in a folder made with another guard; in a new one, keeps this one."""
    text = json.dumps(dict(guard), indent=1, sort_keys=True) + "\n"
    now, before = json.loads(text), _guard_of(folder)
    if before == now:
        return
    if before is not None and not force:
        differing = [
            f"{name} ({_short(before.get(name))} there, {_short(now.get(name))} now)"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        raise LedgerError(
            f"{folder.root}: was made with another {', '.join(differing)}: --force does all of it "
            "again, or give another folder"
        )
    folder.write(GUARD, text.encode())


def _guard_of(folder: Folder) -> dict[str, Any] | None:
    """What batch.json holds, nothing if it is not ours; None where there is none."""
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
