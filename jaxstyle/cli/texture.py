"""The command ``jaxstyle texture STYLE [STYLE ...] -o OUT.png``."""

import argparse
import json
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
from jaxstyle.cli.flags import ABOUT_PHOTOS, add_settings, given_settings
from jaxstyle.cli.notes import as_notes, network_note, tell_notes
from jaxstyle.cli.plan import show_plan
from jaxstyle.cli.watch import run_and_save
from jaxstyle.errors import UsageError
from jaxstyle.execution.plan import plan
from jaxstyle.network import weights
from jaxstyle.runs.preprocessing import picture_notes
from jaxstyle.runs.stylize import read_styles
from jaxstyle.runs.texture import check_given, on_canvas
from jaxstyle.settings import resolve

HELP = "Synthesize a texture like one or several style pictures, of any size, optionally seamless."
SHAPE_HELP = "width and height in pixels (default: the style picture's shape, longest side --size)"
PERIODIC_HELP = "make the texture tile without seams (both sides must be multiples of 16)"
ABOUT_CONTENT = (
    *("content_weight", "content_layers", "content_loss", "style_fit", "color_match"),
    *("original_colors", "style_colors", "luminance"),
    *ABOUT_PHOTOS,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add("styles", nargs="*", metavar="STYLE", help="style pictures, or folders of them")
    add("-o", "--output", metavar="OUT.png", type=Path, help=OUTPUT_HELP)
    add("--shape", metavar="WxH", type=_shape, help=SHAPE_HELP)
    add("--periodic", action="store_true", help=PERIODIC_HELP)
    add_output_flags(parser)
    add_settings(parser, without=ABOUT_CONTENT)


def main(arguments: argparse.Namespace) -> None:
    """Check the arguments, run, save the texture."""
    tell = teller(arguments.quiet or arguments.json)
    if not arguments.styles:
        raise UsageError("give at least one STYLE picture")
    if not (arguments.output or arguments.plan):
        raise UsageError("say where the texture goes: -o OUT.png")
    if arguments.shape and "size" in arguments:
        raise UsageError("give --shape or --size, not both")
    paths = images.expand_folders(arguments.styles)
    given = given_settings(arguments)
    chosen = resolve(**{"preset": "texture", **given})
    use_precision(chosen)
    notes = picture_notes(chosen)
    styles = read_styles(paths, notes.extend)
    tell_notes(notes, tell)
    canvas, settings = on_canvas(styles, arguments.shape, arguments.periodic, chosen)
    idle = as_notes(check_given(given, arguments.shape, len(styles), chosen, settings))
    if arguments.plan:
        loaded = weights.load(weights.find(arguments.weights, tell))
        tell_notes([*idle, *plan_notes(arguments)], tell)
        show_plan(arguments, loaded, canvas, styles, settings, tell)
        return
    outputs = outputs_of(arguments, arguments.output, arguments.bits or 8, tell)
    description = json.dumps({"texture": {"styles": paths, "settings": settings.to_dict()}})
    read = [*paths, *settings.paths().values(), *filter(None, [arguments.weights])]
    outputs.check(settings.size, list(map(Path, read)), description)
    loaded = weights.load(weights.find(arguments.weights, tell))
    scales = plan(canvas.rgb, styles, settings)
    tell_notes([*idle, *preview_notes(arguments, scales)], tell)
    for note in network_note(settings, loaded):
        tell(note)
    run_and_save(arguments, outputs, loaded, canvas, styles, settings, description)


def _shape(text: str) -> tuple[int, int]:
    """Parse ``640x480``, a width and a height, into (height, width)."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a width and a height, such as 640x480")
    return int(height), int(width)
