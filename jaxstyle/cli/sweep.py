"""python -m jaxstyle sweep CONTENT STYLE [STYLE ...] -o GRID.png"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
from rich.console import Console

from jaxstyle import images
from jaxstyle.batch import program
from jaxstyle.batch.batched import BatchProgress, run_in_halves
from jaxstyle.batch.cells import Cell
from jaxstyle.batch.sweep import ROWS, batches_of, sweep_of
from jaxstyle.cli.common import Tell, silence, tell_of_tuning, tell_user, teller, use_precision
from jaxstyle.cli.flags import add_settings, argument, flag, given_settings
from jaxstyle.cli.interrupt import deferred_interrupt
from jaxstyle.cli.memory import enough_memory, explained
from jaxstyle.cli.notes import network_note, tell_notes
from jaxstyle.cli.plan import WIDTH, summary, table, verdict
from jaxstyle.cli.progress import bar, clock, done_share, sides_of
from jaxstyle.cli.recipe import Recipe
from jaxstyle.cli.sweep_files import Files
from jaxstyle.errors import IncompleteError, UsageError
from jaxstyle.execution.compilation import counted
from jaxstyle.execution.estimate import estimate
from jaxstyle.execution.plan import plan
from jaxstyle.network import weights
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import PROGRAMS, Result
from jaxstyle.settings.text import reader

HELP = "Make the papers' grid: one picture over several weights, layers, styles or seeds."
ROWS_HELP = "what differs from row to row (default: what there are several of, or style-layers)"
SEEDS_HELP = "a row for each seed; one number alone is how many, from --seed on"
CELLS_HELP = "write every cell there as well: 'run --from' repeats it"
LISTS_HELP = {
    "style_weight": "weights of the style loss: a column for each",
    "content_weight": "weights of the content loss: columns, or rows beside several style weights",
    "tv_weight": "weights of the total variation loss: a row for each, if several",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything this command takes."""
    add = parser.add_argument
    numbers, seeds = argument(reader(tuple[float, ...])), argument(reader(tuple[int, ...]))
    add("content", nargs="?", metavar="CONTENT", help="a photo")
    add("styles", nargs="*", metavar="STYLE", help="paintings, or folders of them")
    add("-o", "--output", metavar="GRID.png", type=Path, help="PNG, JPEG, WebP or TIFF")
    add("--out-dir", metavar="DIR", type=Path, help=CELLS_HELP)
    for name, about in LISTS_HELP.items():
        add(flag(name), metavar="N[,N...]", type=numbers, default=argparse.SUPPRESS, help=about)
    add("--rows", choices=ROWS, help=ROWS_HELP)
    add("--seeds", metavar="N[,N...]", type=seeds, help=SEEDS_HELP)
    add("--bits", type=int, choices=(8, 16), default=8, help="bits a channel: 16 in PNG and TIFF")
    add("--weights", metavar="VGG19.h5", help="a file made by convert_weights")
    add("--report", metavar="FILE.json", type=Path, help="settings, versions, losses and seconds")
    add("--plan", action="store_true", help="say what the sweep would take, and do nothing else")
    add("--json", action="store_true", help="print the report, or the plan, on standard output")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help="show a traceback when something fails")
    add_settings(parser, without=LISTS_HELP)


def main(arguments: argparse.Namespace) -> None:
    """Check what can be checked, run every cell, save the grid.

    Raises:
      IncompleteError: some cells could not be made.
    """
    tell = teller(arguments.quiet or arguments.json)
    if not arguments.styles:
        raise UsageError("give a CONTENT picture and at least one STYLE picture")
    if not (arguments.output or arguments.plan):
        raise UsageError("say where the grid goes: -o GRID.png")
    paths = tuple(images.listed(arguments.styles))
    sweep = sweep_of(paths, given_settings(arguments), arguments.rows, arguments.seeds)
    use_precision(sweep.settings)
    content, *styles = [images.read(path) for path in (arguments.content, *paths)]
    for path in sweep.settings.paths().values():
        images.read(path)  # what cannot be read is said now, and not in every cell
    cells = [Cell(content, [styles[i].rgb for i in c.styles], c.settings) for c in sweep.cells]
    scales = [plan(content.rgb, cell.styles, cell.settings) for cell in cells]
    if arguments.plan:
        loaded = weights.load(weights.find(arguments.weights, tell))
        show_plan(arguments, loaded, cells, tell)
        return
    recipe = Recipe(arguments.content, paths, sweep.settings, arguments.weights, arguments.bits)
    places = arguments.output, arguments.out_dir, arguments.report
    files = Files(sweep, recipe, (scales[0][-1].height, scales[0][-1].width), *places)
    files.check()
    loaded = weights.load(weights.find(arguments.weights, tell))
    files.recipe = replace(recipe, weights_sha256=loaded.sha256)
    for note in network_note(sweep.settings, loaded):
        tell(note)
    if not sweep.settings.auto_masks:  # which are each cell's own
        regions = regions_of(loaded, content.rgb, cells[0].styles, cells[0].settings)
        tell_notes(regions.notes if regions else (), tell)
    run_and_save(arguments, loaded, cells, files, tell)
    if failures := files.failures():
        for line in failures:
            tell_user(line)
        raise IncompleteError(f"{len(failures)} of {len(cells)} cells failed: see {files.output}")


def run_and_save(
    arguments: argparse.Namespace, loaded: Loaded, cells: Sequence[Cell], files: Files, tell: Tell
) -> None:
    """Run as the user watches, write the files, and say or print what came of it. If it ends
    early, the grid shows what was made."""
    start = time.perf_counter()
    with deferred_interrupt() as check, counted() as compiled:
        try:
            with progress_bar(check, hidden=tell is silence) as watch:
                for made in results(arguments, loaded, cells, watch, tell):
                    files.add(made)
        except (Exception, KeyboardInterrupt) as stop:
            if files.made or isinstance(stop, KeyboardInterrupt):
                stop.add_note(files.save_unfinished())
            raise
        if len(files.failures()) == len(cells):
            raise IncompleteError(f"no cell could be made; the first: {files.failures()[0]}")
        files.save()
    compilations = sum(compiled.programs[name] for name in (*program.PROGRAMS, *PROGRAMS))
    seconds = time.perf_counter() - start
    record = files.record(loaded, compilations, seconds)
    if files.report:
        images.write_text(files.report, json.dumps(record, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(record))
    sides = f"{len(files.sweep.rows)}x{len(files.sweep.columns)} cells"
    programs = "1 compilation" if compilations == 1 else f"{compilations} compilations"
    tell(f"{files.output}: {sides}, {seconds:.0f} s ({programs} of steps)")


Watch = Callable[[int, int, BatchProgress], None]
"""Takes the number of the batch, how many there are, and a report of it."""


def results(
    arguments: argparse.Namespace, loaded: Loaded, cells: Sequence[Cell], watch: Watch, tell: Tell
) -> Iterator[dict[int, Result | Exception]]:
    """Run every cell, batch by batch; yields what comes of each batch, by index of the cell."""
    work = batches_of(loaded, cells, jax.local_device_count())
    largest = max(cells, key=lambda cell: len(cell.settings.layers()))
    with enough_memory(arguments, loaded, largest.content, largest.styles, largest.settings):
        tell_of_tuning(largest.settings, tell)
        for number, (batch, layers) in enumerate(work):
            devices = jax.local_devices()[: len(batch)]
            mesh = program.mesh_of(devices) if len(devices) > 1 else None
            report = partial(watch, number, len(work))
            made = run_in_halves(loaded, [cells[i] for i in batch], report, mesh, layers)
            yield dict(zip(batch, made, strict=True))


@contextmanager
def progress_bar(check_interrupt: Callable[[], None], *, hidden: bool) -> Iterator[Watch]:
    """A bar on standard error; what it yields is called with every report."""
    start = time.perf_counter()
    with bar(hidden) as update:

        def report(number: int, count: int, progress: BatchProgress) -> None:
            scales, index = progress.scales, progress.scale
            share = (number + done_share(scales, index, progress.step)) / count
            left = (time.perf_counter() - start) * (1 - share) / share
            step = f"{sides_of(scales[index])}  step {progress.step}/{progress.steps}"
            update(share, f"batch {number + 1}/{count}", f"{step}  {clock(left)} left")
            check_interrupt()

        yield report


def show_plan(
    arguments: argparse.Namespace, loaded: Loaded, cells: Sequence[Cell], tell: Tell
) -> None:
    """Print what a cell would take, and how many go together, on standard output."""
    tell("compiling every scale of one cell, and running a few steps of the first one")
    work = batches_of(loaded, cells, jax.local_device_count())
    largest = max(cells, key=lambda cell: len(cell.settings.layers()))
    parts = largest.content, largest.styles, largest.settings
    (height, width), settings = largest.content.rgb.shape[:2], largest.settings
    sides = [(style.shape[0], style.shape[1]) for style in largest.styles]
    regions = regions_of(loaded, largest.content.rgb, largest.styles, settings)
    with explained(arguments, loaded, *parts), deferred_interrupt() as check:
        found = estimate(loaded, (height, width), sides, settings, check, regions)
        check()
    at_once = max(len(part.cells) for part in work)
    if arguments.json:
        plan = {"cells": len(cells), "at_once": at_once, "batches": len(work)}
        print(json.dumps({**plan, "cell": found.to_dict()}))
        return
    Console(highlight=False, markup=False, soft_wrap=True, width=WIDTH).print(table(found))
    print(f"one cell: {summary(found)}")
    print(verdict(arguments, found))
    batch = "one batch" if len(work) == 1 else f"{len(work)} batches"
    print(f"{len(cells)} cells: {at_once} at once, in {batch}")
