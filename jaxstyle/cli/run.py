"""python -m jaxstyle run CONTENT STYLE [STYLE ...] -o OUT.png"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from jaxstyle import images
from jaxstyle.cli import recipe
from jaxstyle.cli.common import Tell, add_output_flags, outputs_of, teller, use_precision
from jaxstyle.cli.flags import add_settings, given_settings
from jaxstyle.cli.notes import network_note
from jaxstyle.cli.plan import show_plan
from jaxstyle.cli.recipe import Recipe
from jaxstyle.cli.regions import add_region_flags, check_region_flags, found_regions
from jaxstyle.cli.upscale import larger_run
from jaxstyle.cli.watch import run_and_save
from jaxstyle.errors import UsageError
from jaxstyle.execution.plan import Image, plan
from jaxstyle.images import Picture, full_size
from jaxstyle.network import weights
from jaxstyle.runs.result import Result
from jaxstyle.settings import resolve

Finish = Callable[[Picture, Result], Result]
"""What is made of the content and the result of its run, before that is saved."""

HELP = "Stylize a content picture after one or several style pictures."
FROM_HELP = "repeat the run that made this picture; flags given are put over its settings"
UPSCALE_HELP = "go on from the picture of a run to a larger one: twice as large, or of --size"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything this command takes."""
    add = parser.add_argument
    add("content", nargs="?", metavar="CONTENT", help="a photo")
    add("styles", nargs="*", metavar="STYLE", help="paintings, or folders of them")
    add("-o", "--output", metavar="OUT.png", type=Path, help="PNG, JPEG, WebP or TIFF")
    add("--from", dest="recipe", metavar="OUT.png", type=Path, help=FROM_HELP)
    add("--upscale", metavar="OUT.png", type=Path, help=UPSCALE_HELP)
    add_region_flags(parser)
    add_output_flags(parser)
    add_settings(parser)


def main(arguments: argparse.Namespace) -> None:
    """Check what can be checked, run, save."""
    tell = teller(arguments.quiet or arguments.json)
    job = job_of(arguments)
    start(arguments, job, _output(arguments), tell, at_full_size if job.full_size else None)


def start(
    arguments: argparse.Namespace,
    job: Recipe,
    picture: Path | None,
    tell: Tell,
    finish: Finish | None = None,
    others: Sequence[Path] = (),
) -> None:
    """Check the job, do it, and save what ``finish`` makes of its result as ``picture``; it writes
    ``others`` besides. A plan needs no ``picture``."""
    use_precision(job.settings)
    check_region_flags(arguments, job.settings)
    if arguments.plan:
        loaded = weights.load(weights.find(job.weights, tell))
        pictures = pictures_of(job)
        regions = found_regions(arguments, loaded, *pictures, job.settings, tell)
        show_plan(arguments, loaded, *pictures, job.settings, tell, regions)
        return
    assert picture
    outputs = outputs_of(arguments, picture, job.bits, tell)
    others = [*others, *filter(None, [arguments.show_masks])]
    outputs.check(job.settings.size, job.inputs(), job.to_json(picture.parent), others)
    content, styles = pictures_of(job)
    last = plan(content.rgb, styles, job.settings)[-1]
    sides = content.rgb.shape[:2] if job.full_size else (last.height, last.width)
    images.check_writable(picture, bits=job.bits, longest=max(sides))
    loaded = weights.load(weights.find(job.weights, tell))
    _note(job, loaded, tell)
    regions = found_regions(arguments, loaded, content, styles, job.settings, tell)
    description = replace(job, weights_sha256=loaded.sha256).to_json(picture.parent)
    given = loaded, content, styles, job.settings, description
    finished = partial(finish, content) if finish else lambda result: result
    run_and_save(arguments, outputs, *given, regions, finished)


def at_full_size(content: Picture, result: Result) -> Result:
    """The result with all pixels of the content, by the maps of its colors."""
    assert result.maps is not None
    small = small_photo(content, result)
    image = full_size.applied_at(result.maps, small, content.rgb)
    return replace(result, image=image, alpha=content.alpha)


def small_photo(content: Picture, result: Result) -> Image:
    """The content as its maps were found on it."""
    height, width, _ = result.image.shape
    return images.resize(content.rgb, height, width, result.settings.resampling)


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
    if arguments.recipe and arguments.upscale:
        raise UsageError("--from repeats a run, --upscale goes on with one: give one of them")
    if arguments.recipe:
        if arguments.content:
            raise UsageError("--from repeats a run: it takes no CONTENT and STYLE beside it")
        return replace(recipe.read(arguments.recipe, given), **stored)
    if arguments.upscale:
        if arguments.content:
            raise UsageError("--upscale goes on with a run: it takes no CONTENT and STYLE")
        return replace(larger_run(arguments.upscale, given), **stored)
    if not arguments.styles:
        raise UsageError("give a CONTENT picture and at least one STYLE picture")
    if not (arguments.output or arguments.plan):
        raise UsageError("say where the result goes: -o OUT.png")
    styles = images.listed(arguments.styles)
    return Recipe(arguments.content, tuple(styles), resolve(**given), **stored)


def pictures_of(job: Recipe) -> tuple[Picture, list[Image]]:
    """The content and the style pictures, read."""
    content, *styles = [images.read(path) for path in (job.content, *job.styles)]
    return content, [style.rgb for style in styles]


def _output(arguments: argparse.Namespace) -> Path | None:
    """Where the result goes; not over the picture of a run that is repeated, or gone on with."""
    if arguments.output:
        return arguments.output
    for made, word in ((arguments.recipe, "again"), (arguments.upscale, "large")):
        if made:
            return made.with_stem(f"{made.stem}-{word}")
    return None


def _note(job: Recipe, loaded: weights.Loaded, tell: Callable[[str], None]) -> None:
    if job.weights_sha256 and job.weights_sha256 != loaded.sha256:
        tell("note: these are not the weights of the run that is repeated")
    for note in network_note(job.settings, loaded):
        tell(note)
