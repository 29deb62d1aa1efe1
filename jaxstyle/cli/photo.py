"""The command ``jaxstyle photo CONTENT STYLE -o OUT.png [--content-mask M --style-mask M]``."""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from jaxstyle import images
from jaxstyle.cli.common import OUTPUT_HELP, Tell, add_output_flags, check_is_one, teller
from jaxstyle.cli.flags import add_settings, flag, given_settings
from jaxstyle.cli.notes import tell_notes
from jaxstyle.cli.outputs import check_distinct, write_or_rescue
from jaxstyle.cli.regions import add_region_flags, check_region_flags, found_regions
from jaxstyle.cli.run import pictures_of, start
from jaxstyle.errors import UsageError
from jaxstyle.guidance.recolor import recolored
from jaxstyle.images import Picture, full_size
from jaxstyle.images.color import COLOR_MATCHES
from jaxstyle.images.histogram import match_histograms
from jaxstyle.machine.command_line import one_of
from jaxstyle.machine.files import remove_leftovers
from jaxstyle.network import weights
from jaxstyle.runs.full_size import check_full_size, small_photo
from jaxstyle.runs.recipe import Recipe, made_by
from jaxstyle.runs.result import Result
from jaxstyle.settings import resolve

HELP = "Give a photo the light, weather or season of another photo, without brush strokes."

METHODS = ("transfer", "color", "histogram")
METHOD_HELP = (
    "transfer: neural transfer; baselines: color: one affine map of each region's colors; "
    "histogram: matching of color histograms"
)
MAP_HELP = "save the local color maps that give the result, for --apply-map"
APPLY_HELP = "apply these saved color maps to CONTENT at its full size, without a transfer"
FULL_HELP = "transfer at --size, then apply the color maps to all pixels of CONTENT"

ONE_MAP = "symmetric"
"""The default kind of color map of ``--method color``: the one that changes colors least."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add("content", metavar="CONTENT", help="photo to change")
    add("styles", nargs="*", metavar="STYLE", help="photos whose light it is given")
    add("-o", "--output", metavar="OUT.png", type=Path, help=OUTPUT_HELP)
    add("--method", **one_of(METHODS), default=METHODS[0], help=METHOD_HELP)
    add("--affine-map", metavar="FILE.npz", type=Path, help=MAP_HELP)
    add("--apply-map", metavar="FILE.npz", type=Path, help=APPLY_HELP)
    add("--full-size", action="store_true", help=FULL_HELP)
    add_region_flags(parser)
    add_output_flags(parser)
    add_settings(parser)


def main(arguments: argparse.Namespace) -> None:
    """Run the method that the arguments ask for."""
    tell = teller(arguments.quiet or arguments.json)
    if not (arguments.output or arguments.plan):
        raise UsageError("say where the result goes: -o OUT.png")
    if arguments.apply_map:
        apply_map(arguments, tell)
    elif not arguments.styles:
        raise UsageError("give a CONTENT photo and at least one STYLE photo")
    elif arguments.method != "transfer":
        recolor(arguments, tell)
    else:
        transfer(arguments, tell)


def transfer(arguments: argparse.Namespace, tell: Tell) -> None:
    """Run the neural transfer, and save or apply its color maps if asked to."""
    job = job_of(arguments)
    if arguments.affine_map or arguments.full_size:
        check_full_size(job.settings)
    if arguments.affine_map:
        images.check_target(arguments.affine_map, (".npz",))
    maps = arguments.affine_map
    others = {maps: partial(write_maps, maps)} if maps else {}
    start(arguments, job, arguments.output, tell, others)


def job_of(arguments: argparse.Namespace) -> Recipe:
    """Return the pictures and settings to run; the preset is ``photo`` if none is given."""
    check_is_one(arguments.content)
    styles = tuple(images.expand_folders(arguments.styles))
    settings = resolve(**{"preset": "photo", **given_settings(arguments)})
    job = Recipe(arguments.content, styles, settings, arguments.weights, arguments.bits or 8)
    return replace(job, full_size=arguments.full_size)


def write_maps(path: Path, content: Picture, result: Result) -> None:
    """Write the color maps of a result."""
    if result.maps is not None:
        full_size.write_maps(path, result.maps, small_photo(content, result))


def apply_map(arguments: argparse.Namespace, tell: Tell) -> None:
    """Apply saved color maps to a photo at its full size."""
    if arguments.styles:
        raise UsageError("--apply-map takes CONTENT and no STYLE: the maps hold the style")
    begin = time.perf_counter()
    refuse_settings(arguments, ())
    for name in ("affine_map", "show_masks", "weights", "full_size"):
        if getattr(arguments, name):
            raise UsageError(f"{flag(name)} does not go with --apply-map")
    check(arguments, [Path(arguments.content), arguments.apply_map])
    maps, small = full_size.read_maps(arguments.apply_map)
    content = images.read(arguments.content)
    tell_notes(content.notes, tell)
    full_size.check_same(small, content.pixels)
    image = full_size.applied_at(maps, small, content.pixels[..., :3])
    write(arguments, replace(content, rgb=image), begin, tell)


MASKS_ONLY = ("content_mask", "style_mask", "auto_masks")
COLORS_ONLY = ("preset", "color_match", *MASKS_ONLY)
"""Settings that the baselines use; histogram matching refuses masks by itself."""


def refuse_settings(arguments: argparse.Namespace, known: Sequence[str]) -> None:
    """Raise UsageError if a setting is given that is not in ``known`` and would do nothing."""
    for name in given_settings(arguments):
        if name not in known:
            raise UsageError(f"{flag(name)} is for --method transfer")


def recolor(arguments: argparse.Namespace, tell: Tell) -> None:
    """Run a baseline: one color map per region, or histogram matching."""
    histogram = arguments.method == "histogram"
    refuse_settings(arguments, MASKS_ONLY if histogram else COLORS_ONLY)
    begin, job = time.perf_counter(), job_of(arguments)
    if arguments.affine_map or arguments.full_size:
        raise UsageError("--affine-map and --full-size need --method transfer")
    if arguments.weights and not job.settings.auto_masks:
        raise UsageError("--weights is for --method transfer, or --auto-masks")
    if histogram and (len(job.styles) > 1 or job.settings.guided):
        raise UsageError("--method histogram takes one STYLE, and no masks")
    check_region_flags(arguments, job.settings)
    check(arguments, job.inputs())
    content, styles = pictures_of(job, tell)
    if histogram:
        image = match_histograms(content.pixels, styles[0])
    else:
        loaded = None
        if job.settings.auto_masks:  # which cluster features
            loaded = weights.load(weights.find(job.weights, tell))
        regions = found_regions(arguments, loaded, content, styles, job.settings, tell)
        kind = job.settings.color_match
        kind = kind if kind in COLOR_MATCHES else ONE_MAP
        image = recolored(content.pixels, styles, regions, kind)
    write(arguments, replace(content, rgb=image), begin, tell)


ONLY_TRANSFER = (
    *("save_every", "timelapse", "report", "plan", "profile"),
    *("checkpoint_every", "resume"),
)
"""Flags that only the neural transfer has a use for."""


def check(arguments: argparse.Namespace, inputs: Sequence[Path]) -> None:
    """Raise UsageError for a flag that needs a transfer, ImageError for an unwritable output."""
    for name in ONLY_TRANSFER:
        if getattr(arguments, name):
            raise UsageError(f"{flag(name)} is for --method transfer")
    images.check_writable(arguments.output, bits=arguments.bits or 8)
    shown = [arguments.show_masks] if arguments.show_masks else []
    check_distinct([arguments.output, *shown], inputs)
    remove_leftovers(arguments.output.parent)


def write(arguments: argparse.Namespace, picture: Picture, begin: float, tell: Tell) -> None:
    """Write the picture, and print its size and the time."""
    way = "--apply-map" if arguments.apply_map else f"--method {arguments.method}"
    text = made_by(f"photo {way}")
    write_or_rescue(arguments.output, picture, arguments.bits or 8, text)
    height, width = picture.rgb.shape[:2]
    seconds = time.perf_counter() - begin
    if arguments.json:
        print(json.dumps({"width": width, "height": height, "seconds": seconds}))
    tell(f"{arguments.output}: {width}x{height}, {seconds:.0f} s")
