"""python -m jaxstyle score IMAGE --content C --style S [S ...]"""

import argparse
import json

from jaxstyle.cli.common import teller, use_precision
from jaxstyle.cli.flags import add_settings, argument, given_settings
from jaxstyle.cli.notes import network_note, tell_notes
from jaxstyle.errors import UsageError
from jaxstyle.network import weights
from jaxstyle.runs.score import Score, score
from jaxstyle.settings import resolve
from jaxstyle.settings.text import whole_number

HELP = "Score a picture under the objective of any system."
SIZE_HELP = "bring all pictures to this longest side first (default: they are scored as they are)"
IRRELEVANT = (
    *("size", "size_rule", "steps", "smallest_size", "scale_factor", "fine_style"),
    *("original_colors", "init", "init_noise", "noise", "noise_level", "seed", "optimizer"),
    *("learning_rate", "learning_rate_decay", "betas", "epsilon", "momentum", "history", "clamp"),
    *("smooth_radius", "smooth_edge", "refine"),
    *("carry", "average", "keep_best", "tolerance", "normalize_gradients", "shard"),
)
"""Settings that say how a picture is made, not what it is measured by."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything this command takes."""
    add = parser.add_argument
    add("image", metavar="IMAGE", help="the picture to be scored")
    add("--content", metavar="C", help="the photo; not needed where content weighs nothing")
    add("--style", metavar="S", nargs="+", action="extend", help="one or several style pictures")
    add("--size", metavar="N", type=argument(whole_number), help=SIZE_HELP)
    add("--weights", metavar="VGG19.h5", help="a file made by convert_weights")
    add("--json", action="store_true", help='{"preset", "total", "terms"} on standard output')
    add("--quiet", action="store_true", help="print nothing but the score and errors")
    add("--debug", action="store_true", help="show a traceback when something fails")
    add_settings(parser, without=IRRELEVANT)


def main(arguments: argparse.Namespace) -> None:
    """Read, score, print."""
    if not arguments.style:
        raise UsageError("give at least one style picture: --style S")
    given = given_settings(arguments)
    size = given.pop("size")
    settings = resolve(**given)  # before anything is fetched
    use_precision(settings)
    tell = teller(arguments.quiet or arguments.json)
    loaded = weights.load(weights.find(arguments.weights, tell))
    for note in network_note(settings, loaded):
        tell(note)
    pictures = arguments.image, arguments.content, arguments.style
    scored = score(*pictures, size=size, weights_file=loaded, **given)
    tell_notes(scored.notes, tell)
    print(json.dumps(scored.to_dict()) if arguments.json else table(scored))


def table(scored: Score) -> str:
    """Terms and total, one line each."""
    rows = {**scored.terms, "total": scored.total}
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value:.8g}" for name, value in rows.items())
