"""python -m jaxstyle batch --contents DIR --styles DIR -o DIR"""

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from jaxstyle import __version__, weights
from jaxstyle import image as images
from jaxstyle.batch import hosts, jobs, sheet
from jaxstyle.batch.folder import Options, Status, inputs_of, run_jobs
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.keeping import CHECKPOINTS, Keeper
from jaxstyle.batch.ledger import LOG, Ledger, check_fresh
from jaxstyle.batch.sources import pictures
from jaxstyle.batch.storage import Folder, is_url
from jaxstyle.cli.batch_plan import show_batch_plan
from jaxstyle.cli.common import (
    Tell,
    above_zero,
    at_least_one,
    tell_of_tuning,
    teller,
    use_precision,
)
from jaxstyle.cli.failures import IncompleteError, UsageError
from jaxstyle.cli.flags import add_settings, argument, given_settings
from jaxstyle.cli.interrupt import deferred_interrupt
from jaxstyle.cli.notes import network_note
from jaxstyle.cli.progress import done_share
from jaxstyle.cli.recipe import Recipe
from jaxstyle.image import ImageError
from jaxstyle.settings import resolve
from jaxstyle.text import whole_number

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
        options = Options(arguments.batch_size, arguments.bits, describe, keeper)
        with _shown(arguments.quiet or arguments.json) as show:

            def watch(status: Status) -> None:
                show(status)
                check()

            try:
                status = run_jobs(todo, loaded, out, host, ledger, options, watch)
            except KeyboardInterrupt as stop:
                stop.add_note("the same command again goes on from here")
                raise
        if host.index == 0:
            lost = presence.wait_for_others(hosts.SILENCE, check)
        ledger.merge()
        if host.index == 0:
            out.write(SHEET, contact_sheet(todo, ledger, out).encode())
        if host.count == 1:
            keeper.end()
    summarize(arguments, todo, status, ledger, lost, tell)


def not_made_here(paths: list[str], root: str) -> list[str]:
    """Without those in the output folder, where there are others: a pattern that finds the photos
    may find what was made of them too."""
    return [path for path in paths if not inside(path, root)] or paths


def inside(path: str, root: str) -> bool:
    """Whether a picture is in the output folder."""
    if is_url(root) or is_url(path):
        return path.rpartition("/")[0] == root.rstrip("/")
    return os.path.dirname(os.path.realpath(path)) == os.path.realpath(root)


def check_outputs(todo: Sequence[Job], root: str, bits: int) -> None:
    """Raises ImageError where an output cannot have its format, or would be written over an input:
    no input is in the output folder."""
    for extension in {Path(job.output).suffix for job in todo}:
        images.check_format(f"output{extension}", bits=bits)
    for path in sorted({path for job in todo for path in inputs_of(job)}):
        if inside(path, root):
            raise ImageError(f"{path}: is in the output folder: give another one with -o")


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


def describer(arguments: argparse.Namespace, loaded: weights.Loaded) -> Callable[[Job], str]:
    """What is written into each picture: the run that would make it, where that can be named."""

    def describe(job: Job) -> str:
        recipe = Recipe(
            job.content, job.styles, job.settings, arguments.weights, arguments.bits, loaded.sha256
        )
        if any(map(is_url, (arguments.output, job.content, *job.styles))):
            return json.dumps({"settings": job.settings.to_dict()})
        return recipe.to_json(Path(arguments.output))

    return describe


def contact_sheet(todo: Sequence[Job], ledger: Ledger, out: Folder) -> str:
    """The page that shows all of it."""
    rows, unseen = [], set()
    for job in todo:
        entry = ledger.entries.get(job.output)
        status, reason = (entry.status, entry.reason) if entry else ("missing", "")
        rows.append(sheet.Shown(job.content, job.styles, job.output, status, reason, job.settings))
        made = {job.output: out.path(job.output)} if status == "done" else {}
        sources = {path: path for path in (job.content, *job.styles)} | made
        unseen |= {each for each in sources.items() if not _in_browsers(each[1])}
    there = out.names() if unseen else set()
    shots = {path: _thumbnail(at, out, there) for path, at in sorted(unseen)}
    thumbnails = {path: name for path, name in shots.items() if name}
    return sheet.sheet(rows, thumbnails, Path(out.root).name or out.root, out.root)


def _in_browsers(path: str) -> bool:
    """Whether a page can show it; of what is elsewhere, nothing is fetched again for that."""
    return is_url(path) or path.lower().endswith(sheet.IN_BROWSERS)


def _thumbnail(path: str, out: Folder, there: Set[str]) -> str:
    """The name of a small picture in the folder; none where it cannot be read."""
    name = f".thumbnail-{hashlib.sha256(path.encode()).hexdigest()[:16]}.jpg"
    if name in there:
        return name
    try:
        out.write(name, sheet.thumbnail(images.read(path).rgb))
    except ImageError:
        return ""
    return name


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
        "lost_hosts": list(lost),
    }
    if arguments.json:
        print(json.dumps(told))
    there = f", {status.found} were there" if status.found else ""
    tell(
        f"{arguments.output}: {status.made} made{there}, {status.seconds:.0f} s, "
        f"{status.compilations} compilations of steps; {stepping:.0%} of the time taking steps, "
        f"{waited:.1%} waiting for files"
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
def _shown(hidden: bool) -> Iterator[Callable[[Status], None]]:
    """A bar on standard error while the block runs."""
    console = Console(stderr=True)
    columns = TextColumn("{task.fields[done]}"), BarColumn(), TextColumn("{task.fields[text]}")
    disable = hidden or not console.is_terminal
    with Progress(*columns, console=console, disable=disable, transient=True) as bar:
        task = bar.add_task("", total=1.0, done="getting ready", text="")

        def update(status: Status) -> None:
            ready = status.found + status.made + status.failed
            share, text = 0.0, ""
            if progress := status.running:
                scale = progress.scales[progress.scale]
                share = done_share(progress.scales, progress.scale, progress.step)
                text = (
                    f"{status.slots} of {scale.width}x{scale.height}, "
                    f"scale {progress.scale + 1}/{len(progress.scales)}, "
                    f"step {progress.step}/{progress.steps}"
                )
            text += f"  {status.failed} failed" if status.failed else ""
            done = (ready + share * status.slots) / max(1, status.total)
            bar.update(task, completed=done, done=f"{ready}/{status.total}", text=text)

        yield update


def _batch_size(text: str) -> int | None:
    """A number, or auto."""
    return None if text == "auto" else at_least_one(text)
