"""python -m jaxstyle run CONTENT STYLE [STYLE ...] -o OUT.png"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jaxstyle import image as images
from jaxstyle import weights
from jaxstyle.cli import recipe
from jaxstyle.cli.failures import UsageError
from jaxstyle.cli.flags import add_settings, given_settings, whole_number
from jaxstyle.cli.interrupt import deferred_interrupt
from jaxstyle.cli.notes import network_note
from jaxstyle.cli.outputs import Outputs
from jaxstyle.cli.progress import progress_bar
from jaxstyle.cli.recipe import Recipe
from jaxstyle.result import Progress, Result
from jaxstyle.settings import resolve
from jaxstyle.stylize import report_every, run

HELP = "Stylize a content picture after one or several style pictures."
FROM_HELP = "repeat the run that made this picture; flags given are put over its settings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything this command takes."""
    add = parser.add_argument
    add("pictures", nargs="*", metavar=("CONTENT", "STYLE"), help="a photo, and paintings")
    add("-o", "--output", metavar="OUT.png", type=Path, help="PNG, JPEG, WebP or TIFF")
    add("--from", dest="recipe", metavar="OUT.png", type=Path, help=FROM_HELP)
    add("--bits", type=int, choices=(8, 16), help="bits a channel: 8, or 16 in PNG and TIFF")
    add("--weights", metavar="VGG19.h5", help="a file made by convert_weights")
    add("--save-every", metavar="N", type=_at_least_one, help="previews beside OUT every N steps")
    add("--timelapse", metavar="FILE.webp", type=Path, help="animate the run: WebP or GIF")
    add("--report", metavar="FILE.json", type=Path, help="settings, versions, losses and seconds")
    add("--json", action="store_true", help="print the report on standard output")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help="show a traceback when something fails")
    add_settings(parser)


def main(arguments: argparse.Namespace) -> None:
    """Check what can be checked, run, save."""
    tell = _silence if arguments.quiet or arguments.json else _tell
    job = job_of(arguments)
    outputs = Outputs(
        picture=arguments.output or _beside(arguments.recipe),
        tell=tell,
        bits=job.bits,
        save_every=arguments.save_every,
        timelapse=arguments.timelapse,
        report=arguments.report,
    )
    directory = outputs.picture.parent
    outputs.check(job.settings.size, job.inputs(), job.to_json(directory))
    content, *styles = [images.read(path) for path in (job.content, *job.styles)]
    loaded = weights.load(weights.find(job.weights, tell))
    _note(job, loaded, tell)
    description = replace(job, weights_sha256=loaded.sha256).to_json(directory)
    with progress_bar(hidden=tell is _silence) as bar, deferred_interrupt() as check_interrupt:

        def watch(progress: Progress) -> None:
            outputs(progress)
            bar(progress)
            check_interrupt()

        try:
            style_pictures = [style.rgb for style in styles]
            result = run(loaded, content, style_pictures, job.settings, watch, job_every(arguments))
        except (Exception, KeyboardInterrupt) as stop:
            if outputs.last or isinstance(stop, KeyboardInterrupt):
                stop.add_note(outputs.save_unfinished(content, job.settings, description))
            raise
        outputs.save(result, description)
    if arguments.json:
        print(json.dumps(result.report()))
    tell(_summary(outputs.picture, result))


def job_of(arguments: argparse.Namespace) -> Recipe:
    """What to make of which pictures, from the arguments or from a picture made before.

    Raises:
      UsageError: too few or too many arguments.
    """
    given = given_settings(arguments)
    stored = {
        name: value
        for name, value in (("bits", arguments.bits), ("weights", arguments.weights))
        if value is not None
    }
    if arguments.recipe:
        if arguments.pictures:
            raise UsageError("--from repeats a run: it takes no CONTENT and STYLE beside it")
        return replace(recipe.read(arguments.recipe, given), **stored)
    if len(arguments.pictures) < 2:
        raise UsageError("give a CONTENT picture and at least one STYLE picture")
    if not arguments.output:
        raise UsageError("say where the result goes: -o OUT.png")
    content, *styles = arguments.pictures
    return Recipe(content, tuple(styles), resolve(**given), **stored)


def job_every(arguments: argparse.Namespace) -> int | None:
    """Steps between two reports, where previews ask for more of them than the solver would."""
    return arguments.save_every and min(arguments.save_every, report_every())


def _beside(path: Path) -> Path:
    """A repeated run does not write over the picture it repeats."""
    return path.with_stem(f"{path.stem}-again")


def _note(job: Recipe, loaded: weights.Loaded, tell: Callable[[str], None]) -> None:
    if job.weights_sha256 and job.weights_sha256 != loaded.sha256:
        tell("note: these are not the weights of the run that is repeated")
    for note in network_note(job.settings, loaded):
        tell(note)


def _summary(path: Path, result: Result) -> str:
    height, width = result.image.shape[:2]
    compiling = sum(scale.compile_seconds for scale in result.scales)
    return f"{path}: {width}x{height}, {result.seconds:.0f} s ({compiling:.0f} of them compiling)"


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _silence(line: str) -> None:
    del line


def _at_least_one(text: str) -> int:
    number = whole_number(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return number
