"""The command ``jaxstyle batch --contents DIR --styles DIR -o DIR``."""

import argparse
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from jaxstyle import __version__
from jaxstyle.batch import jobs
from jaxstyle.batch.checkpoints import CHECKPOINTS, Keeper
from jaxstyle.batch.folder import Status, missing_outputs, run_jobs
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.ledger import LOG, Ledger, check_fresh
from jaxstyle.batch.sources import pictures
from jaxstyle.batch.storage import Folder, is_url
from jaxstyle.batch.worker import Options
from jaxstyle.cli.batch_cluster import workers
from jaxstyle.cli.batch_files import check_outputs, contact_sheet, description, not_made_here
from jaxstyle.cli.batch_plan import show_batch_plan
from jaxstyle.cli.batch_progress import batch_progress
from jaxstyle.cli.cluster import add_cluster_flags, check_cluster_flags, cluster_of
from jaxstyle.cli.common import (
    BITS_HELP,
    DEBUG_HELP,
    WEIGHTS_HELP,
    Tell,
    above_zero,
    at_least_one,
    plan_notes,
    tell_of_tuning,
    teller,
    use_precision,
)
from jaxstyle.cli.failures import saving
from jaxstyle.cli.flags import add_settings, given_settings
from jaxstyle.cli.interrupt import Requests, deferred_interrupt
from jaxstyle.cli.notes import idle_notes, network_note, tell_notes
from jaxstyle.errors import CheckpointError, IncompleteError, StorageError, UsageError
from jaxstyle.machine.command_line import one_of
from jaxstyle.machine.words import count_of
from jaxstyle.network import weights
from jaxstyle.settings import resolve

HELP = "Stylize folders of pictures, on all devices or a cluster; resumes where it stopped."

SHEET = "index.html"
FORMATS = ("png", "jpg", "webp", "tif")
PAIRS = {"product": jobs.product, "zip": jobs.zipped}
FOLDER_HELP = (
    "output folder, or its URL; pictures in it are never replaced: a batch that would make them in "
    "another way needs --force or another folder"
)
FORCE_HELP = "make all pictures again, not only missing ones, and replace those that are there"
PAIRS_HELP = (
    "product: every photo with every style; zip: first with first, second with second "
    "(default: product)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    source = "a folder, a quoted pattern, a .txt file of one path per line, a picture, or URLs"
    add = parser.add_argument
    several: dict[str, Any] = {"metavar": "PICTURES", "nargs": "+", "action": "extend"}
    add("--contents", **several, help=f"content pictures: {source}; or several of these")
    add("--styles", **several, help="style pictures, in any of these forms")
    add("--pairs", **one_of(PAIRS), help=PAIRS_HELP)
    add(
        "--manifest",
        metavar="FILE",
        help="table of jobs, .csv or .jsonl: content, style, output and any setting",
    )
    add("-o", "--output", metavar="DIR", required=True, help=FOLDER_HELP)
    add("--format", **one_of(FORMATS), default="png", help="file format of results (default: png)")
    add(
        "--batch-size",
        type=_batch_size,
        metavar="N",
        help="pictures per batch (default: auto, as many as fit)",
    )
    add("--force", action="store_true", help=FORCE_HELP)
    add(
        "--checkpoint-every",
        type=above_zero,
        metavar="SECONDS",
        help="save a checkpoint of the running batch this often",
    )
    add_cluster_flags(parser)
    add("--bits", type=int, choices=(8, 16), default=8, help=BITS_HELP)
    add("--weights", metavar="VGG19.h5", help=WEIGHTS_HELP)
    add("--plan", action="store_true", help="print batches, time and memory, and exit")
    add("--json", action="store_true", help="print the summary, or the plan, as JSON")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help=DEBUG_HELP)
    add_settings(parser)


def main(arguments: argparse.Namespace) -> None:
    """Read the jobs, run those that are missing, and print the summary.

    Raises:
      IncompleteError: some pictures could not be made; all others were.
    """
    tell = teller(arguments.quiet or arguments.json)
    check_cluster_flags(arguments)
    settings = resolve(**given_settings(arguments))
    todo = jobs_of(arguments)
    runs = list({id(job.settings): job.settings for job in todo}.values())
    most_styles = max(len(job.styles) for job in todo)
    idle = idle_notes(runs, given_settings(arguments), most_styles)
    for name, path in ((n, p) for job in todo for n, p in job.settings.paths().items()):
        if is_url(path):
            raise UsageError(
                f"{name}: {path}: only photos and styles can be URLs: copy this file here"
            )
    use_precision(settings)
    checkpoints = checkpoints_of(arguments)
    check_outputs(todo, arguments.output, arguments.bits)
    loaded = weights.load(weights.find(arguments.weights, tell))
    tell_notes(idle, tell)
    if arguments.plan:
        tell_notes(plan_notes(arguments), tell)
        show_batch_plan(arguments, todo, loaded, tell)
        return
    for note in network_note(settings, loaded):
        tell(note)
    if not arguments.cluster:
        tell_of_tuning(settings, tell)
    with cluster_of(arguments, tell):
        status, ledger = make_missing(arguments, todo, loaded, checkpoints, tell)
    summarize(arguments, todo, status, ledger, tell)


def make_missing(
    arguments: argparse.Namespace,
    todo: Sequence[Job],
    loaded: weights.Loaded,
    checkpoints: Path | None,
    tell: Tell,
) -> tuple[Status, Ledger]:
    """Make the pictures that are missing, and the page that shows all.

    Returns:
      The final status, and the ledger, which is closed.
    """
    out = Folder(arguments.output)
    out.create()
    out.check_own([SHEET])
    check_fresh(out, [SHEET, *(job.output for job in todo)], arguments.force)
    guard = {"jaxstyle": __version__, "weights": loaded.sha256, "bits": arguments.bits}
    with Ledger.open(out, guard, arguments.force) as ledger, deferred_interrupt(tell) as check:
        if ledger.damage:
            tell(f"note: {ledger.damage}")
        keeper = Keeper(checkpoints, arguments.checkpoint_every, check, tell)
        describe = partial(
            description,
            weights_path=arguments.weights,
            bits=arguments.bits,
            sha256=loaded.sha256,
            root=arguments.output,
        )
        # Photos may share a mask: its notes are told once.
        note = partial(tell_notes, tell=tell, told=set())
        options = Options(arguments.batch_size, arguments.bits, describe, keeper, note)
        working = threading.Event()
        with _watched(arguments, check, keeper, working) as watch:
            missing = missing_outputs(todo, out, ledger, describe)
            status = Status(len(todo), len(todo) - len(missing))
            watch(status)
            if missing:
                with workers(arguments, todo, loaded, checkpoints, options, check) as on:
                    working.set()
                    status = run_jobs(todo, missing, out, ledger, on, watch, check)
        ledger.compact()
        out.write(SHEET, contact_sheet(todo, ledger, out, check).encode())
        if checkpoints:
            shutil.rmtree(checkpoints, ignore_errors=True)
    return status, ledger


def checkpoints_of(arguments: argparse.Namespace) -> Path | None:
    """Return the folder for checkpoints, in a local output folder; None if the output is a URL.

    Raises:
      UsageError: ``--checkpoint-every`` is given with a URL.
      CheckpointError: there is a link or a file of its name.
    """
    if not is_url(arguments.output):
        folder = Path(arguments.output) / CHECKPOINTS
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise CheckpointError(f"{folder}: is not a folder, and is left alone: remove it")
        return folder
    if arguments.checkpoint_every:
        raise UsageError("--checkpoint-every needs an output folder on this machine, not a URL")
    return None


def jobs_of(arguments: argparse.Namespace) -> list[Job]:
    """Return the jobs of the folders or the manifest.

    Raises:
      UsageError: neither folders nor a manifest are given.
      JobsError: a folder has no pictures, or the manifest is invalid.
      SettingError: a setting is invalid.
    """
    given, extension = given_settings(arguments), arguments.format
    if arguments.manifest:
        if arguments.pairs:
            raise UsageError("--pairs does not go with --manifest, whose rows are the pairs")
        sources = arguments.contents or (), arguments.styles or ()
        return jobs.from_manifest(arguments.manifest, given, *sources, extension)
    if not (arguments.contents and arguments.styles):
        raise UsageError("give the pictures: --contents and --styles, or --manifest")
    contents, styles = (
        not_made_here([p for each in sources for p in pictures(each)], arguments.output)
        for sources in (arguments.contents, arguments.styles)
    )
    return PAIRS[arguments.pairs or "product"](contents, styles, resolve(**given), extension)


def summarize(
    arguments: argparse.Namespace,
    todo: Sequence[Job],
    status: Status,
    ledger: Ledger,
    tell: Tell,
) -> None:
    """Print the summary.

    Raises:
      IncompleteError: pictures could not be made.
    """
    seconds = status.capacity or 1.0
    # A resumed batch counts seconds of the process before, so the share may exceed 1.
    waited, stepping = status.waited / seconds, min(1.0, status.stepping / seconds)
    told = {
        "made": status.made,
        "found": status.found,
        "failed": status.failed,
        "seconds": status.seconds,
        "waited_share": waited,
        "stepping_share": stepping,
        "compilations": status.compilations,
        "target_compilations": status.target_compilations,
        "workers": [
            {"name": each.name, "devices": each.devices, "batches": each.done}
            for each in status.members
        ],
        "lost_workers": status.lost,
    }
    if arguments.json:
        print(json.dumps(told))
    there = f", {status.found} found" if status.found else ""
    tell(
        f"{arguments.output}: {status.made} made{there}, {status.seconds:.0f} s; "
        f"{count_of(status.compilations, 'compilation')} of steps, "
        f"{status.target_compilations} of targets; "
        f"{stepping:.0%} of the time in steps, {waited:.1%} waiting for files"
    )
    if status.failed:
        first = next(ledger.entries[job.output] for job in todo if failed(ledger, job))
        raise IncompleteError(
            f"{status.failed} of {status.total} could not be made (all in {LOG}); the first: "
            f"{first.output}: {first.reason}"
        )


def failed(ledger: Ledger, job: Job) -> bool:
    """Return whether a job failed."""
    return job.output in ledger.entries and ledger.entries[job.output].status == "failed"


@contextmanager
def _watched(
    arguments: argparse.Namespace, check: Requests, keeper: Keeper, working: threading.Event
) -> Iterator[Callable[[Status], None]]:
    """Show progress on standard error; yield a function to call with every status.

    The function calls ``check``. A note on how to continue is added to what ends the batch early.
    Workers of a cluster, once they work, are ended in order, which another thread cannot do.
    """

    def save(stop: BaseException) -> None:
        if isinstance(stop, KeyboardInterrupt | StorageError):
            stop.add_note("run the same command again to continue from here")

    shown = batch_progress(hidden=arguments.quiet or arguments.json)

    def can_save() -> bool:
        return not working.is_set() if arguments.cluster else keeper.save()

    with saving(check, shown, save, can_save) as show:

        def update(status: Status) -> None:
            show(status)
            check()

        yield update


def _batch_size(text: str) -> int | None:
    """Parse a number of pictures, or ``auto`` into None."""
    return None if text == "auto" else at_least_one(text)
