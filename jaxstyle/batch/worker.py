"""A worker: it reads, makes and writes one batch after another, on the devices of its process.

It knows neither the ledger nor the other batches, and runs in the process of the command or, on a
cluster, in one of its own.
"""

import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import jax

from jaxstyle import images
from jaxstyle.batch.buckets import Batch, Sides, cell_of, cut
from jaxstyle.batch.cells import alone, batch_that_fits, static_key
from jaxstyle.batch.checkpoints import Keeper, name_of
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.origins import Stamp, stamps
from jaxstyle.batch.retry import run_in_halves
from jaxstyle.batch.storage import Folder, is_full, local_copy
from jaxstyle.errors import ImageError, JaxstyleError, SettingError, StorageError
from jaxstyle.execution import memory
from jaxstyle.execution.batched import mesh_of
from jaxstyle.execution.compilation import persist
from jaxstyle.execution.estimate import estimate
from jaxstyle.execution.factories import tuned_network
from jaxstyle.execution.inputs import looking_at
from jaxstyle.execution.plan import Image, blank
from jaxstyle.execution.workers.process import Process, unseen
from jaxstyle.images import Picture
from jaxstyle.machine import host, resources
from jaxstyle.machine.kept import Kept
from jaxstyle.network import weights
from jaxstyle.network.vgg import VGG19
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.preprocessing import picture_notes
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import Progress, Result, scale_reports, versions
from jaxstyle.runs.stylize import telling

AUTO = 32
"""Default batch size per device, if it fits into memory."""

AUTO_ON_CPU = 4
"""``AUTO`` on CPU, where larger batches are no faster and more is lost if the process is killed."""

SEEN = "give a path that all machines see, or a URL"
"""Advice about a path that a node does not see."""

PROGRAMS = "programs"
"""Name of the folder of compiled programs that workers of a cluster share, among checkpoints."""


def undescribed(job: Job) -> str:
    """Return no text for the metadata of a result."""
    del job
    return ""


@dataclass(frozen=True)
class Options:
    """Options of a batch run.

    Attributes:
      batch_size: pictures at once; None to choose by device and memory.
      bits: bits per channel of the results.
      describe: function of a job that returns the text for the result's metadata.
      keeper: saves and loads checkpoints.
      note: called with notes on how each job's pictures were read, and about its masks.
    """

    batch_size: int | None = None
    bits: int = 8
    describe: Callable[[Job], str] = undescribed
    keeper: Keeper = field(default_factory=Keeper)
    note: Callable[[Sequence[str]], None] = lambda notes: None


@dataclass(frozen=True)
class Todo:
    """A batch, and those of its outputs that still have to be made."""

    batch: Batch
    missing: frozenset[str]

    def jobs(self) -> list[Job]:
        """Return the missing jobs."""
        return [job for job in self.batch.jobs if job.output in self.missing]

    def halves(self) -> list["Todo"]:
        """Return the missing jobs in two batches of the same programs; none if there is but one."""
        which = [i for i, job in enumerate(self.batch.jobs) if job.output in self.missing]
        middle = len(which) // 2
        parts = (which[:middle], which[middle:]) if middle else ()
        halves = (self.batch.only(part) for part in parts)
        return [Todo(half, self.missing & {job.output for job in half.jobs}) for half in halves]


@dataclass(frozen=True)
class Read:
    """A batch whose pictures have been read.

    Attributes:
      todo: the batch, and what is missing.
      cells: cells of the readable jobs, by index in ``batch.jobs``.
      failed: reasons why the other jobs cannot be run, by index.
      stamps: the files that each job reads, as they were before, by index.
      name: name of the checkpoint; empty if none is kept.
    """

    todo: Todo
    cells: Mapping[int, Inputs]
    failed: Mapping[int, str]
    stamps: Mapping[int, Sequence[Stamp]]
    name: str

    @property
    def batch(self) -> Batch:
        """The batch."""
        return self.todo.batch

    def is_worth_it(self) -> bool:
        """Return whether a missing output is among the jobs that could be read."""
        return any(self.batch.jobs[index].output in self.todo.missing for index in self.cells)


@dataclass(frozen=True)
class Outcome:
    """What has become of a missing output.

    Attributes:
      output: its name.
      reason: why it could not be made; empty if it was.
      seconds: time that it took.
      inputs: the files that it was made from.
      full: whether it could not be written as the disk is full, so that no other could.
    """

    output: str
    reason: str
    seconds: float
    inputs: tuple[Stamp, ...] = ()
    full: bool = False


@dataclass(frozen=True)
class Report:
    """What has become of a batch.

    Attributes:
      outcomes: one for each missing output.
      stepping: seconds in which the optimizer took steps.
      compilations: number of compiled step programs.
      target_compilations: number of compiled programs that compute targets.
    """

    outcomes: tuple[Outcome, ...]
    stepping: float = 0.0
    compilations: int = 0
    target_compilations: int = 0


@dataclass(frozen=True)
class Made:
    """The results of a batch, an image or an exception for each slot, and how long they took."""

    results: Sequence[Result | Exception] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Worker:
    """Makes batches in three stages: ``prepare``, ``compute`` and ``finish``.

    The first and the last may run in other threads while the devices compute another batch.

    Attributes:
      loaded: weights of the network.
      out: folder of the results.
      options: options of the run.
      networks: cache of the current network, by kind of batch.
      fit: batch size that fits into memory, by kind of batch, for kinds that ran out of it.
    """

    loaded: weights.Loaded
    out: Folder
    options: Options
    networks: dict[Hashable, VGG19] = field(default_factory=dict)
    fit: dict[Hashable, int] = field(default_factory=dict)

    def batch_size(self, job: Job, sides: Sides, count: int) -> int:
        """Return the batch size for ``count`` jobs like this one, a multiple of the devices."""
        if alone(job.settings):
            return 1
        devices, wanted = len(jax.local_devices()), self.options.batch_size
        if wanted is None:
            most = devices * (AUTO_ON_CPU if jax.default_backend() == "cpu" else AUTO)
            cell = Inputs(Picture(blank(*sides)), [blank(*sides)] * len(job.styles), job.settings)
            wanted = min(most, batch_that_fits(self.loaded, cell, count, devices))
        wanted = min(wanted, count)
        batches = -(-count // wanted)
        return -(-count // (batches * devices)) * devices

    def prepare(self, todo: Todo) -> Read:
        """Read the pictures of a batch and resize them to the batch's scales."""
        batch, cells, failed, seen = todo.batch, {}, {}, {}
        for index, job in enumerate(batch.jobs):
            try:
                seen[index] = stamps(job.inputs())
                paintings = [picture(style) for style in job.styles]
                content, styles = picture(job.content), [each.pixels for each in paintings]
                for each in (content, *paintings):
                    self.options.note(each.notes)
                self.options.note(picture_notes(job.settings, picture))
                self._note(content.pixels, styles, job)
                cells[index] = cell_of(batch, index, content, styles)
            except (JaxstyleError, MemoryError) as error:
                failed[index] = str(error) or type(error).__name__
        read = Read(todo, cells, failed, seen, "")
        if not (cells and self.options.keeper.folder):
            return read
        made_by = f"{versions()} {self.loaded.sha256} {jax.local_device_count()}"
        return replace(read, name=name_of(_filled(read), made_by))

    def _note(self, content: Image, styles: Sequence[Image], job: Job) -> None:
        """Report notes about a job's masks; done here, while the photo still has its full size.

        Raises:
          MaskError: the masks cannot be used.
          SettingError: a setting does not fit the masks.
          ImageError: a mask cannot be read.
        """
        if job.settings.content_mask:
            regions = regions_of(None, content, styles, job.settings)
            self.options.note(regions.notes if regions else ())

    def compute(
        self, read: Read, report: Callable[[tuple[Progress, int]], None] = lambda running: None
    ) -> Made:
        """Make the pictures of a batch, resuming from its checkpoint if there is one.

        Args:
          read: the batch.
          report: called with every progress report and the batch size.

        Returns:
          The results, which are still to be written.
        """
        if not read.is_worth_it():
            return Made()
        begin = time.perf_counter()
        try:
            results = self._results(read, report)
        finally:
            self.options.keeper.run(read.name)
        return Made(results, time.perf_counter() - begin)

    def _results(
        self, read: Read, report: Callable[[tuple[Progress, int]], None]
    ) -> Sequence[Result | Exception]:
        cells, keeper = _filled(read), self.options.keeper
        layers, settings = read.batch.layers, cells[0].settings
        key = static_key(settings), repr(layers), read.batch.shape
        # Keep one network only: it is large, and batches of one kind follow each other.
        if key not in self.networks and not alone(settings):
            self.networks.clear()
            try:
                self.networks[key] = tuned_network(self.loaded, looking_at(layers, settings))
            except SettingError as error:  # concerns every cell
                return [error] * len(cells)
        devices = jax.local_devices()
        shared = {
            "mesh": mesh_of(devices) if len(devices) > 1 else None,
            "layers": layers,
            "network": self.networks.get(key),
            "shrunk": partial(self.fit.__setitem__, key),
        }
        hooks = Hooks(telling(lambda progress: report((progress, len(cells)))), keeper.pause)
        most = self.fit.get(key, len(cells))
        if most < len(cells):
            chunks = [cells[i : i + most] for i in range(0, len(cells), most)]
            chunks[-1] = [*chunks[-1], *cells][:most]
            made = [each for c in chunks for each in run_in_halves(self.loaded, c, hooks, **shared)]
            return made[: len(cells)]
        resuming = {
            "keep": partial(keeper.keep, read.name),
            "saved": keeper.saved(read.name, settings),
        }
        return run_in_halves(self.loaded, cells, hooks, **shared, **resuming)

    def finish(self, read: Read, made: Made) -> Report:
        """Write the missing outputs of a batch. A picture that cannot be written has failed."""
        each = made.seconds / max(1, len(read.cells))
        outcomes = tuple(
            Outcome(job.output, read.failed[index], 0.0)
            if index in read.failed
            else self._written(read, index, made.results[index], each)
            for index, job in enumerate(read.batch.jobs)
            if job.output in read.todo.missing
        )
        if not any(outcome.full for outcome in outcomes):
            self.options.keeper.done(read.name)
        scales = scale_reports(made.results)
        return Report(
            outcomes,
            sum(scale.run_seconds for scale in scales),
            sum(scale.compilations for scale in scales),
            sum(scale.target_compilations for scale in scales),
        )

    def _written(
        self, read: Read, index: int, result: Result | Exception, seconds: float
    ) -> Outcome:
        """Write the result of a job, unless it is an exception."""
        sides, job = read.batch.sides[index], read.batch.jobs[index]
        if isinstance(result, Exception):
            return Outcome(job.output, str(result), seconds)
        try:
            alpha = None if result.alpha is None else cut(result.alpha, sides)
            made = Picture(cut(result.image, sides), alpha, dpi=result.dpi)
            text, bits = self.options.describe(job), self.options.bits
            data = images.encoded(job.output, made, bits=bits, description=text)
            self.out.write(job.output, data)
        except (ImageError, StorageError) as error:
            return Outcome(job.output, str(error), seconds, full=is_full(error))
        return Outcome(job.output, "", seconds, tuple(read.stamps[index]))

    def devices(self) -> str:
        """Return its devices in words."""
        kinds = [device.device_kind for device in jax.local_devices()]
        return f"{len(kinds)} x {kinds[0]}"

    def pace(self, job: Job, sides: Sides) -> float | None:
        """Measure the seconds for a floating-point operation; None if not even one picture fits.

        Args:
          job: a job.
          sides: sides of its result.
        """
        styles = [sides] * len(job.styles)
        found = estimate(self.loaded, sides, styles, job.settings, self.options.keeper.check)
        if found.seconds is None:
            return None
        return (found.seconds - found.compile_seconds) / found.to_dict()["flops"]

    def peak_bytes(self, batch: Batch) -> int:
        """Return the rough memory of a batch, of all devices together."""
        height, width, _ = batch.shape[-1]
        settings = batch.jobs[0].settings
        before = memory.bytes_before_network(self.loaded.weights, settings)
        return before + batch.slots * memory.rough_bytes(height, width, settings)

    def free_memory(self) -> int | None:
        """Return the bytes of memory in which pictures can be decoded; None if unknown."""
        return resources.free_memory()

    def total_bytes(self) -> int | None:
        """Return the memory of its devices; None if unknown."""
        return memory.total_bytes()


@dataclass(frozen=True)
class Needs:
    """What a machine must see to take part.

    Attributes:
      directory: the driver's current directory, to which paths are relative.
      out: folder of the results.
      token: name and text of a file in it.
      files: path, size in bytes and advice about each file that must be there.
    """

    directory: str
    out: Folder
    token: tuple[str, str]
    files: Sequence[tuple[str, int, str]] = ()

    def problem(self) -> str:
        """Return what this machine does not see; empty if it sees all."""
        with suppress(OSError):  # all paths may be absolute, or URLs
            os.chdir(self.directory)
        try:
            if self.out.read(self.token[0]) != self.token[1].encode():
                return f"does not see {self.out.root}: {SEEN}"
            self.out.create()
        except StorageError as error:
            return f"cannot use the output folder: {error}"
        return unseen(self.files)


def set_up(
    notes: list[str],
    stop: Callable[[], None],
    cores: int | None,
    *,
    process: Process,
    out: Folder,
    checkpoints: Path | None,
    checkpoint_every: float | None,
    batch_size: int | None,
    bits: int,
    describe: Callable[[Job], str],
) -> Worker:
    """Return a worker for a process of its own, on a cluster.

    Args:
      notes: notes are added here.
      stop: raises KeyboardInterrupt if the process has to end.
      cores: number of processors to use, and no accelerators; None for all that there is.
      process: how it computes. Without a place for compiled programs, they are kept among the
        checkpoints or, without those, in the user's cache directory.
      out: folder of the results.
      checkpoints: folder of the checkpoints; None to keep none.
      checkpoint_every: see ``Keeper``.
      batch_size: see ``Options``.
      bits: see ``Options``.
      describe: see ``Options``.

    Raises:
      WeightsError: there are no such weights here.
    """
    loaded = process.begin(notes, cores)
    persist(checkpoints and checkpoints / PROGRAMS / host.fingerprint())
    keeper = Keeper(
        checkpoints, checkpoint_every, stop, lambda line: notes.append(line.removeprefix("note: "))
    )
    return Worker(loaded, out, Options(batch_size, bits, describe, keeper, notes.extend))


def _filled(read: Read) -> list[Inputs]:
    """Return a cell for each slot of the batch's program, a multiple of the devices.

    All batches of a shape share one program. Unused slots repeat a cell and do not affect the
    others.
    """
    devices, slots = len(jax.local_devices()), read.batch.slots
    filler = next(iter(read.cells.values()))
    if not alone(filler.settings):
        slots = -(-slots // devices) * devices
    return [read.cells.get(index, filler) for index in range(slots)]


def _bytes_of(picture: Picture) -> int:
    """Return the bytes of a picture; its ``pixels``, once asked for, are a copy if it has alpha."""
    alpha = 0 if picture.alpha is None else picture.alpha.nbytes
    return (picture.rgb.nbytes + alpha) * (2 if alpha else 1)


_pictures: Kept[Picture] = Kept(18, 500_000_000, _bytes_of)


def picture(path: str) -> Picture:
    """Read a picture; kept, since it is needed for many jobs in succession. Do not modify it.

    Raises:
      ImageError: the file is not a readable picture.
      StorageError: the URL cannot be fetched.
    """

    def read() -> Picture:
        with local_copy(path) as local:
            return images.read(local)

    return _pictures.get(path, read)


def forget_pictures() -> None:
    """Drop the pictures that ``picture`` keeps."""
    _pictures.drop()
