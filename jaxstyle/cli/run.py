"""python -m jaxstyle run CONTENT STYLE [STYLE ...] -o OUT.png"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from jaxstyle import image as images
from jaxstyle import weights
from jaxstyle.cli import recipe
from jaxstyle.cli.failures import UsageError
from jaxstyle.cli.flags import add_settings, given_settings, whole_number
from jaxstyle.cli.outputs import Outputs
from jaxstyle.cli.progress import progress_bar
from jaxstyle.cli.recipe import Recipe
from jaxstyle.result import Progress, Result
from jaxstyle.settings import resolve
from jaxstyle.solve import DivergedError
from jaxstyle.stylize import run

HELP = "Stylize a content picture after one or several style pictures."
FROM_HELP = "repeat the run that made this picture; flags given are put over its settings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything this command takes."""
    add = parser.add_argument
    add("content", nargs="?", metavar="CONTENT", help="the picture to stylize")
    add("styles", nargs="*", metavar="STYLE", help="one or several style pictures")
    add("-o", "--output", metavar="OUT.png", type=Path, help="PNG, JPEG, WebP or TIFF")
    add("--from", dest="recipe", metavar="OUT.png", type=Path, help=FROM_HELP)
    add("--bits", type=int, choices=(8, 16), default=8, help="bits a channel: 16 in PNG and TIFF")
    add("--weights", metavar="VGG19.h5", type=Path, help="a file made by convert_weights")
    add("--save-every", metavar="N", type=_at_least_one, help="previews beside OUT every N steps")
    add("--timelapse", metavar="FILE.webp", type=Path, help="animate the run: WebP or GIF")
    add("--report", metavar="FILE.json", type=Path, help="settings, versions, losses and seconds")
    add("--json", action="store_true", help="print the report on standard output")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help="show a traceback when something fails")
    add_settings(parser)


def main(arguments: argparse.Namespace) -> None:
    """Check what can be checked, run, save."""
    job = job_of(arguments)
    tell = _silence if arguments.quiet or arguments.json else _tell
    outputs = Outputs(
        picture=arguments.output or _beside(arguments.recipe),
        bits=arguments.bits,
        save_every=arguments.save_every,
        timelapse=arguments.timelapse,
        report=arguments.report,
    )
    outputs.check()
    content, *styles = [images.read(path) for path in (job.content, *job.styles)]
    loaded = weights.load(weights.find(arguments.weights, tell))
    _warn(job, loaded)
    job = replace(job, weights_sha256=loaded.sha256)
    try:
        with progress_bar(hidden=tell is _silence) as bar:

            def watch(progress: Progress) -> None:
                outputs(progress)
                bar(progress)

            result = run(loaded, content, [style.rgb for style in styles], job.settings, watch)
    except (KeyboardInterrupt, DivergedError) as stop:
        kept = outputs.save_unfinished(content, job.to_json())
        raise type(stop)(": ".join(filter(None, [str(stop) or "interrupted", kept]))) from None
    outputs.save(result, job.to_json())
    print(json.dumps(result.report())) if arguments.json else tell(
        _summary(outputs.picture, result)
    )


def job_of(arguments: argparse.Namespace) -> Recipe:
    """What to make of which pictures, from the arguments or from a picture made before.

    Raises:
      UsageError: too few or too many arguments.
    """
    given = given_settings(arguments)
    if arguments.recipe:
        if arguments.content:
            raise UsageError("--from repeats a run: it takes no CONTENT and STYLE beside it")
        return recipe.read(arguments.recipe, given)
    if not arguments.styles:
        raise UsageError("give a CONTENT picture and at least one STYLE picture")
    if not arguments.output:
        raise UsageError("say where the result goes: -o OUT.png")
    return Recipe(arguments.content, tuple(arguments.styles), resolve(**given))


def _beside(path: Path) -> Path:
    """A repeated run does not write over the picture it repeats."""
    return path.with_stem(f"{path.stem}-again")


def _warn(job: Recipe, loaded: weights.Loaded) -> None:
    if job.weights_sha256 and job.weights_sha256 != loaded.sha256:
        _tell("note: these are not the weights of the run that is repeated")
    if not loaded.weights.normalized:
        _tell(
            f"note: {loaded.path} is not normalized, so the settings' weights mean something else: "
            "python -m convert_weights --normalize mends that"
        )


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
