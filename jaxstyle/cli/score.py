"""The command ``jaxstyle score IMAGE --content C --style S [S ...]``."""

import argparse
import json

from jaxstyle.cli.common import DEBUG_HELP, WEIGHTS_HELP, teller, use_precision
from jaxstyle.cli.failures import interruptible
from jaxstyle.cli.flags import add_settings, argument, given_settings
from jaxstyle.cli.notes import network_note, tell_notes
from jaxstyle.errors import UsageError
from jaxstyle.network import weights
from jaxstyle.runs.score import OF_MAKING, Score, score
from jaxstyle.settings import resolve
from jaxstyle.settings.text import whole_number

HELP = "Measure the losses of a picture, made by any program, under any preset."
SIZE_HELP = "resize all pictures to this longest side first (default: do not resize)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add("image", metavar="IMAGE", help="picture to measure")
    add("--content", metavar="C", help="content picture; not needed where no loss depends on it")
    add("--style", metavar="S", nargs="+", action="extend", help="style pictures")
    add("--size", metavar="N", type=argument(whole_number), help=SIZE_HELP)
    add("--weights", metavar="VGG19.h5", help=WEIGHTS_HELP)
    add("--json", action="store_true", help='print JSON: {"preset", "total", "terms"}')
    add("--quiet", action="store_true", help="print nothing but the score and errors")
    add("--debug", action="store_true", help=DEBUG_HELP)
    add_settings(parser, without=("size", "size_rule", "fine_style", *OF_MAKING))


def main(arguments: argparse.Namespace) -> None:
    """Read the pictures, compute their losses, print these."""
    if not arguments.style:
        raise UsageError("give at least one style picture: --style S")
    given = given_settings(arguments)
    size = given.pop("size")
    settings = resolve(**given)  # before weights are downloaded
    use_precision(settings)
    tell = teller(arguments.quiet or arguments.json)
    loaded = weights.load(weights.find(arguments.weights, tell))
    for note in network_note(settings, loaded):
        tell(note)
    pictures = arguments.image, arguments.content, arguments.style
    with interruptible(tell):
        scored = score(*pictures, size=size, weights_file=loaded, **given)
    tell_notes(scored.notes, tell)
    print(json.dumps(scored.to_dict()) if arguments.json else table(scored))


def table(scored: Score) -> str:
    """Return the terms and the total, one line each."""
    rows = {**scored.terms, "total": scored.total}
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value:.8g}" for name, value in rows.items())
