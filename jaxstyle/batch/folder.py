"""A folder of results: every job read, run and written, none twice, and none lost.

What goes together is settled for the whole list of jobs before any is run, so that a job comes out
the same whatever was done before it, and whenever the process was killed. A thread reads the next
batch and another one writes the last while the devices are at work on this one.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial

import jax
from jax.sharding import Mesh

from jaxstyle import image as images
from jaxstyle import solve, weights
from jaxstyle.batch import program
from jaxstyle.batch.buckets import Refused, Sides, Work, cell_of, cut, works
from jaxstyle.batch.cells import Cell, alone, batch_that_fits, static_key
from jaxstyle.batch.hosts import Host, share
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.keeping import Keeper, name_of
from jaxstyle.batch.ledger import Ledger
from jaxstyle.batch.program import mesh_of
from jaxstyle.batch.storage import Folder, StorageError, is_url, local_copy
from jaxstyle.batch.together import BatchProgress, network_for, run_in_halves
from jaxstyle.compilation import counted, one_ahead
from jaxstyle.estimate import blank
from jaxstyle.image import ImageError, Picture
from jaxstyle.plan import Image
from jaxstyle.result import Result, versions
from jaxstyle.settings import SettingError
from jaxstyle.vgg import VGG19

AUTO = 32
"""Pictures at once on each device, where nothing else is said and they fit."""

SOLVERS = (*program.PROGRAMS, *solve.PROGRAMS)
"""Names of the programs that are counted: pictures that are run by themselves have their own."""

AUTO_ON_CPU = 4
"""There larger batches gain nothing more, and lose more when the process is killed."""


@dataclass(frozen=True)
class Options:
    """How jobs are done. batch_size: pictures at once; None for what is best here.

    describe: what is written into a picture's metadata. keeper: of batches that are interrupted.
    """

    batch_size: int | None = None
    bits: int = 8
    describe: Callable[[Job], str] = lambda job: ""
    keeper: Keeper = field(default_factory=Keeper)


@dataclass
class Status:
    """How far it is. total: jobs of this host; found: those that were done before; made, failed:
    now. slots, running: of the batch at work. waited: seconds in which none was."""

    total: int
    found: int
    made: int = 0
    failed: int = 0
    slots: int = 0
    running: BatchProgress | None = None
    seconds: float = 0.0
    waited: float = 0.0
    compilations: int = 0


@dataclass(frozen=True)
class Read:
    """A batch as it was read: cells by the number of their job, and why others cannot be. name:
    that it is kept by."""

    work: Work
    cells: Mapping[int, Cell]
    failed: Mapping[int, str]
    name: str


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
    found, refused = settle(jobs, loaded, options.batch_size, host)
    own_jobs = [job for work in found for job in work.jobs] + [each.job for each in refused]
    missing = {j.output for j in ledger.missing([(job, fingerprint(job)) for job in own_jobs])}
    status = Status(len(own_jobs), len(own_jobs) - len(missing))
    task = Task(loaded, out, ledger, options, missing, status)
    for each in refused:
        if each.job.output in missing:
            task.fail(each.job, each.reason, 0.0)
    todo = [work for work in found if any(job.output in missing for job in work.jobs)]
    mesh = mesh_of(devices) if len(devices) > 1 else None

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
            with _waited(status):
                if written:
                    written.result()
            written = writer.submit(task.write, read, results, seconds)
            status.compilations = sum(compiled.programs[name] for name in SOLVERS)
        if written:
            written.result()
    report()
    return status


def settle(
    jobs: Sequence[Job], loaded: weights.Loaded, batch_size: int | None, host: Host
) -> tuple[list[Work], list[Refused]]:
    """What of the host's jobs goes together, and what cannot be done at all: the same however much
    of it is done. Only the heads of the pictures are read.

    Jobs are shared and not batches, since hosts may have other devices and other batches.
    """
    sides, unreadable = sides_of(path for job in jobs for path in (job.content, *job.styles))
    own = {job.output for job in share(jobs, host)}
    readable, refused = [], []
    for job in jobs:
        reasons = [unreadable[p] for p in (job.content, *job.styles) if p in unreadable]
        if not reasons:
            readable.append(job)
        elif job.output in own:
            refused.append(Refused(job, reasons[0]))
    devices = len(jax.local_devices())
    sized = partial(_batch_size, loaded, batch_size, devices)
    found, unfit = works(readable, sides, sized, own)
    return found, refused + unfit


@dataclass(frozen=True)
class Task:
    """What is done with a batch before it runs and after. missing: outputs still to be made.

    networks: of the batches at work. fit: how many pictures do, where memory has given out.
    """

    loaded: weights.Loaded
    out: Folder
    ledger: Ledger
    options: Options
    missing: Set[str]
    status: Status
    networks: dict[Hashable, VGG19] = field(default_factory=dict)
    fit: dict[Hashable, int] = field(default_factory=dict)

    def read(self, work: Work) -> Read:
        """The pictures of a batch, at the sides it runs at."""
        cells, failed = {}, {}
        for index, job in enumerate(work.jobs):
            try:
                styles = [style_picture(style) for style in job.styles]
                cells[index] = cell_of(work, index, picture(job.content), styles)
            except (ImageError, StorageError, MemoryError) as error:
                failed[index] = str(error) or type(error).__name__
        made_by = f"{versions()} {self.loaded.sha256} {jax.local_device_count()}"
        name = (
            name_of(_filled(work, cells), made_by) if cells and self.options.keeper.folder else ""
        )
        return Read(work, cells, failed, name)

    def is_worth_it(self, read: Read) -> bool:
        """Whether any of what is missing could be read."""
        return any(read.work.jobs[index].output in self.missing for index in read.cells)

    def run(
        self, read: Read, report: Callable[[BatchProgress], None], mesh: Mesh | None
    ) -> list[Result | Exception]:
        """The results of a batch, gone on with where there is something to go on from."""
        cells, keeper = self.slots(read), self.options.keeper
        layers, settings = read.work.layers, cells[0].settings
        key = static_key(settings), repr(layers), repr(read.work.way)
        if (
            key not in self.networks
        ):  # one at a time: it is large, and batches of a kind are in a row
            self.networks.clear()
            try:
                self.networks[key] = network_for(self.loaded, settings, layers, mesh)
            except SettingError as error:  # of all of them
                return [error] * len(cells)
        parts = report, mesh, layers, self.networks[key], partial(self.fit.__setitem__, key)
        most = self.fit.get(key, len(cells))
        if most < len(cells):
            chunks = [cells[i : i + most] for i in range(0, len(cells), most)]
            chunks[-1] = [*chunks[-1], *cells][:most]
            made = [each for c in chunks for each in run_in_halves(self.loaded, c, *parts)]
            return made[: len(cells)]
        going_on = {"saved": keeper.saved(read.name), "keep": partial(keeper.keep, read.name)}
        return run_in_halves(self.loaded, cells, *parts, **going_on)

    def slots(self, read: Read) -> list[Cell]:
        """As many cells as the program takes: there is one for all batches of a shape."""
        return _filled(read.work, read.cells)

    def write(self, read: Read, results: Sequence[Result | Exception], seconds: float) -> None:
        """The outputs of a batch that are missing. seconds: what the batch took."""
        each = seconds / max(1, len(read.cells))
        for index, job in enumerate(read.work.jobs):
            if job.output not in self.missing:
                continue
            if index in read.failed:
                self.fail(job, read.failed[index], 0.0)
                continue
            result = results[index]
            if isinstance(result, Exception):
                self.fail(job, str(result), each)
                continue
            sides = read.work.sides[index]
            alpha = None if result.alpha is None else cut(result.alpha, sides)
            try:
                made = Picture(cut(result.image, sides), alpha)
                text = self.options.describe(job)
                data = images.encoded(job.output, made, bits=self.options.bits, description=text)
            except ImageError as error:
                self.fail(job, str(error), each)
                continue
            self.out.write(job.output, data)
            self.ledger.done(job, each)
            self.status.made += 1
        self.options.keeper.done(read.name)

    def fail(self, job: Job, reason: str, seconds: float) -> None:
        """Note down why a job could not be done."""
        self.ledger.failed(job, reason, seconds)
        self.status.failed += 1


def _filled(work: Work, cells: Mapping[int, Cell]) -> list[Cell]:
    """A cell for each slot: what fills a batch up makes no difference to the others."""
    filler = next(iter(cells.values()))
    return [cells.get(index, filler) for index in range(work.slots)]


@lru_cache(maxsize=8)
def picture(path: str) -> Picture:
    """A picture at a path or URL: a content is wanted once for each style, in a row.

    Raises:
      ImageError, StorageError: it cannot be read.
    """
    with local_copy(path) as local:
        return images.read(local)


@lru_cache(maxsize=32)
def style_picture(path: str) -> Image:
    """The same for a style picture: few are used many times. Not to be written to."""
    with local_copy(path) as local:
        return images.read(local).rgb


def sides_of(paths: Iterable[str]) -> tuple[dict[str, Sides], dict[str, str]]:
    """Sides of the pictures whose heads can be read, and why others' cannot, by path."""
    sides, reasons = {}, {}
    for path in dict.fromkeys(paths):
        try:
            with local_copy(path) as local:
                sides[path] = images.read_sides(local)
        except (ImageError, StorageError) as error:
            reasons[path] = str(error)
    return sides, reasons


def fingerprint(job: Job) -> str:
    """Of what a job's result depends on, the folder's guard aside."""
    paths = [path if is_url(path) else os.path.abspath(path) for path in (job.content, *job.styles)]
    told = [paths, job.settings.to_dict()]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


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
