"""The jobs of a batch, brought into an output folder by one worker or by those of a cluster.

A folder that was interrupted is completed without repeating finished jobs. Jobs are grouped for the
whole list before any is run, so that each result is the same wherever an earlier run was killed.
This process alone writes the ledger; workers write the pictures and report on them.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from jaxstyle import images
from jaxstyle.batch.buckets import Batch, Refused, Sides, group_into_batches
from jaxstyle.batch.cells import alone, static_key
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.ledger import Ledger
from jaxstyle.batch.origins import size_and_time
from jaxstyle.batch.storage import Folder, is_url, local_copy
from jaxstyle.batch.worker import Todo, forget_pictures
from jaxstyle.errors import ImageError, StorageError
from jaxstyle.execution.workers.cluster import POLL, Member, Pool
from jaxstyle.execution.workers.local import Local
from jaxstyle.execution.workers.tasks import Done, Task
from jaxstyle.runs.result import Progress

READERS = 16
"""Number of threads that read the sides of pictures; with URLs they mostly wait."""

HEAD, JPEG = 2**18, b"\xff\xd8"
"""Number of leading bytes that contain the sides of almost any JPEG, and the JPEG signature.

Other formats are read whole, since the EXIF orientation may be at their end.
"""


@dataclass
class Status:
    """Progress of a batch run.

    Attributes:
      total: number of jobs.
      found: number of jobs that were done before this run.
      made: number of jobs done in this run.
      failed: number of jobs that failed in this run.
      slots: batch size of the current program.
      running: progress of the current batch; None between batches, and on a cluster.
      seconds: time since the run began.
      capacity: the same of all workers together, without those that had not started.
      waited: seconds of them in which no batch ran because files were being read or written.
      stepping: seconds of them in which the optimizer took steps.
      compilations: number of compiled step programs.
      target_compilations: number of compiled programs that compute targets.
      members: the workers of a cluster.
      lost: number of workers lost.
    """

    total: int
    found: int
    made: int = 0
    failed: int = 0
    slots: int = 0
    running: Progress | None = None
    seconds: float = 0.0
    capacity: float = 0.0
    waited: float = 0.0
    stepping: float = 0.0
    compilations: int = 0
    target_compilations: int = 0
    members: Sequence[Member] = ()
    lost: int = 0

    @property
    def left(self) -> int:
        """Number of jobs that are still to be done."""
        return self.total - self.found - self.made - self.failed


def missing_outputs(
    jobs: Sequence[Job], out: Folder, ledger: Ledger, describe: Callable[[Job], str]
) -> frozenset[str]:
    """Return the outputs that are still to be made.

    Args:
      jobs: the jobs.
      out: folder of the results.
      ledger: the folder's ledger.
      describe: function of a job that returns the text for the result's metadata.

    Raises:
      WouldReplaceError: a result that is there was made in another way.
    """
    fingerprinted = [(job, fingerprint(job, out.root)) for job in jobs]
    return frozenset(job.output for job in ledger.missing(fingerprinted, describe))


def run_jobs(
    jobs: Sequence[Job],
    missing: frozenset[str],
    out: Folder,
    ledger: Ledger,
    on: Local | Pool,
    watch: Callable[[Status], None],
    check: Callable[[], None] = lambda: None,
) -> Status:
    """Run the jobs that are not done yet.

    Args:
      jobs: all jobs: which of them go together does not depend on what is missing.
      missing: see ``missing_outputs``.
      out: folder of the results.
      ledger: the folder's ledger; finished and failed jobs are recorded in it.
      on: what they are run on; its workers are those of ``jaxstyle.batch.worker``.
      watch: called with every progress report; its exceptions are passed on.
      check: called often while pictures are read; may raise.

    Returns:
      The final status.

    Raises:
      StorageError: the disk is full, or the log cannot be written.
    """
    start = time.perf_counter()
    found, refused = group_jobs(jobs, on, check)
    by_output = {job.output: job for job in jobs}
    status = Status(len(jobs), len(jobs) - len(missing))
    before = {output: size_and_time(out.path(output)) for output in missing & out.names()}

    def failed(job: Job, reason: str, seconds: float | None, worker: str = "") -> None:
        ledger.failed(job, reason, seconds, worker)
        status.failed += 1

    def done(each: Done) -> None:
        todo: Todo = each.task.payload
        if each.report is None:
            for job in todo.jobs():
                failed(job, each.reason, None, each.worker)
            return
        for outcome in each.report.outcomes:
            job = by_output[outcome.output]
            if outcome.reason:
                failed(job, outcome.reason, outcome.seconds, each.worker)
            else:
                ledger.done(job, outcome.seconds, outcome.inputs, each.worker)
                status.made += 1
        status.stepping += each.report.stepping
        status.compilations += each.report.compilations
        status.target_compilations += each.report.target_compilations
        for outcome in each.report.outcomes:
            if outcome.full:
                raise StorageError(outcome.reason)

    def again(todo: Todo, split: bool, worker: str) -> list[Todo]:
        """Return what is left of a batch whose worker was lost, after it may have written some."""
        names = out.names()
        at = {job.output: size_and_time(out.path(job.output)) for job in todo.jobs()}
        written = {o for o in at if o in names and (o not in before or at[o] != before[o])}
        for job in todo.jobs():
            if job.output in written:
                ledger.done(job, None, (), worker)
                status.made += 1
        left = Todo(todo.batch, todo.missing - written)
        return (left.halves() if split else []) or ([left] if left.jobs() else [])

    def refresh() -> None:
        status.seconds, status.capacity = time.perf_counter() - start, on.capacity
        status.waited, status.members, status.lost = on.idle, on.members, on.lost
        status.running, status.slots = on.running or (None, status.slots)
        watch(status)

    for each in refused:
        if each.job.output in missing:
            failed(each.job, each.reason, 0.0)
    batches = (Todo(b, missing & {job.output for job in b.jobs}) for b in found)
    tasks = [Task(name_of(todo), kind_of(todo.batch), todo) for todo in batches if todo.missing]
    refresh()
    on.run_jobs(tasks, done, refresh, again)
    there = out.names()
    for output in sorted(missing - there):
        if ledger.entries[output].status == "done":  # as where a shared folder is unmounted
            status.made -= 1
            worker = ledger.entries[output].host
            failed(by_output[output], "is not here, although a worker wrote it", None, worker)
    forget_pictures()
    refresh()
    return status


def name_of(todo: Todo) -> str:
    """Return the name of a batch in dashboards: its first missing output."""
    first, *more = todo.jobs()
    return f"{first.output} and {len(more)} more" if more else first.output


def kind_of(batch: Batch) -> object:
    """Return a key that is equal for batches that share compiled programs."""
    settings = batch.jobs[0].settings
    shared = "alone" if alone(settings) else static_key(settings)
    return shared, repr(batch.layers), batch.shape, batch.slots


def group_jobs(
    jobs: Sequence[Job], on: Local | Pool, check: Callable[[], None] = lambda: None
) -> tuple[list[Batch], list[Refused]]:
    """Group jobs into batches, whether or not they are already done.

    Only the sides of the pictures are read.

    Args:
      jobs: the jobs.
      on: what they are run on: one of its workers says how many go together.
      check: called often while pictures are read; may raise.

    Returns:
      The batches, and the jobs that cannot be run.
    """
    paths = (path for job in jobs for path in job.inputs())
    sides, unreadable = sides_of(paths, on.ask("free_memory"), check)
    readable, refused = [], []
    for job in jobs:
        reasons = [unreadable[path] for path in job.inputs() if path in unreadable]
        if reasons:
            refused.append(Refused(job, reasons[0]))
        else:
            readable.append(job)
    found, unfit = group_into_batches(readable, sides, partial(on.ask, "batch_size"))
    return found, refused + unfit


def sides_of(
    paths: Iterable[str], free: int | None = None, check: Callable[[], None] = lambda: None
) -> tuple[dict[str, Sides], dict[str, str]]:
    """Read the sides of pictures in parallel.

    Args:
      paths: paths or URLs; repetitions are read once.
      free: bytes of memory that are free where they will be decoded; None if unknown.
      check: called often; may raise.

    Returns:
      The sides of the readable pictures, and the reasons why the others cannot be read, by path.
    """
    readers, sides, reasons = ThreadPoolExecutor(READERS), {}, {}
    try:
        reading = {path: readers.submit(_sides, path, free) for path in dict.fromkeys(paths)}
        for path, read in reading.items():
            while not read.done():
                wait([read], timeout=POLL)
                check()
            try:
                sides[path] = read.result()
            except (ImageError, StorageError) as error:
                reasons[path] = str(error)
    finally:
        readers.shutdown(wait=False, cancel_futures=True)
    return sides, reasons


def _sides(path: str, free: int | None) -> Sides:
    """Read the sides of one picture; a JPEG at a URL is fetched only as far as needed."""
    if is_url(path):
        with local_copy(path, HEAD) as local, suppress(ImageError):
            if local.read_bytes().startswith(JPEG):
                return images.read_sides(local, free)
    with local_copy(path) as local:
        return images.read_sides(local, free)


def fingerprint(job: Job, root: str) -> str:
    """Return a hash of all that a job's result depends on, except the folder's guard.

    Paths are hashed relative to ``root``, the output folder, so that pictures and results can be
    moved together.
    """
    paths = [_seen_from(root, path) for path in (job.content, *job.styles)]
    inputs = [paths, job.settings.map_paths(partial(_seen_from, root)).to_dict()]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _seen_from(root: str, path: str) -> str:
    if is_url(root) or is_url(path):
        return path if is_url(path) else os.path.abspath(path)
    try:
        return os.path.relpath(path, root)
    except ValueError:  # another drive, on Windows
        return os.path.abspath(path)
