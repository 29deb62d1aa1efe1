"""A folder of results: every job read, run and written, none twice, and none lost.

What goes together is settled for the whole list of jobs before any is run, so that a job comes out
the same whatever was done before it, and whenever the process was killed. A thread reads the next
batch and another one writes the last while the devices are at work on this one.
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
from jaxstyle.batch import program
from jaxstyle.batch.batched import BatchProgress
from jaxstyle.batch.buckets import Refused, Sides, Work, works
from jaxstyle.batch.cells import Cell, alone, batch_that_fits
from jaxstyle.batch.hosts import Host, share
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.ledger import Ledger
from jaxstyle.batch.storage import Folder, is_url, local_copy
from jaxstyle.batch.task import Options, Read, Status, Task, forget_pictures
from jaxstyle.errors import ImageError, StorageError
from jaxstyle.execution.compilation import counted, one_ahead
from jaxstyle.execution.estimate import blank
from jaxstyle.images import Picture
from jaxstyle.network import weights
from jaxstyle.optim import solve
from jaxstyle.runs.result import Result

__all__ = ["Options", "Status", "fingerprint", "run_jobs", "settle", "sides_of"]

AUTO = 32
"""Pictures at once on each device, where nothing else is said and they fit."""

SOLVERS = (*program.PROGRAMS, *solve.PROGRAMS)
"""Names of the programs that are counted: pictures that are run by themselves have their own."""

TARGETS = ("content_targets", "style_targets")
"""Those that measure what the steps aim at: one for each shape of a picture."""

AUTO_ON_CPU = 4
"""There larger batches gain nothing more, and lose more when the process is killed."""

READERS = 16
"""Pictures whose sides are read at once: behind URLs most of that is waiting."""

HEAD, JPEG = 2**18, b"\xff\xd8"
"""Bytes that tell the sides of almost any JPEG, and those it begins with. Of another picture, what
turns it may come last."""


def run_jobs(
    jobs: Sequence[Job],
    loaded: weights.Loaded,
    out: Folder,
    host: Host,
    ledger: Ledger,
    options: Options,
    watch: Callable[[Status], None],
) -> Status:
    """Do the host's share of the jobs, those that are not done yet.

    Raises:
      StorageError: nothing can be written any more. What ``watch`` raises.
    """
    start, devices = time.perf_counter(), jax.local_devices()
    found, refused = settle(jobs, loaded, options.batch_size, host, options.keeper.check)
    own_jobs = [job for work in found for job in work.jobs] + [each.job for each in refused]
    sealed = [(job, fingerprint(job, out.root)) for job in own_jobs]
    missing = {j.output for j in ledger.missing(sealed)}
    status = Status(len(own_jobs), len(own_jobs) - len(missing))
    task = Task(loaded, out, ledger, options, missing, status)
    for each in refused:
        if each.job.output in missing:
            task.fail(each.job, each.reason, 0.0)
    todo = [work for work in found if any(job.output in missing for job in work.jobs)]
    mesh = program.mesh_of(devices) if len(devices) > 1 else None

    def report(progress: BatchProgress | None = None) -> None:
        status.running, status.seconds = progress, time.perf_counter() - start
        watch(status)

    report()
    with counted() as compiled, ThreadPoolExecutor(1) as writer:
        written: Future[None] | None = None
        for read in _waiting(one_ahead(task.read, todo) if todo else (), status):
            status.slots = read.work.slots
            begin = time.perf_counter()
            results = task.run(read, report, mesh) if task.is_worth_it(read) else []
            seconds = time.perf_counter() - begin
            status.stepping += _stepping(results)
            with _waited(status):
                if written:
                    written.result()
            written = writer.submit(task.write, read, results, seconds)
            status.compilations = sum(compiled.programs[name] for name in SOLVERS)
            status.target_compilations = sum(compiled.programs[name] for name in TARGETS)
        if written:
            written.result()
    forget_pictures()
    report()
    return status


def _stepping(results: Sequence[Result | Exception]) -> float:
    """Seconds of the steps of a batch: pictures that took them together have one list of scales."""
    lists = {id(each.scales): each.scales for each in results if isinstance(each, Result)}
    return sum((scale.run_seconds for scales in lists.values() for scale in scales), 0.0)


def settle(
    jobs: Sequence[Job],
    loaded: weights.Loaded,
    batch_size: int | None,
    host: Host,
    check: Callable[[], None] = lambda: None,
) -> tuple[list[Work], list[Refused]]:
    """What of the host's jobs goes together, and what cannot be done at all: the same however much
    of it is done. Only the heads of the pictures are read; ``check`` is called meanwhile.

    Jobs are shared and not batches, since hosts may have other devices and other batches.
    """
    sides, unreadable = sides_of((path for job in jobs for path in inputs_of(job)), check)
    own = {job.output for job in share(jobs, host)}
    readable, refused = [], []
    for job in jobs:
        reasons = [unreadable[path] for path in inputs_of(job) if path in unreadable]
        if not reasons:
            readable.append(job)
        elif job.output in own:
            refused.append(Refused(job, reasons[0]))
    devices = len(jax.local_devices())
    sized = partial(_batch_size, loaded, batch_size, devices)
    found, unfit = works(readable, sides, sized, own)
    return found, refused + unfit


def sides_of(
    paths: Iterable[str], check: Callable[[], None] = lambda: None
) -> tuple[dict[str, Sides], dict[str, str]]:
    """Sides of the pictures whose heads can be read, and why others' cannot, by path. ``check`` is
    called often, and may raise."""
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
    """Of one picture. A JPEG at a URL, as photos are, is not fetched as a whole."""
    if is_url(path):
        with local_copy(path, HEAD) as local, suppress(ImageError):
            if local.read_bytes().startswith(JPEG):
                return images.read_sides(local)
    with local_copy(path) as local:
        return images.read_sides(local)


def inputs_of(job: Job) -> list[str]:
    """Every picture that a job reads."""
    return [job.content, *job.styles, *job.settings.paths().values()]


def fingerprint(job: Job, root: str) -> str:
    """Of what a job's result depends on, the folder's guard aside: a job has the same one wherever
    its pictures and the output folder are, as long as they are there together."""
    paths = [_seen_from(root, path) for path in (job.content, *job.styles)]
    told = [paths, job.settings.map_paths(partial(_seen_from, root)).to_dict()]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


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
    """Pictures at once, of ``count`` like this one: a multiple of the devices."""
    if alone(job.settings):
        return 1
    if wanted is None:
        most = devices * (AUTO_ON_CPU if jax.default_backend() == "cpu" else AUTO)
        cell = Cell(Picture(blank(*sides)), [blank(*sides)] * len(job.styles), job.settings)
        wanted = min(most, batch_that_fits(loaded, cell, count, devices))
    wanted = min(wanted, count)
    batches = -(-count // wanted)
    return -(-count // (batches * devices)) * devices


def _waiting(reading: Iterable[tuple[Work, Read]], status: Status) -> Iterator[Read]:
    """What is read, the time spent waiting for it being noted."""
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
