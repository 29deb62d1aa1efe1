"""The command ``jaxstyle run CONTENT STYLE [STYLE ...] -o OUT.png``."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from jaxstyle import images
from jaxstyle.cli.common import (
    OUTPUT_HELP,
    Tell,
    add_output_flags,
    check_is_one,
    outputs_of,
    plan_notes,
    preview_notes,
    teller,
    use_precision,
)
from jaxstyle.cli.flags import add_settings, given_settings
from jaxstyle.cli.notes import idle_notes, read_pictures, tell_notes, tell_of_weights
from jaxstyle.cli.plan import show_plan
from jaxstyle.cli.regions import add_region_flags, check_region_flags, found_regions
from jaxstyle.cli.upscale import larger_run
from jaxstyle.cli.watch import run_and_save, unchanged
from jaxstyle.errors import UsageError
from jaxstyle.execution.plan import Image, plan
from jaxstyle.images import Picture
from jaxstyle.machine.files import beside, unused
from jaxstyle.network import weights
from jaxstyle.runs import recipe
from jaxstyle.runs.full_size import at_full_size
from jaxstyle.runs.recipe import Recipe
from jaxstyle.runs.result import Result
from jaxstyle.settings import resolve

Writer = Callable[[Picture, Result], None]
"""A function that writes a file, of the content and the result of its run."""

HELP = "Render a content picture in the style of one or several style pictures."
FROM_HELP = (
    "repeat the run that made this picture; any settings given replace the old ones (default of "
    "-o: OUT-again.png)"
)
UPSCALE_HELP = (
    "continue the run that made this picture at a larger size: --size, or twice its own (default "
    "of -o: OUT-large.png)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add("content", nargs="?", metavar="CONTENT", help="content picture (a photo)")
    add("styles", nargs="*", metavar="STYLE", help="style pictures (paintings), or folders")
    add("-o", "--output", metavar="OUT.png", type=Path, help=OUTPUT_HELP)
    add("--from", dest="recipe", metavar="OUT.png", type=Path, help=FROM_HELP)
    add("--upscale", metavar="OUT.png", type=Path, help=UPSCALE_HELP)
    add_region_flags(parser)
    add_output_flags(parser)
    add_settings(parser)


def main(arguments: argparse.Namespace) -> None:
    """Check the arguments, run, save the result."""
    tell = teller(arguments.quiet or arguments.json)
    job = job_of(arguments)
    start(arguments, job, _output(arguments), tell)


def start(
    arguments: argparse.Namespace,
    job: Recipe,
    picture: Path | None,
    tell: Tell,
    others: Mapping[Path, Writer] | None = None,
) -> None:
    """Check a job, run it and save its outputs, or print its plan with ``--plan``.

    Args:
      arguments: the flags for outputs.
      job: pictures and settings.
      picture: path of the result; a plan needs none.
      tell: prints a line for the user.
      others: further files, each with the function that writes it.
    """
    idle = idle_notes([job.settings], given_settings(arguments), len(job.styles))
    use_precision(job.settings)
    check_region_flags(arguments, job.settings)
    if arguments.plan:
        loaded = weights.load(weights.find(job.weights, tell))
        pictures = pictures_of(job, tell)
        tell_notes([*idle, *plan_notes(arguments)], tell)
        regions = found_regions(arguments, loaded, *pictures, job.settings, tell)
        show_plan(arguments, loaded, *pictures, job.settings, tell, regions)
        return
    assert picture
    others = others or {}
    files = [*others, *filter(None, [arguments.show_masks])]
    outputs = outputs_of(arguments, picture, job.bits, tell, files)
    outputs.check(job.settings.size, job.inputs(), job.to_json(picture.parent))
    content, styles = pictures_of(job, tell)
    scales = plan(content.rgb, styles, job.settings)
    last = scales[-1]
    sides = content.rgb.shape[:2] if job.full_size else (last.height, last.width)
    images.check_writable(picture, bits=job.bits, longest=max(sides))
    loaded = weights.load(weights.find(job.weights, tell))
    tell_notes([*idle, *preview_notes(arguments, scales)], tell)
    tell_of_weights(job, loaded, tell)
    regions = found_regions(arguments, loaded, content, styles, job.settings, tell)
    description = replace(job, weights_sha256=loaded.sha256).to_json(picture.parent)
    given = loaded, content, styles, job.settings, description
    finish = partial(at_full_size, content) if job.full_size else unchanged
    more = [partial(write, content) for write in others.values()]
    run_and_save(arguments, outputs, *given, regions, finish, more)


def job_of(arguments: argparse.Namespace) -> Recipe:
    """Return the pictures and settings to run, from the arguments or a picture's recipe.

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
        raise UsageError("--from repeats a run, --upscale continues one: give one of them")
    if arguments.recipe:
        if arguments.content:
            raise UsageError("--from repeats a run: it takes no CONTENT and STYLE")
        return replace(recipe.read(arguments.recipe, given, "run"), **stored)
    if arguments.upscale:
        if arguments.content:
            raise UsageError("--upscale continues a run: it takes no CONTENT and STYLE")
        return replace(larger_run(arguments.upscale, given), **stored)
    if not arguments.styles:
        raise UsageError("give a CONTENT picture and at least one STYLE picture")
    if not (arguments.output or arguments.plan):
        raise UsageError("say where the result goes: -o OUT.png")
    check_is_one(arguments.content)
    styles = images.expand_folders(arguments.styles)
    return Recipe(arguments.content, tuple(styles), resolve(**given), **stored)


def pictures_of(job: Recipe, tell: Tell) -> tuple[Picture, list[Image]]:
    """Read the content and the style pictures, and tell notes about them."""
    content, *styles = read_pictures([job.content, *job.styles], job.settings, tell)
    return content, [style.pixels for style in styles]


def _output(arguments: argparse.Namespace) -> Path | None:
    """Return the path of the result; without -o, one where there is no file."""
    if arguments.output:
        return arguments.output
    for made, word in ((arguments.recipe, "again"), (arguments.upscale, "large")):
        if made:
            return unused(beside(made, word))
    return None
