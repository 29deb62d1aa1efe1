"""The command ``jaxstyle score IMAGE --content C --style S [S ...]``."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from jaxstyle import images
from jaxstyle.cli.common import (
    DEBUG_HELP,
    WEIGHTS_HELP,
    Tell,
    at_least_one,
    teller,
    use_precision,
)
from jaxstyle.cli.failures import interruptible
from jaxstyle.cli.flags import add_settings, argument, given_settings
from jaxstyle.cli.notes import network_note, read_pictures, tell_notes
from jaxstyle.errors import UsageError
from jaxstyle.images.video import is_clip, open_clip
from jaxstyle.network import weights
from jaxstyle.runs.score import OF_MAKING, Score, score
from jaxstyle.runs.video.render import Range
from jaxstyle.runs.video.score import ClipScore, score_clip
from jaxstyle.settings import Settings, resolve
from jaxstyle.settings.text import number, whole_number

HELP = "Measure the losses of a picture or clip, made by any program, under any preset."
CLIP_HELP = "of a clip: {} (default: as the content clip is)"
EVERY_HELP = "of a clip: measure the losses of every Nth frame (default: 4); all count for flicker"
SIZE_HELP = "resize all pictures to this longest side first (default: do not resize)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add("image", metavar="IMAGE", help="picture to measure, or clip: also how well it holds still")
    add("--content", metavar="C", help="content picture; not needed where no loss depends on it")
    add("--style", metavar="S", nargs="+", action="extend", help="style pictures")
    add("--size", metavar="N", type=argument(whole_number), help=SIZE_HELP)
    for name, what in (("start", "where it begins"), ("end", "where it ends")):
        words = f"{what} in the content, in seconds"
        add(f"--{name}", metavar="SECONDS", type=argument(number), help=CLIP_HELP.format(words))
    add("--fps", metavar="N", type=argument(number), help=CLIP_HELP.format("frames per second"))
    add("--every", metavar="N", type=at_least_one, default=4, help=EVERY_HELP)
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
    # With a size, of an animation the first picture is measured, as of any picture file.
    still = size is not None and Path(arguments.image).suffix.lower() in images.EXTENSIONS
    if is_clip(arguments.image) and not still:
        _score_clip(arguments, settings, loaded, tell)
        return
    pictures = arguments.image, arguments.content, arguments.style
    with interruptible(tell):
        scored = score(*pictures, size=size, weights_file=loaded, **given)
    tell_notes(scored.notes, tell)
    print(json.dumps(scored.to_dict()) if arguments.json else table(scored))


def _score_clip(
    arguments: argparse.Namespace, settings: Settings, loaded: weights.Loaded, tell: Tell
) -> None:
    """Read the clips, measure them, print it."""
    if not arguments.content:
        raise UsageError("give the clip that it was made from: --content CLIP")
    if arguments.size is not None:
        raise UsageError("--size is for pictures: clips are measured at the size of IMAGE")
    if settings.guided:
        raise UsageError("clips are measured without masks: leave them out")
    part = Range(arguments.start, arguments.end, arguments.fps)
    content, paths = part.of(arguments.content), images.expand_folders(arguments.style)
    made = open_clip(arguments.image, fps=content.fps)
    styles = [picture.pixels for picture in read_pictures(paths, settings, tell)]
    with interruptible(tell) as check:
        scored = score_clip(loaded, made, content, styles, settings, arguments.every, check)
    tell_notes([*content.notes, *made.notes], tell)
    print(json.dumps(scored.to_dict()) if arguments.json else clip_table(scored))


def clip_table(scored: ClipScore) -> str:
    """Return what was measured of a clip, one line each."""
    held = {"warping error": scored.warping_error, "flicker": scored.flicker}
    return _lines({**scored.terms, "total": scored.total, **held})


def table(scored: Score) -> str:
    """Return the terms and the total, one line each."""
    return _lines({**scored.terms, "total": scored.total})


def _lines(rows: Mapping[str, float | None]) -> str:
    width = max(map(len, rows))
    return "\n".join(
        f"{name:{width}}  {'not known' if value is None else format(value, '.8g')}"
        for name, value in rows.items()
    )
