"""One batch of a folder: read, run, written."""

from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache, partial

import jax
from jax.sharding import Mesh

from jaxstyle import images
from jaxstyle.batch.batched import BatchProgress, network_for, run_in_halves
from jaxstyle.batch.buckets import Work, cell_of, cut
from jaxstyle.batch.cells import Cell, alone, static_key
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.keeping import Keeper, name_of
from jaxstyle.batch.ledger import Ledger
from jaxstyle.batch.storage import Folder, local_copy
from jaxstyle.errors import ImageError, MaskError, SettingError, StorageError
from jaxstyle.execution.plan import Image
from jaxstyle.images import Picture
from jaxstyle.network import weights
from jaxstyle.network.vgg import VGG19
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import Result, versions


@dataclass(frozen=True)
class Options:
    """How jobs are done. batch_size: pictures at once; None for what is best here.

    describe: what is written into a picture's metadata. keeper: of batches that are interrupted.
    note: is given what is to be said about masks, for each picture that has any.
    """

    batch_size: int | None = None
    bits: int = 8
    describe: Callable[[Job], str] = lambda job: ""
    keeper: Keeper = field(default_factory=Keeper)
    note: Callable[[Sequence[str]], None] = lambda notes: None


@dataclass
class Status:
    """How far it is. total: jobs of this host; found: those that were done before; made, failed:
    now. slots, running: of the batch at work. waited: seconds in which none was, for want of files
    read or written; stepping: seconds in which the solver took steps. compilations: of steps."""

    total: int
    found: int
    made: int = 0
    failed: int = 0
    slots: int = 0
    running: BatchProgress | None = None
    seconds: float = 0.0
    waited: float = 0.0
    stepping: float = 0.0
    compilations: int = 0
    target_compilations: int = 0


@dataclass(frozen=True)
class Read:
    """A batch as it was read: cells by the number of their job, and why others cannot be. name:
    that it is kept by."""

    work: Work
    cells: Mapping[int, Cell]
    failed: Mapping[int, str]
    name: str


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
                content = picture(job.content)
                self._note(content.rgb, styles, job)
                cells[index] = cell_of(work, index, content, styles)
            except (ImageError, StorageError, MaskError, SettingError, MemoryError) as error:
                failed[index] = str(error) or type(error).__name__
        made_by = f"{versions()} {self.loaded.sha256} {jax.local_device_count()}"
        name = (
            name_of(_filled(work, cells), made_by) if cells and self.options.keeper.folder else ""
        )
        return Read(work, cells, failed, name)

    def _note(self, content: Image, styles: Sequence[Image], job: Job) -> None:
        """What there is to say of the job's masks: here, where its photo is of its own size still.

        Raises:
          MaskError, SettingError, ImageError: they cannot be used.
        """
        if job.settings.content_mask:
            regions = regions_of(None, content, styles, job.settings)
            self.options.note(regions.notes if regions else ())

    def is_worth_it(self, read: Read) -> bool:
        """Whether any of what is missing could be read."""
        return any(read.work.jobs[index].output in self.missing for index in read.cells)

    def run(
        self, read: Read, report: Callable[[BatchProgress], None], mesh: Mesh | None
    ) -> list[Result | Exception]:
        """The results of a batch, gone on with where there is something to go on from."""
        cells, keeper = self.slots(read), self.options.keeper
        layers, settings = read.work.layers, cells[0].settings
        key = static_key(settings), repr(layers), read.work.shape
        # One at a time: it is large, and batches of a kind are in a row.
        if key not in self.networks and not alone(settings):
            self.networks.clear()
            try:
                self.networks[key] = network_for(self.loaded, settings, layers)
            except SettingError as error:  # of all of them
                return [error] * len(cells)
        parts = report, mesh, layers, self.networks.get(key), partial(self.fit.__setitem__, key)
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


@lru_cache(maxsize=2)
def picture(path: str) -> Picture:
    """A picture at a path or URL: a content is wanted once for each style, in a row.

    Raises:
      ImageError, StorageError: it cannot be read.
    """
    with local_copy(path) as local:
        return images.read(local)


@lru_cache(maxsize=16)
def style_picture(path: str) -> Image:
    """The same for a style picture: few are used many times. Not to be written to."""
    with local_copy(path) as local:
        return images.read(local).rgb


def forget_pictures() -> None:
    """Of what was read, nothing is kept in memory for a batch to come."""
    picture.cache_clear()
    style_picture.cache_clear()
