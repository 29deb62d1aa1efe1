"""python -m jaxstyle batch --contents DIR --styles DIR -o DIR"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from jaxstyle import __version__
from jaxstyle.batch import hosts, jobs
from jaxstyle.batch.folder import Options, Status, run_jobs
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.keeping import CHECKPOINTS, Keeper
from jaxstyle.batch.ledger import LOG, Ledger, check_fresh
from jaxstyle.batch.sources import pictures
from jaxstyle.batch.storage import Folder, is_url
from jaxstyle.cli.batch_files import check_outputs, contact_sheet, describer, not_made_here
from jaxstyle.cli.batch_plan import show_batch_plan
from jaxstyle.cli.batch_progress import batch_table
from jaxstyle.cli.common import (
    Tell,
    above_zero,
    at_least_one,
    tell_of_tuning,
    teller,
    use_precision,
)
from jaxstyle.cli.flags import add_settings, argument, given_settings
from jaxstyle.cli.interrupt import deferred_interrupt
from jaxstyle.cli.notes import network_note, tell_notes
from jaxstyle.errors import IncompleteError, UsageError
from jaxstyle.network import weights
from jaxstyle.settings import resolve
from jaxstyle.settings.text import whole_number

HELP = "Stylize folders of pictures: on all devices, on many hosts, going on where it was."

SHEET = "index.html"
FORMATS = ("png", "jpg", "webp", "tif")
PAIRS = {"product": jobs.product, "zip": jobs.zipped}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything this command takes."""
    source = "a folder, a pattern (in quotes), a .txt with a path a line, or a picture; or URLs"
    add = parser.add_argument
    add("--contents", metavar="PICTURES", help=f"photos: {source}")
    add("--styles", metavar="PICTURES", help="paintings: the same")
    add("--pairs", choices=PAIRS, default="product", help="every photo in every style, or in its")
    add("--manifest", metavar="FILE", help=".csv or .jsonl: content, style, output, any setting")
    add("-o", "--output", metavar="DIR", required=True, help="a folder, or a URL of one")
    add("--format", choices=FORMATS, default="png", help="of the pictures (default: png)")
    add("--batch-size", type=_batch_size, metavar="N", help="pictures at once (default: auto)")
    add("--force", action="store_true", help="make again what is there")
    add(
        "--checkpoint-every",
        type=above_zero,
        metavar="SECONDS",
        help="keep the batch at work so often",
    )
    add("--coordinator", metavar="HOST:PORT", help="the first host, where there are several")
    add("--num-hosts", type=at_least_one, metavar="N", help="how many they are")
    add("--host-id", type=argument(whole_number), metavar="I", help="which one this is, from 0")
    add(
        "--wait",
        type=above_zero,
        default=120.0,
        metavar="SECONDS",
        help="for the others, to begin with",
    )
    add(
        "--bits", type=int, choices=(8, 16), default=8, help="bits a channel: 8, or 16 in PNG, TIFF"
    )
    add("--weights", metavar="VGG19.h5", help="a file made by convert_weights")
    add("--plan", action="store_true", help="say what it would take, and do nothing else")
    add("--json", action="store_true", help="print the summary, or the plan, on standard output")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help="show a traceback when something fails")
    add_settings(parser)


def main(arguments: argparse.Namespace) -> None:
    """Settle what is to be done, do this host's share of it, and say what came of it.

    Raises:
      IncompleteError: when everything is done that could be.
    """
    tell = teller(arguments.quiet or arguments.json)
    settings = resolve(**given_settings(arguments))
    todo = jobs_of(arguments)
    for name, path in ((n, p) for job in todo for n, p in job.settings.paths().items()):
        if is_url(path):
            raise UsageError(f"{name}: {path}: only photos and styles can be URLs: copy it here")
    use_precision(settings)
    checkpoints = checkpoints_of(arguments)
    check_outputs(todo, arguments.output, arguments.bits)
    loaded = weights.load(weights.find(arguments.weights, tell))
    if arguments.plan:
        show_batch_plan(arguments, todo, loaded, tell)
        return
    # Before JAX looks for devices: several hosts may be processes of one machine that share them.
    host = hosts.join(arguments.coordinator, arguments.num_hosts, arguments.host_id, arguments.wait)
    for note in network_note(settings, loaded):
        tell(note)
    tell_of_tuning(settings, tell)
    out, lost = Folder(arguments.output), []
    out.create()
    if not arguments.force:
        check_fresh(out, [SHEET, *(job.output for job in todo)])
    guard = {"jaxstyle": __version__, "weights": loaded.sha256, "bits": arguments.bits}
    with (
        Ledger.open(out, host, guard, arguments.force) as ledger,
        hosts.Presence(out, host) as presence,
        deferred_interrupt() as check,
    ):
        keeper = Keeper(checkpoints, arguments.checkpoint_every, check, tell)
        describe = describer(arguments, loaded)
        note = partial(tell_notes, tell=tell, told=set())  # one mask may be that of many photos
        options = Options(arguments.batch_size, arguments.bits, describe, keeper, note)
        with _watched(check, hidden=arguments.quiet or arguments.json) as watch:
            status = run_jobs(todo, loaded, out, host, ledger, options, watch)
        if host.index == 0:
            lost = presence.wait_for_others(hosts.SILENCE, check)
        ledger.merge()
        if host.index == 0:
            out.write(SHEET, contact_sheet(todo, ledger, out, check).encode())
        if host.count == 1:
            keeper.end()
    summarize(arguments, todo, status, ledger, lost, tell)


def checkpoints_of(arguments: argparse.Namespace) -> Path | None:
    """Where batches that are interrupted are kept: beside the outputs, on this machine.

    Raises:
      UsageError: it is asked for where that cannot be.
    """
    if not is_url(arguments.output):
        return Path(arguments.output) / CHECKPOINTS
    if arguments.checkpoint_every:
        raise UsageError("--checkpoint-every needs an output folder on this machine, not a URL")
    return None


def jobs_of(arguments: argparse.Namespace) -> list[Job]:
    """What to make, from the folders or the manifest.

    Raises:
      UsageError, JobsError, SettingError: it does not say.
    """
    given, extension = given_settings(arguments), arguments.format
    if arguments.manifest:
        sources = arguments.contents, arguments.styles
        return jobs.from_manifest(arguments.manifest, given, *sources, extension)
    if not (arguments.contents and arguments.styles):
        raise UsageError("say which pictures: --contents and --styles, or --manifest")
    contents, styles = (
        not_made_here(pictures(source), arguments.output)
        for source in (arguments.contents, arguments.styles)
    )
    return PAIRS[arguments.pairs](contents, styles, resolve(**given), extension)


def summarize(
    arguments: argparse.Namespace,
    todo: Sequence[Job],
    status: Status,
    ledger: Ledger,
    lost: Sequence[str],
    tell: Tell,
) -> None:
    """Say what was done.

    Raises:
      IncompleteError: not everything.
    """
    seconds = status.seconds or 1.0
    # What is gone on with has seconds of the process before.
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
        "lost_hosts": list(lost),
    }
    if arguments.json:
        print(json.dumps(told))
    there = f", {status.found} were there" if status.found else ""
    tell(
        f"{arguments.output}: {status.made} made{there}, {status.seconds:.0f} s; compiled "
        f"{status.compilations} times for steps and {status.target_compilations} for targets; "
        f"{stepping:.0%} of the time taking steps, {waited:.1%} waiting for files"
    )
    if lost:
        raise IncompleteError(
            f"lost {', '.join(lost)}: run the same command again for what it has not done"
        )
    if status.failed:
        first = next(ledger.entries[job.output] for job in todo if failed(ledger, job))
        raise IncompleteError(
            f"{status.failed} of {status.total} could not be made (all in {LOG}); the first: "
            f"{first.output}: {first.reason}"
        )


def failed(ledger: Ledger, job: Job) -> bool:
    """Whether a job could not be done."""
    return job.output in ledger.entries and ledger.entries[job.output].status == "failed"


@contextmanager
def _watched(check: Callable[[], None], *, hidden: bool) -> Iterator[Callable[[Status], None]]:
    """What is told how far it is, and raises what ``check`` does; a table on standard error."""
    with batch_table(hidden) as show:

        def update(status: Status) -> None:
            show(status)
            check()

        try:
            yield update
        except KeyboardInterrupt as stop:
            stop.add_note("the same command again goes on from here")
            raise


def _batch_size(text: str) -> int | None:
    """A number, or auto."""
    return None if text == "auto" else at_least_one(text)
