"""Reading, running and writing of one batch of jobs."""

from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial

import jax
from jax.sharding import Mesh

from jaxstyle import images
from jaxstyle.batch.buckets import Batch, cell_of, cut
from jaxstyle.batch.cells import alone, static_key
from jaxstyle.batch.checkpoints import Keeper, name_of
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.ledger import Ledger
from jaxstyle.batch.origins import Stamp, stamps
from jaxstyle.batch.retry import run_in_halves
from jaxstyle.batch.storage import Folder, is_full, local_copy
from jaxstyle.errors import ImageError, JaxstyleError, SettingError, StorageError
from jaxstyle.execution.factories import tuned_network
from jaxstyle.execution.inputs import looking_at
from jaxstyle.execution.plan import Image
from jaxstyle.images import Picture
from jaxstyle.machine.kept import Kept
from jaxstyle.network import weights
from jaxstyle.network.vgg import VGG19
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.preprocessing import picture_notes
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import Progress, Result, versions
from jaxstyle.runs.stylize import telling


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
    describe: Callable[[Job], str] = lambda job: ""
    keeper: Keeper = field(default_factory=Keeper)
    note: Callable[[Sequence[str]], None] = lambda notes: None


@dataclass
class Status:
    """Progress of a batch run.

    Attributes:
      total: number of jobs of this host.
      found: number of jobs that were done before this run.
      made: number of jobs done in this run.
      failed: number of jobs that failed in this run.
      slots: batch size of the current program.
      running: progress of the current batch; None between batches.
      seconds: time since the run began.
      waited: seconds in which no batch ran because files were being read or written.
      stepping: seconds in which the optimizer took steps.
      compilations: number of compiled step programs.
      target_compilations: number of compiled programs that compute targets.
    """

    total: int
    found: int
    made: int = 0
    failed: int = 0
    slots: int = 0
    running: Progress | None = None
    seconds: float = 0.0
    waited: float = 0.0
    stepping: float = 0.0
    compilations: int = 0
    target_compilations: int = 0


@dataclass(frozen=True)
class Read:
    """A batch whose pictures have been read.

    Attributes:
      batch: the batch.
      cells: cells of the readable jobs, by index in ``batch.jobs``.
      failed: reasons why the other jobs cannot be run, by index.
      stamps: the files that each job reads, as they were before, by index.
      name: name of the checkpoint; empty if none is kept.
    """

    batch: Batch
    cells: Mapping[int, Inputs]
    failed: Mapping[int, str]
    stamps: Mapping[int, Sequence[Stamp]]
    name: str


@dataclass(frozen=True)
class Task:
    """The three stages of a batch: ``read``, ``run`` and ``write``.

    Attributes:
      loaded: weights of the network.
      out: folder of the results.
      ledger: ledger of the folder.
      options: options of the run.
      missing: outputs that still have to be made.
      status: progress, updated by ``write`` and ``fail``.
      networks: cache of the current network, by kind of batch.
      fit: batch size that fits into memory, by kind of batch, for kinds that ran out of it.
    """

    loaded: weights.Loaded
    out: Folder
    ledger: Ledger
    options: Options
    missing: Set[str]
    status: Status
    networks: dict[Hashable, VGG19] = field(default_factory=dict)
    fit: dict[Hashable, int] = field(default_factory=dict)

    def read(self, batch: Batch) -> Read:
        """Read the pictures of a batch and resize them to the batch's scales."""
        cells, failed, seen = {}, {}, {}
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
        made_by = f"{versions()} {self.loaded.sha256} {jax.local_device_count()}"
        name = (
            name_of(_filled(batch, cells), made_by) if cells and self.options.keeper.folder else ""
        )
        return Read(batch, cells, failed, seen, name)

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

    def is_worth_it(self, read: Read) -> bool:
        """Return whether a missing output is among the jobs that could be read."""
        return any(read.batch.jobs[index].output in self.missing for index in read.cells)

    def run(
        self, read: Read, report: Callable[[Progress], None], mesh: Mesh | None
    ) -> Sequence[Result | Exception]:
        """Run a batch, resuming from its checkpoint if there is one; its results are to be written.

        Args:
          read: the batch.
          report: called with every progress report.
          mesh: devices to shard the pictures over.

        Returns:
          A result or an exception for each slot of the batch.
        """
        try:
            return self._results(read, report, mesh)
        finally:
            self.options.keeper.run(read.name)

    def _results(
        self, read: Read, report: Callable[[Progress], None], mesh: Mesh | None
    ) -> Sequence[Result | Exception]:
        cells, keeper = self.slots(read), self.options.keeper
        layers, settings = read.batch.layers, cells[0].settings
        key = static_key(settings), repr(layers), read.batch.shape
        # Keep one network only: it is large, and batches of one kind follow each other.
        if key not in self.networks and not alone(settings):
            self.networks.clear()
            try:
                self.networks[key] = tuned_network(self.loaded, looking_at(layers, settings))
            except SettingError as error:  # concerns every cell
                return [error] * len(cells)
        shared = {
            "mesh": mesh,
            "layers": layers,
            "network": self.networks.get(key),
            "shrunk": partial(self.fit.__setitem__, key),
        }
        hooks = Hooks(telling(report), keeper.pause)
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

    def slots(self, read: Read) -> list[Inputs]:
        """Return the cells, padded to the batch size that all batches of a shape share."""
        return _filled(read.batch, read.cells)

    def write(self, read: Read, results: Sequence[Result | Exception], seconds: float) -> None:
        """Write the missing outputs of a batch, and record all jobs in the ledger.

        A picture that cannot be written has failed.

        Args:
          read: the batch.
          results: what ``run`` returned; may be empty if no missing output could be read.
          seconds: time that the batch took.

        Raises:
          StorageError: the disk is full, so that no further batch would be of use.
        """
        full = None
        each = seconds / max(1, len(read.cells))
        for index, job in enumerate(read.batch.jobs):
            if job.output not in self.missing:
                continue
            if index in read.failed:
                self.fail(job, read.failed[index], 0.0)
                continue
            result = results[index]
            if isinstance(result, Exception):
                self.fail(job, str(result), each)
                continue
            sides = read.batch.sides[index]
            alpha = None if result.alpha is None else cut(result.alpha, sides)
            try:
                made = Picture(cut(result.image, sides), alpha, dpi=result.dpi)
                text = self.options.describe(job)
                data = images.encoded(job.output, made, bits=self.options.bits, description=text)
                self.out.write(job.output, data)
            except (ImageError, StorageError) as error:
                self.fail(job, str(error), each)
                full = error if is_full(error) else full
                continue
            self.ledger.done(job, each, read.stamps[index])
            self.status.made += 1
        if full:
            raise full
        self.options.keeper.done(read.name)

    def fail(self, job: Job, reason: str, seconds: float) -> None:
        """Record that a job has failed."""
        self.ledger.failed(job, reason, seconds)
        self.status.failed += 1


def _filled(batch: Batch, cells: Mapping[int, Inputs]) -> list[Inputs]:
    """Return a cell for each slot; unused slots repeat a cell and do not affect the others."""
    filler = next(iter(cells.values()))
    return [cells.get(index, filler) for index in range(batch.slots)]


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
