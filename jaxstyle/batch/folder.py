"""Running the jobs of a batch: read the inputs, run, write the results to a folder.

A folder that was interrupted is completed without repeating finished jobs. Jobs are grouped for the
whole list before any is run, so that each result is the same wherever an earlier run was killed.
One thread reads the next batch and another writes the previous one while the devices compute.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial

import jax

from jaxstyle import images
from jaxstyle.batch.buckets import Batch, Refused, Sides, group_into_batches
from jaxstyle.batch.cells import alone, batch_that_fits
from jaxstyle.batch.hosts import Host, share
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.ledger import Ledger
from jaxstyle.batch.storage import Folder, is_url, local_copy
from jaxstyle.batch.task import Options, Read, Status, Task, forget_pictures
from jaxstyle.errors import ImageError, StorageError
from jaxstyle.execution.batched import mesh_of
from jaxstyle.execution.compilation import one_ahead
from jaxstyle.execution.plan import blank
from jaxstyle.images import Picture
from jaxstyle.network import weights
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.result import Progress, scale_reports

__all__ = ["Options", "Status", "fingerprint", "run_jobs", "group_jobs", "sides_of"]

AUTO = 32
"""Default batch size per device, if it fits into memory."""

AUTO_ON_CPU = 4
"""``AUTO`` on CPU, where larger batches are no faster and more is lost if the process is killed."""

READERS = 16
"""Number of threads that read the sides of pictures; with URLs they mostly wait."""

HEAD, JPEG = 2**18, b"\xff\xd8"
"""Number of leading bytes that contain the sides of almost any JPEG, and the JPEG signature.

Other formats are read whole, since the EXIF orientation may be at their end.
"""


def run_jobs(
    jobs: Sequence[Job],
    loaded: weights.Loaded,
    out: Folder,
    host: Host,
    ledger: Ledger,
    options: Options,
    watch: Callable[[Status], None],
) -> Status:
    """Run this host's share of the jobs, as far as they are not done yet.

    Args:
      jobs: all jobs of all hosts.
      loaded: weights of the network.
      out: folder of the results.
      host: this host.
      ledger: the folder's ledger; finished and failed jobs are recorded in it.
      options: batch size, output format and callbacks.
      watch: called with every progress report; its exceptions are passed on.

    Returns:
      The final status.

    Raises:
      WouldReplaceError: a result that is there was made in another way.
      StorageError: the disk is full, or the log cannot be written.
    """
    start, devices = time.perf_counter(), jax.local_devices()
    found, refused = group_jobs(jobs, loaded, options.batch_size, host, options.keeper.check)
    own_jobs = [job for batch in found for job in batch.jobs] + [each.job for each in refused]
    fingerprinted = [(job, fingerprint(job, out.root)) for job in own_jobs]
    missing = {j.output for j in ledger.missing(fingerprinted, options.describe)}
    status = Status(len(own_jobs), len(own_jobs) - len(missing))
    task = Task(loaded, out, ledger, options, missing, status)
    for each in refused:
        if each.job.output in missing:
            task.fail(each.job, each.reason, 0.0)
    todo = [batch for batch in found if any(job.output in missing for job in batch.jobs)]
    mesh = mesh_of(devices) if len(devices) > 1 else None

    def report(progress: Progress | None = None) -> None:
        status.running, status.seconds = progress, time.perf_counter() - start
        watch(status)

    report()
    with ThreadPoolExecutor(1) as writer:
        written: Future[None] | None = None
        for read in _waiting(one_ahead(task.read, todo) if todo else (), status):
            status.slots = read.batch.slots
            begin = time.perf_counter()
            results = task.run(read, report, mesh) if task.is_worth_it(read) else []
            seconds = time.perf_counter() - begin
            status.running = None  # it would keep the images on the device
            for scale in scale_reports(results):
                status.stepping += scale.run_seconds
                status.compilations += scale.compilations
                status.target_compilations += scale.target_compilations
            with _waited(status):
                if written:
                    written.result()
            written = writer.submit(task.write, read, results, seconds)
        if written:
            written.result()
    forget_pictures()
    report()
    return status


def group_jobs(
    jobs: Sequence[Job],
    loaded: weights.Loaded,
    batch_size: int | None,
    host: Host,
    check: Callable[[], None] = lambda: None,
) -> tuple[list[Batch], list[Refused]]:
    """Group this host's jobs into batches, whether or not they are already done.

    Only the sides of the pictures are read. Hosts share out jobs and not batches, since their
    devices and therefore their batch sizes may differ.

    Args:
      jobs: all jobs of all hosts.
      loaded: weights of the network.
      batch_size: pictures at once; None to choose by memory.
      host: this host.
      check: called often while pictures are read; may raise.

    Returns:
      The batches, and the jobs that cannot be run.
    """
    sides, unreadable = sides_of((path for job in jobs for path in job.inputs()), check)
    own = {job.output for job in share(jobs, host)}
    readable, refused = [], []
    for job in jobs:
        reasons = [unreadable[path] for path in job.inputs() if path in unreadable]
        if not reasons:
            readable.append(job)
        elif job.output in own:
            refused.append(Refused(job, reasons[0]))
    devices = len(jax.local_devices())
    sized = partial(_batch_size, loaded, batch_size, devices)
    found, unfit = group_into_batches(readable, sides, sized, own)
    return found, refused + unfit


def sides_of(
    paths: Iterable[str], check: Callable[[], None] = lambda: None
) -> tuple[dict[str, Sides], dict[str, str]]:
    """Read the sides of pictures in parallel.

    Args:
      paths: paths or URLs; repetitions are read once.
      check: called often; may raise.

    Returns:
      The sides of the readable pictures, and the reasons why the others cannot be read, by path.
    """
    readers = ThreadPoolExecutor(READERS)
    try:
        reading = {path: readers.submit(_sides, path) for path in dict.fromkeys(paths)}
        while wait(reading.values(), timeout=0.2).not_done:
            check()
    finally:
        readers.shutdown(wait=False, cancel_futures=True)
    sides, reasons = {}, {}
    for path, read in reading.items():
        try:
            sides[path] = read.result()
        except (ImageError, StorageError) as error:
            reasons[path] = str(error)
    return sides, reasons


def _sides(path: str) -> Sides:
    """Read the sides of one picture; a JPEG at a URL is fetched only as far as needed."""
    if is_url(path):
        with local_copy(path, HEAD) as local, suppress(ImageError):
            if local.read_bytes().startswith(JPEG):
                return images.read_sides(local)
    with local_copy(path) as local:
        return images.read_sides(local)


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


def _batch_size(
    loaded: weights.Loaded, wanted: int | None, devices: int, job: Job, sides: Sides, count: int
) -> int:
    """Return the batch size for ``count`` jobs like this one, a multiple of ``devices``."""
    if alone(job.settings):
        return 1
    if wanted is None:
        most = devices * (AUTO_ON_CPU if jax.default_backend() == "cpu" else AUTO)
        cell = Inputs(Picture(blank(*sides)), [blank(*sides)] * len(job.styles), job.settings)
        wanted = min(most, batch_that_fits(loaded, cell, count, devices))
    wanted = min(wanted, count)
    batches = -(-count // wanted)
    return -(-count // (batches * devices)) * devices


def _waiting(reading: Iterable[tuple[Batch, Read]], status: Status) -> Iterator[Read]:
    """Yield each batch that was read, adding the time spent waiting to ``status.waited``."""
    each = iter(reading)
    while True:
        with _waited(status):
            found = next(each, None)
        if found is None:
            return
        yield found[1]


@contextmanager
def _waited(status: Status) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    status.waited += time.perf_counter() - begin
