"""The regions of a run as its user sees them: notes about the masks, and a picture of them."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from jaxstyle import images
from jaxstyle.cli.common import Tell
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
    """What there is to see of them."""
    help = "write a picture of the regions that masks, or --auto-masks, make"
    parser.add_argument("--show-masks", metavar="FILE.png", type=Path, help=help)


def check_region_flags(arguments: argparse.Namespace, settings: Settings) -> None:
    """Raises UsageError, ImageError where the picture of the regions cannot be made or written."""
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
    """The regions, if there are to be any; what is to be said of them said, and shown.

    Raises:
      SettingError, MaskError, ImageError: the masks are wrong, or cannot be read.
    """
    regions = regions_of(loaded, content.rgb, styles, settings)
    if regions is None:
        return None
    tell_notes(regions.notes, tell)
    if arguments.show_masks:
        images.write(arguments.show_masks, Picture(of_regions(regions, content.rgb, styles)))
    return regions
