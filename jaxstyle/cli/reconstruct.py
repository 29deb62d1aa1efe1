"""The command ``jaxstyle reconstruct IMAGE -o GRID.png``."""

import argparse
import time
from pathlib import Path

from jaxstyle import images
from jaxstyle.cli.common import (
    DEBUG_HELP,
    WEIGHTS_HELP,
    silence,
    tell_of_tuning,
    teller,
    use_precision,
)
from jaxstyle.cli.failures import saving
from jaxstyle.cli.flags import add_settings, given_settings
from jaxstyle.cli.interrupt import deferred_interrupt
from jaxstyle.cli.notes import idle_notes, network_note, read_pictures, tell_notes
from jaxstyle.cli.outputs import check_distinct, save_interrupted, write_or_rescue
from jaxstyle.cli.progress import progress_bar
from jaxstyle.errors import SettingError, UsageError
from jaxstyle.execution.plan import Image
from jaxstyle.images import Picture
from jaxstyle.machine.files import remove_leftovers
from jaxstyle.network import weights
from jaxstyle.runs.recipe import interrupted, made_by
from jaxstyle.runs.reconstruct import (
    GAP,
    Reconstruction,
    cells,
    figure,
    of_cell,
    reconstructions,
    size_of_cells,
)
from jaxstyle.runs.result import Progress
from jaxstyle.settings import Settings, resolve
from jaxstyle.settings.effect import ABOUT_PHOTOS

HELP = "Reconstruct a picture from each layer of the network: the figure of Gatys et al. 2015."
FIGURE_HELP = "the figure: PNG, JPEG, WebP or TIFF; replaces an existing file"
ABOUT_STYLE_PICTURES = (
    *("style_scale", "style_fit", "style_blend", "sum_styles", "fine_style", "color_match"),
    *("original_colors", "style_colors", "luminance"),
    *ABOUT_PHOTOS,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add("image", metavar="IMAGE", type=Path, help="picture to reconstruct")
    add("-o", "--output", metavar="GRID.png", type=Path, help=FIGURE_HELP)
    add("--weights", metavar="VGG19.h5", help=WEIGHTS_HELP)
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help=DEBUG_HELP)
    add_settings(parser, without=ABOUT_STYLE_PICTURES)


def main(arguments: argparse.Namespace) -> None:
    """Check the arguments, compute every reconstruction, save the figure."""
    tell, start = teller(arguments.quiet), time.perf_counter()
    if not arguments.output:
        raise UsageError("say where the figure goes: -o GRID.png")
    settings = resolve(**{"preset": "reconstruction", **given_settings(arguments)})
    if given_settings(arguments).get("init") == "content":
        raise SettingError("init", "content would be the solution: choose noise or a picture")
    runs = [of_cell(settings, *cell) for cell in cells(settings)]
    idle = idle_notes(runs, given_settings(arguments), 1)
    use_precision(settings)
    image = read_pictures([arguments.image], settings, tell)[0].pixels
    height, width = size_of_cells(image, settings)
    columns = 1 + max(len(settings.style_layers), len(settings.content_layers))
    images.check_writable(arguments.output, longest=max(3 * height, columns * (width + 2 * GAP)))
    read = [arguments.image, *settings.paths().values(), *filter(None, [arguments.weights])]
    check_distinct([arguments.output], list(map(Path, read)))
    remove_leftovers(arguments.output.parent)
    loaded = weights.load(weights.find(arguments.weights, tell))
    tell_notes(idle, tell)
    for note in network_note(settings, loaded):
        tell(note)
    tell_of_tuning(settings, tell)
    made: list[Reconstruction] = []

    def save(stop: BaseException) -> None:
        if made:
            stop.add_note(_save_unfinished(arguments.output, image, made, settings))

    with deferred_interrupt(tell) as check:
        with saving(check, progress_bar(hidden=tell is silence), save) as bar:

            def watch(progress: Progress) -> None:
                bar(progress)
                check()

            for one in reconstructions(loaded, image, settings, watch, check):
                made.append(one)
                tell(f"{len(made)}/{len(cells(settings))}  {one.kind} of {one.label}")
        picture = Picture(figure(image, made, settings))
        write_or_rescue(arguments.output, picture, description=made_by("reconstruct"))
    tell(f"{arguments.output}: {time.perf_counter() - start:.0f} s")


def _save_unfinished(
    output: Path, image: Image, made: list[Reconstruction], settings: Settings
) -> str:
    """Write the figure of those made so far beside the output; return a message about it."""
    text = interrupted(made_by("reconstruct"), made=len(made), of=len(cells(settings)))
    what = f"the {len(made)} made so far"
    return save_interrupted(output, lambda: Picture(figure(image, made, settings)), what, text)
