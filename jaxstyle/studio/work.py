"""The work of the studio: pictures, grids and regions, made by the same functions as elsewhere."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import jax
import numpy as np

from jaxstyle import images
from jaxstyle.batch.retry import run_in_halves
from jaxstyle.batch.sweep import batches_of
from jaxstyle.errors import IncompleteError, OutOfMemoryError, SettingError
from jaxstyle.execution.arithmetic import step_flops
from jaxstyle.execution.batched import mesh_of
from jaxstyle.execution.estimate import Estimate, estimate
from jaxstyle.execution.plan import Scale, blank, plan
from jaxstyle.guidance.figure import of_regions
from jaxstyle.images import Picture, timelapse
from jaxstyle.machine.words import about, count_of, in_bytes
from jaxstyle.network import weights
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.canvas import check_given, on_canvas
from jaxstyle.runs.full_size import at_full_size, check_full_size
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.memory import enough_memory, verdict
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.preprocessing import unfinished
from jaxstyle.runs.recipe import Recipe
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.run_checkpoint import RunCheckpoint
from jaxstyle.runs.stylize import run
from jaxstyle.settings import Settings, resolve
from jaxstyle.settings.effect import check_effects, needed
from jaxstyle.settings.text import written
from jaxstyle.studio.history import History
from jaxstyle.studio.line import Asked, Job, Stopped, without
from jaxstyle.studio.view import SHOWN_MOVING, Cell, Course, in_words, jpeg

MOST_CELLS = 36
"""Pictures of a grid, at most."""

EVERY = 0.4
"""Seconds between two pictures that a browser is shown, at least."""

FRAMES = 30
"""Frames of a timelapse."""

CELL = 256
"""Longest side of a cell of a grid on the page, in pixels."""

LARGE = 4.0
"""Work of so many times the arithmetic of the default settings is planned before it starts."""

LONG_SECONDS, MUCH_MEMORY = 120.0, 0.6
"""What takes longer, or more of the memory there is, is not started without being asked twice."""


@dataclass(frozen=True)
class Grid:
    """A grid of pictures to make.

    Attributes:
      columns: number of columns.
      labels: what sets each apart, row by row.
      recipes: what each is made from.
    """

    columns: int
    labels: Sequence[str]
    recipes: Sequence[Recipe]


def grid_of(
    recipe: Recipe, across: tuple[str, Sequence[Any]], down: tuple[str, Sequence[Any]] | None
) -> Grid:
    """Return a grid over one or two settings.

    Args:
      recipe: what is common to all cells.
      across: name and values of the setting that varies from column to column.
      down: the same from row to row, if any.

    Raises:
      SettingError: a value is invalid, or there are too many cells.
    """
    (column, values), (row, others) = across, down or ("", [None])
    if column == row:
        raise SettingError(row, "is that of the columns already: choose another for the rows")
    if not values or not others:
        raise SettingError(column if not values else row, "needs values: 0.3, 0.5, 0.7")
    if len(values) * len(others) > MOST_CELLS:
        size = f"{len(others)} × {len(values)}"
        raise SettingError(column, f"a grid of {size} is too large: {MOST_CELLS} pictures at most")
    given, labels, recipes = recipe.settings.to_dict(), [], []
    for other in others:
        for value in values:
            own = {row: other, column: value} if row else {column: value}
            recipes.append(replace(recipe, settings=resolve(**{**given, **own})))
            labels.append(", ".join(f"{n.replace('_', ' ')} {written(v)}" for n, v in own.items()))
    return Grid(len(values), labels, recipes)


@dataclass
class Studio:
    """What makes pictures.

    Attributes:
      history: the folder of results.
      weights: path of the weights file; None for the default weights.
    """

    history: History
    weights: str | None = None
    _loaded: list[Loaded] = field(default_factory=list)
    _loading: threading.Lock = field(default_factory=threading.Lock)

    def loaded(self, tell: Callable[[str], None] = lambda line: None) -> Loaded:
        """Return the weights, which are read, and fetched if need be, on first use."""
        with self._loading:
            if not self._loaded:
                self._loaded.append(weights.load(weights.find(self.weights, tell)))
        return self._loaded[0]

    def painting(self, recipe: Recipe, agreed: bool = False) -> Callable[[Job], None]:
        """Return the work of making a picture: a painting, a photo or a texture.

        Args:
          recipe: what to make it from.
          agreed: whether it shall be made even if that takes long.
        """
        return lambda job: self._paint(job, recipe, agreed)

    def _paint(self, job: Job, recipe: Recipe, agreed: bool) -> None:
        loaded = self.loaded(lambda line: job.show(text=line))
        recipe = replace(recipe, weights=self.weights, weights_sha256=loaded.sha256)
        inputs, notes = self._inputs(loaded, recipe)
        watch = Watch(job, before=inputs.content if recipe.content else None)
        job.show(notes=notes, before=watch.photo(inputs), text="compiling")
        try:
            if not agreed:
                self._check_large(loaded, inputs, job)
            with enough_memory(loaded, inputs):
                result = run(loaded, inputs, Hooks(watch, job.check))
            done = at_full_size(inputs.content, result) if recipe.full_size else result
            picture = Picture(done.image, done.alpha, dpi=done.dpi)
            reached: dict[str, int] = {}
        except Stopped:
            if watch.last is None:
                raise
            last, reached = watch.last, watch.last.reached_at
            given = inputs.content, last.scales[-1], inputs.settings, inputs.styles
            picture = unfinished(last.image, *given)
        shown = picture.over_white()
        frames = [*watch.frames, timelapse.frame(shown)]
        entry = self.history.add(picture, recipe, frames, **reached)
        state, text = ("stopped", _stopped_at(reached)) if reached else ("done", summary(result))
        job.show(
            state=state,
            text=text,
            picture=jpeg(shown),
            share=1.0,
            names=(entry.name,),
            **watch.course.shown(),
        )

    def _inputs(
        self, loaded: Loaded, recipe: Recipe, read: Callable[[str], Picture] = images.read
    ) -> tuple[Inputs, list[str]]:
        """Read the pictures of a recipe; return the inputs of its run, and notes."""
        check_precision(recipe.settings)
        if recipe.full_size:
            check_full_size(recipe.settings)
        styles = [read(path) for path in recipe.styles]
        pixels, settings = [style.pixels for style in styles], recipe.settings
        if recipe.content:
            content = read(recipe.content)
        else:
            content, settings = on_canvas(pixels, recipe.shape, recipe.periodic, settings)
        regions = regions_of(loaded, content.pixels, pixels, settings)
        given = needed(recipe.settings)
        if recipe.content:
            idle = check_effects([settings], given, len(styles))
        else:
            idle = check_given(given, recipe.shape, len(styles), recipe.settings, settings)
        notes = [
            *(note for picture in (content, *styles) for note in picture.notes),
            *(regions.notes if regions else ()),
            *(f"{name.replace('_', ' ')}: {problem}" for name, problem in idle),
        ]
        told = [without(self.history.folder, note) for note in dict.fromkeys(notes)]
        return Inputs(content, pixels, settings, regions=regions), told

    def _check_large(self, loaded: Loaded, inputs: Inputs, job: Job, times: int = 1) -> None:
        """Plan work that looks large.

        Args:
          loaded: weights of the network.
          inputs: a picture to make.
          job: the job to show it by.
          times: number of such pictures.

        Raises:
          Asked: it will take long, or much of the memory.
          OutOfMemoryError: it does not fit.
        """
        if times * _flops(inputs.scales(), inputs.settings) < LARGE * _usual_flops():
            return
        job.show(text="planning: compiling every scale and timing a few steps")
        sides = [style.shape[:2] for style in inputs.styles]
        found = estimate(
            loaded,
            inputs.content.rgb.shape[:2],
            [(height, width) for height, width in sides],
            inputs.settings,
            job.check,
            inputs.regions,
        )
        if not found.fits:
            raise OutOfMemoryError(verdict(found))
        if question := _question(found, times):
            raise Asked(question)

    def seeing_regions(self, recipe: Recipe) -> Callable[[Job], None]:
        """Return the work of drawing the regions that masks give, or that are found."""

        def see(job: Job) -> None:
            loaded = self.loaded(lambda line: job.show(text=line))
            job.show(text="looking for regions")
            inputs, notes = self._inputs(loaded, recipe)
            if inputs.regions is None:
                raise SettingError("masks", "paint on the pictures, or have regions found")
            drawn = of_regions(inputs.regions, inputs.content.pixels, inputs.styles)
            text = count_of(len(inputs.regions.names), "region")
            job.show(state="done", text=text, picture=jpeg(drawn), notes=notes, share=1.0)

        return see

    def sweeping(self, grid: Grid, agreed: bool = False) -> Callable[[Job], None]:
        """Return the work of making a grid of pictures, even if that takes long if ``agreed``."""
        return lambda job: self._sweep(job, grid, agreed)

    def _sweep(self, job: Job, grid: Grid, agreed: bool) -> None:
        loaded = self.loaded(lambda line: job.show(text=line))
        recipes = [
            replace(recipe, weights=self.weights, weights_sha256=loaded.sha256)
            for recipe in grid.recipes
        ]
        read = cache(images.read)  # all cells share their pictures
        made = [self._inputs(loaded, recipe, read) for recipe in recipes if not job.check()]
        inputs = [each for each, _ in made]
        notes = list(dict.fromkeys(note for _, each in made for note in each))
        cells = [Cell(label) for label in grid.labels]
        job.show(notes=notes, text="compiling")
        work = batches_of(loaded, inputs, jax.local_device_count())
        largest = max(inputs, key=lambda each: _flops(each.scales(), each.settings))
        if not agreed:
            self._check_large(loaded, largest, job, len(cells))
        job.show(columns=grid.columns, cells=tuple(cells))
        state = "done"
        try:
            with enough_memory(loaded, largest):
                for number, (batch, layers) in enumerate(work):
                    watch = GridWatch(job, cells, batch, number / len(work), 1 / len(work))
                    devices = jax.local_devices()[: len(batch)]
                    mesh = mesh_of(devices) if len(devices) > 1 else None
                    hooks = Hooks(watch, job.check)
                    done = run_in_halves(loaded, [inputs[i] for i in batch], hooks, mesh, layers)
                    for index, result in zip(batch, done, strict=True):
                        cells[index] = self._cell(cells[index], result, recipes[index])
                    job.show(cells=tuple(cells))
        except Stopped:
            state = "stopped"
        names = tuple(cell.name for cell in cells if cell.name)
        if not names and state == "stopped":
            raise Stopped
        if not names:
            raise IncompleteError(f"no picture could be made; the first: {cells[0].label}")
        count = f"{len(names)} of " if len(names) < len(cells) else ""
        text = f"{count}{len(cells)} pictures: choose one to take its settings"
        job.show(state=state, cells=tuple(cells), text=text, share=1.0, names=names)

    def _cell(self, cell: Cell, result: Result | Exception, recipe: Recipe) -> Cell:
        """Keep the result of a cell; return the cell with its picture, or its error."""
        if isinstance(result, Exception):
            return replace(cell, label=f"{cell.label}: {result}")
        picture = Picture(result.image, result.alpha, dpi=result.dpi)
        entry = self.history.add(picture, recipe)
        return replace(cell, picture=jpeg(picture.over_white(), CELL), name=entry.name)


class Watch:
    """Shows how a run goes to those who look at its job.

    Args:
      job: the job.
      before: the photo, to compare with; None for a texture.
    """

    def __init__(self, job: Job, before: Picture | None = None):
        self.job, self.before = job, before
        self.course = Course()
        self.last: Progress | None = None
        self.frames: list[np.ndarray] = []
        self._shown = self._framed = -np.inf

    def __call__(self, progress: Progress, saved: RunCheckpoint | None = None) -> None:
        image, now = None, time.monotonic()
        if not progress.preparing:
            self.course.add(progress)
            self.last = progress
            if progress.share - self._framed >= 1 / FRAMES:
                image, self._framed = progress.image, progress.share
                self.frames.append(timelapse.frame(image))
        if now - self._shown >= EVERY:
            image = progress.image if image is None else image
            self.job.show(
                picture=jpeg(image, SHOWN_MOVING, quality=80),
                text=in_words(progress),
                share=progress.share,
                **self.course.shown(),
            )
            self._shown = now
        self.job.check()

    def photo(self, inputs: Inputs) -> bytes:
        """Return the photo at the size of the result, as a JPEG; empty for a texture."""
        if self.before is None:
            return b""
        last = inputs.scales()[-1]
        return jpeg(images.resize(self.before.over_white(), last.height, last.width))


class GridWatch:
    """Shows how the cells of a batch go.

    Args:
      job: the job of the grid.
      cells: all cells.
      batch: indices of those that are made together.
      done: share of the grid that was made before.
      part: share of the grid that is made now.
    """

    def __init__(
        self, job: Job, cells: Sequence[Cell], batch: Sequence[int], done: float, part: float
    ):
        self.job, self.cells, self.batch = job, cells, batch
        self.done, self.part = done, part
        self._shown = -np.inf

    def __call__(self, progress: Progress, saved: RunCheckpoint | None = None) -> None:
        now = time.monotonic()
        if now - self._shown >= 2 * EVERY:  # many pictures at once
            cells = list(self.cells)
            # A batch may be filled up, or be made one by one: then only the first is seen.
            for index, image in zip(self.batch, progress.images(), strict=False):
                cells[index] = replace(cells[index], picture=jpeg(image, CELL, quality=80))
            share = self.done + self.part * progress.share
            self.job.show(cells=tuple(cells), share=share, text=in_words(progress))
            self._shown = now
        self.job.check()


def going_on(recipe: Recipe, picture: str) -> Recipe:
    """Return a recipe that starts from a picture, at the last scale of the settings.

    Args:
      recipe: what to make.
      picture: path of the picture to start from.
    """
    settings = recipe.settings
    return replace(
        recipe,
        settings=replace(
            settings,
            init=picture,
            init_noise=0.0,
            smallest_size=max(recipe.shape or [settings.size]),
            steps=settings.steps[-1:],
            content_factors=settings.content_factors[-1:],
        ),
    )


def check_precision(settings: Settings) -> None:
    """Raise SettingError for float64, which holds for a whole process."""
    if settings.precision == "float64":
        raise SettingError("precision", "float64 needs a process of its own: use the command line")


def _stopped_at(reached: Mapping[str, int]) -> str:
    return (
        f"stopped at scale {reached['scale']} of {reached['scales']}, "
        f"step {reached['step']} of {reached['steps']}"
    )


def summary(result: Result) -> str:
    """Return one line about a finished run."""
    height, width = result.image.shape[:2]
    compiling = round(sum(scale.compile_seconds for scale in result.scales))
    more = f", {compiling} s of it compiling" if compiling else ""
    return f"{width} × {height} · {result.seconds:.0f} s{more}"


def _flops(scales: Sequence[Scale], settings: Settings) -> float:
    """Return the arithmetic of a run."""
    return sum(step_flops(each.height, each.width, settings) * each.steps for each in scales)


def _usual_flops() -> float:
    """Return the arithmetic of a square picture by the default settings."""
    settings = resolve()
    square = blank(settings.size, settings.size)
    return _flops(plan(square, [square], settings), settings)


def _question(found: Estimate, times: int) -> str:
    """Return a question about work that takes long or much memory; empty if it does not."""
    last, there = found.scales[-1], found.available_bytes
    seconds = None if found.seconds is None else times * found.seconds
    long = seconds is None or seconds > LONG_SECONDS
    much = there is not None and found.peak_bytes > MUCH_MEMORY * there
    if not (long or much):
        return ""
    need = f"{in_bytes(found.peak_bytes)} of memory"
    what = f"{times} × " if times > 1 else ""
    return f"{what}{last.width} × {last.height} will take {about(seconds)} and {need}."
