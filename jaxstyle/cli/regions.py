"""Notes about the regions of a run, and a picture of them (``--show-masks``)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from jaxstyle import images
from jaxstyle.cli.common import Tell
from jaxstyle.cli.failures import interruptible
from jaxstyle.cli.notes import tell_notes
from jaxstyle.errors import UsageError
from jaxstyle.execution.plan import Image
from jaxstyle.guidance.figure import of_regions
from jaxstyle.guidance.masks import Regions
from jaxstyle.images import Picture
from jaxstyle.network.weights import Loaded
from jaxstyle.runs.regions import regions_of
from jaxstyle.settings import Settings


def add_region_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flag that shows the regions."""
    help = "save a picture of the regions that the masks or --auto-masks give"
    parser.add_argument("--show-masks", metavar="FILE.png", type=Path, help=help)


def check_region_flags(arguments: argparse.Namespace, settings: Settings) -> None:
    """Raise UsageError without masks, ImageError if the picture of regions cannot be written."""
    if arguments.show_masks:
        if not settings.guided:
            raise UsageError("--show-masks needs masks: --content-mask, or --auto-masks")
        images.check_writable(arguments.show_masks)


def found_regions(
    arguments: argparse.Namespace,
    loaded: Loaded | None,
    content: Picture,
    styles: Sequence[Image],
    settings: Settings,
    tell: Tell,
) -> Regions | None:
    """Return the regions, or None without masks; tell their notes and write their picture.

    Raises:
      SettingError, MaskError: the masks fit neither the pictures nor each other.
      ImageError: a mask cannot be read.
    """
    with interruptible(tell):
        regions = regions_of(loaded, content.pixels, styles, settings)
    if regions is None:
        return None
    tell_notes(regions.notes, tell)
    if arguments.show_masks:
        images.write(arguments.show_masks, Picture(of_regions(regions, content.pixels, styles)))
    return regions
