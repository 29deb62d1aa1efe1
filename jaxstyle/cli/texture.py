"""The command ``jaxstyle texture STYLE [STYLE ...] -o OUT.png``."""

import argparse
from dataclasses import replace
from pathlib import Path

from jaxstyle import images
from jaxstyle.cli.common import (
    OUTPUT_HELP,
    add_output_flags,
    outputs_of,
    plan_notes,
    preview_notes,
    teller,
    use_precision,
)
from jaxstyle.cli.flags import add_settings, given_settings
from jaxstyle.cli.notes import as_notes, tell_notes, tell_of_weights
from jaxstyle.cli.plan import show_plan
from jaxstyle.cli.watch import run_and_save
from jaxstyle.errors import UsageError
from jaxstyle.execution.plan import plan
from jaxstyle.machine.files import beside, unused
from jaxstyle.network import weights
from jaxstyle.runs import recipe
from jaxstyle.runs.canvas import ABOUT_CONTENT, check_given, on_canvas
from jaxstyle.runs.preprocessing import picture_notes
from jaxstyle.runs.recipe import Recipe
from jaxstyle.runs.stylize import read_styles
from jaxstyle.settings import resolve

HELP = "Synthesize a texture like one or several style pictures, of any size, optionally seamless."
SHAPE_HELP = "width and height in pixels (default: the style picture's shape, longest side --size)"
PERIODIC_HELP = "make the texture tile without seams (both sides must be multiples of 16)"
FROM_HELP = (
    "repeat the texture in this picture; any settings given replace the old ones (default of -o: "
    "OUT-again.png)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add("styles", nargs="*", metavar="STYLE", help="style pictures, or folders of them")
    add("-o", "--output", metavar="OUT.png", type=Path, help=OUTPUT_HELP)
    add("--from", dest="recipe", metavar="OUT.png", type=Path, help=FROM_HELP)
    add("--shape", metavar="WxH", type=_shape, help=SHAPE_HELP)
    add("--periodic", action=argparse.BooleanOptionalAction, help=PERIODIC_HELP)
    add_output_flags(parser)
    add_settings(parser, without=ABOUT_CONTENT)


def main(arguments: argparse.Namespace) -> None:
    """Check the arguments, run, save the texture."""
    tell = teller(arguments.quiet or arguments.json)
    job = job_of(arguments)
    use_precision(job.settings)
    notes = picture_notes(job.settings)
    styles = read_styles(job.styles, notes.extend)
    tell_notes(notes, tell)
    canvas, settings = on_canvas(styles, job.shape, job.periodic, job.settings)
    given = given_settings(arguments)
    idle = as_notes(check_given(given, job.shape, len(styles), job.settings, settings))
    if arguments.plan:
        loaded = weights.load(weights.find(job.weights, tell))
        tell_notes([*idle, *plan_notes(arguments)], tell)
        show_plan(arguments, loaded, canvas, styles, settings, tell)
        return
    picture = arguments.output or unused(beside(arguments.recipe, "again"))
    outputs = outputs_of(arguments, picture, job.bits, tell)
    outputs.check(settings.size, job.inputs(), job.to_json(picture.parent))
    loaded = weights.load(weights.find(job.weights, tell))
    scales = plan(canvas.rgb, styles, settings)
    tell_notes([*idle, *preview_notes(arguments, scales)], tell)
    tell_of_weights(job, loaded, tell)
    description = replace(job, weights_sha256=loaded.sha256).to_json(picture.parent)
    run_and_save(arguments, outputs, loaded, canvas, styles, settings, description)


def job_of(arguments: argparse.Namespace) -> Recipe:
    """Return the styles and settings to run, from the arguments or a picture's recipe.

    Raises:
      UsageError: too few or too many arguments.
    """
    given = given_settings(arguments)
    if arguments.recipe and arguments.styles:
        raise UsageError("--from repeats a texture: it takes no STYLE")
    if not (arguments.recipe or arguments.styles):
        raise UsageError("give at least one STYLE picture")
    if not (arguments.recipe or arguments.output or arguments.plan):
        raise UsageError("say where the texture goes: -o OUT.png")
    if arguments.shape and "size" in given:
        raise UsageError("give --shape or --size, not both")
    if arguments.recipe:
        job = recipe.read(arguments.recipe, given, "texture")
    else:
        styles = tuple(images.expand_folders(arguments.styles))
        job = Recipe("", styles, resolve(**{"preset": "texture", **given}))
    if "size" in given:
        job = replace(job, shape=None)
    names = "shape", "periodic", "bits", "weights"
    values = {name: getattr(arguments, name) for name in names}
    return replace(job, **{name: value for name, value in values.items() if value is not None})


def _shape(text: str) -> tuple[int, int]:
    """Parse ``640x480``, a width and a height, into (height, width)."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a width and a height, such as 640x480")
    return int(height), int(width)
