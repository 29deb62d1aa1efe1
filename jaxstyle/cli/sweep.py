"""The command ``jaxstyle sweep CONTENT STYLE [STYLE ...] -o GRID.png``."""

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
from jaxstyle.batch.retry import run_in_halves
from jaxstyle.batch.sweep import ROWS, batches_of, sweep_of
from jaxstyle.cli.common import (
    BITS_HELP,
    DEBUG_HELP,
    WEIGHTS_HELP,
    Tell,
    check_is_one,
    plan_notes,
    silence,
    tell_of_tuning,
    tell_user,
    teller,
    use_precision,
)
from jaxstyle.cli.failures import interruptible, saving
from jaxstyle.cli.flags import add_settings, argument, flag, given_settings
from jaxstyle.cli.interrupt import deferred_interrupt
from jaxstyle.cli.memory import as_flags
from jaxstyle.cli.notes import idle_notes, network_note, read_pictures, tell_notes
from jaxstyle.cli.plan import WIDTH, summary, table
from jaxstyle.cli.progress import bar, sides_of
from jaxstyle.cli.sweep_files import Files
from jaxstyle.errors import IncompleteError, UsageError
from jaxstyle.execution.batched import mesh_of
from jaxstyle.execution.estimate import estimate
from jaxstyle.execution.plan import plan
from jaxstyle.machine.command_line import one_of
from jaxstyle.machine.words import clock, count_of
from jaxstyle.network import weights
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.memory import enough_memory, explained, verdict
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.recipe import Recipe
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.result import Progress, Result, scale_reports
from jaxstyle.runs.stylize import telling
from jaxstyle.settings.text import reader

HELP = "Draw a labeled grid of one picture with several weights, layers, styles or seeds."
ROWS_HELP = "what varies from row to row (default: whatever has several values, else style-layers)"
SEEDS_HELP = "seeds of the rows; a single number N stands for N seeds, from --seed on"
GRID_HELP = "grid: PNG, JPEG, WebP or TIFF; replaces an existing file"
CELLS_HELP = (
    "also save each cell as a picture in this folder; 'run --from' can repeat it; cells of an "
    "earlier sweep are never replaced"
)
LISTS_HELP = {
    "style_weight": "weights of the style loss: one column each",
    "content_weight": "weights of the content loss: columns, or rows with several style weights",
    "tv_weight": "weights of the total variation loss: one row each",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    numbers, seeds = argument(reader(tuple[float, ...])), argument(reader(tuple[int, ...]))
    add("content", nargs="?", metavar="CONTENT", help="content picture (a photo)")
    add("styles", nargs="*", metavar="STYLE", help="style pictures (paintings), or folders")
    add("-o", "--output", metavar="GRID.png", type=Path, help=GRID_HELP)
    add("--out-dir", metavar="DIR", type=Path, help=CELLS_HELP)
    for name, about in LISTS_HELP.items():
        add(flag(name), metavar="N[,N...]", type=numbers, default=argparse.SUPPRESS, help=about)
    add("--rows", **one_of(ROWS), help=ROWS_HELP)
    add("--seeds", metavar="N[,N...]", type=seeds, help=SEEDS_HELP)
    add("--bits", type=int, choices=(8, 16), default=8, help=BITS_HELP)
    add("--weights", metavar="VGG19.h5", help=WEIGHTS_HELP)
    add(
        "--report", metavar="FILE.json", type=Path, help="save settings, versions, losses and times"
    )
    add("--plan", action="store_true", help="print sizes, memory and time of the sweep, and exit")
    add("--json", action="store_true", help="print the report, or the plan, as JSON")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help=DEBUG_HELP)
    add_settings(parser, without=LISTS_HELP)


def main(arguments: argparse.Namespace) -> None:
    """Check the arguments, run every cell, save the grid.

    Raises:
      IncompleteError: some cells could not be made.
    """
    tell = teller(arguments.quiet or arguments.json)
    if not arguments.styles:
        raise UsageError("give a CONTENT picture and at least one STYLE picture")
    if not (arguments.output or arguments.plan):
        raise UsageError("say where the grid goes: -o GRID.png")
    check_is_one(arguments.content)
    paths = tuple(images.expand_folders(arguments.styles))
    sweep = sweep_of(paths, given_settings(arguments), arguments.rows, arguments.seeds)
    runs = [cell.settings for cell in sweep.cells]
    idle = idle_notes(runs, given_settings(arguments), len(paths))
    use_precision(sweep.settings)
    content, *styles = read_pictures([arguments.content, *paths], sweep.settings, tell)
    cells = [Inputs(content, [styles[i].pixels for i in c.styles], c.settings) for c in sweep.cells]
    scales = [plan(content.rgb, cell.styles, cell.settings) for cell in cells]
    if arguments.plan:
        loaded = weights.load(weights.find(arguments.weights, tell))
        tell_notes([*idle, *plan_notes(arguments)], tell)
        show_plan(arguments, loaded, cells, tell)
        return
    recipe = Recipe(arguments.content, paths, sweep.settings, arguments.weights, arguments.bits)
    places = arguments.output, arguments.out_dir, arguments.report
    files = Files(sweep, recipe, (scales[0][-1].height, scales[0][-1].width), *places)
    files.check()
    loaded = weights.load(weights.find(arguments.weights, tell))
    files.recipe = replace(recipe, weights_sha256=loaded.sha256)
    tell_notes(idle, tell)
    for note in network_note(sweep.settings, loaded):
        tell(note)
    if not sweep.settings.auto_masks:  # whose regions differ from cell to cell
        regions = regions_of(loaded, content.pixels, cells[0].styles, cells[0].settings)
        tell_notes(regions.notes if regions else (), tell)
    run_and_save(arguments, loaded, cells, files, tell)
    if files.unsaved:
        problem = next(iter(files.unsaved.values()))
        raise IncompleteError(
            f"{problem}: {files.whereabouts()}; all are in {files.output}: to have them all as "
            "pictures, make room and give another --out-dir"
        )
    if failures := files.failures():
        for line in failures:
            tell_user(line)
        raise IncompleteError(f"{len(failures)} of {len(cells)} cells failed: see {files.output}")


def run_and_save(
    arguments: argparse.Namespace, loaded: Loaded, cells: Sequence[Inputs], files: Files, tell: Tell
) -> None:
    """Run all cells with a progress bar, write the files, and print the summary.

    If the run ends early, the grid of the finished cells is saved beside the output.

    Raises:
      IncompleteError: every cell failed.
    """
    start = time.perf_counter()

    def save(stop: BaseException) -> None:
        if files.made or isinstance(stop, KeyboardInterrupt):
            stop.add_note(files.save_unfinished())

    with deferred_interrupt(tell) as check:
        with saving(check, progress_bar(check, hidden=tell is silence), save) as watch:
            for made in results(arguments, loaded, cells, watch, check, tell):
                files.add(made)
        if len(files.failures()) == len(cells):
            raise IncompleteError(f"no cell could be made; the first: {files.failures()[0]}")
        files.save()
    compilations = sum(scale.compilations for scale in scale_reports(files.made.values()))
    seconds = time.perf_counter() - start
    record = files.record(loaded, compilations, seconds)
    if files.report:
        images.write_text(files.report, json.dumps(record, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(record))
    sides = f"{len(files.sweep.rows)}x{len(files.sweep.columns)} cells"
    programs = count_of(compilations, "compilation")
    tell(f"{files.output}: {sides}, {seconds:.0f} s ({programs} of steps)")


Watch = Callable[[int, int, Progress], None]
"""A function of a batch's index, the number of batches, and a report of the batch."""


def results(
    arguments: argparse.Namespace,
    loaded: Loaded,
    cells: Sequence[Inputs],
    watch: Watch,
    check_interrupt: Callable[[], None],
    tell: Tell,
) -> Iterator[dict[int, Result | Exception]]:
    """Run all cells, batch by batch; yield each batch's results or errors by index of the cell."""
    work = batches_of(loaded, cells, jax.local_device_count())
    largest = max(cells, key=lambda cell: len(cell.settings.layers()))
    with enough_memory(loaded, largest, as_flags(arguments)):
        tell_of_tuning(largest.settings, tell)
        for number, (batch, layers) in enumerate(work):
            devices = jax.local_devices()[: len(batch)]
            mesh = mesh_of(devices) if len(devices) > 1 else None
            hooks = Hooks(telling(partial(watch, number, len(work))), check_interrupt)
            made = run_in_halves(loaded, [cells[i] for i in batch], hooks, mesh, layers)
            yield dict(zip(batch, made, strict=True))


@contextmanager
def progress_bar(check_interrupt: Callable[[], None], *, hidden: bool) -> Iterator[Watch]:
    """Show a bar on standard error; yield a function to call with every report."""
    start = time.perf_counter()
    with bar(hidden) as update:

        def report(number: int, count: int, progress: Progress) -> None:
            share = (number + progress.share) / count
            left = (time.perf_counter() - start) * (1 - share) / share
            here = sides_of(progress.scales[progress.scale])
            step = f"{here}  step {progress.step}/{progress.steps}"
            update(share, f"batch {number + 1}/{count}", f"{step}  {clock(left)} left")
            check_interrupt()

        yield report


def show_plan(
    arguments: argparse.Namespace, loaded: Loaded, cells: Sequence[Inputs], tell: Tell
) -> None:
    """Print the plan of one cell, and how many run at once, on standard output."""
    tell("compiling every scale of one cell and timing a few steps of the first")
    work = batches_of(loaded, cells, jax.local_device_count())
    largest = max(cells, key=lambda cell: len(cell.settings.layers()))
    (height, width), settings = largest.content.rgb.shape[:2], largest.settings
    sides = [(style.shape[0], style.shape[1]) for style in largest.styles]
    regions = regions_of(loaded, largest.content.pixels, largest.styles, settings)
    with explained(loaded, largest, as_flags(arguments)), interruptible(tell) as check:
        found = estimate(loaded, (height, width), sides, settings, check, regions)
    at_once = max(len(part.cells) for part in work)
    if arguments.json:
        plan = {"cells": len(cells), "at_once": at_once, "batches": len(work)}
        print(json.dumps({**plan, "cell": found.to_dict()}))
        return
    Console(highlight=False, markup=False, soft_wrap=True, width=WIDTH).print(table(found))
    print(f"one cell: {summary(found)}")
    print(verdict(found, as_flags(arguments)))
    batch = "one batch" if len(work) == 1 else f"{len(work)} batches"
    print(f"{count_of(len(cells), 'cell')}: {at_once} at once, in {batch}")
