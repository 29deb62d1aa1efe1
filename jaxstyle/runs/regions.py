"""Guidance regions of a run: read from mask files, or found by clustering features."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxstyle.errors import SettingError
from jaxstyle.execution.factories import network_of
from jaxstyle.execution.plan import check_counts
from jaxstyle.guidance.cluster import auto_regions
from jaxstyle.guidance.masks import Regions, everywhere, read_regions
from jaxstyle.images.transparency import have_alpha, split
from jaxstyle.network import weights
from jaxstyle.settings import Settings

Image = Float[np.ndarray, "_ _ _"]


def regions_of(
    loaded: weights.Loaded | None, content: Image, styles: Sequence[Image], settings: Settings
) -> Regions | None:
    """Return the guidance regions of the content and style pictures, None if there are none.

    Without masks, but with transparency, there is one region: all that is visible.

    Args:
      loaded: weights of the network, only needed to find regions (``settings.auto_masks``).
      content: pixels of the content picture; masks do not depend on its alpha.
      styles: pixels of the style pictures.
      settings: settings of the run.

    Raises:
      SettingError: settings about masks that contradict each other.
      MaskError, ImageError: a mask cannot be read, or does not fit its picture.
    """
    if not settings.guided:
        return everywhere(len(styles)) if have_alpha([content, *styles]) else None
    check_counts(styles, settings)
    if settings.auto_masks and (settings.content_mask or settings.style_mask):
        raise SettingError(
            "auto_masks", "cannot be combined with masks given as files: leave one out"
        )
    if settings.auto_masks and loaded:
        network = network_of(loaded, settings)
        content, *styles = (split(picture)[0] for picture in (content, *styles))
        return with_shares(auto_regions(network, content, styles, settings.auto_masks), settings)
    if not settings.content_mask:
        raise SettingError("style_mask", "needs masks of the photo too: --content-mask")
    sides = content.shape[:2], [style.shape[:2] for style in styles]
    regions = read_regions(settings.content_mask, settings.style_mask, *sides)
    return with_shares(regions, settings)


def with_shares(regions: Regions, settings: Settings) -> Regions:
    """Return the regions unchanged, after checking that each one has a style.

    Raises:
      SettingError: all style pictures that contain a region have a blend share of zero.
    """
    shares = settings.style_blend or (1.0,) * len(regions.styles)
    for index, name in enumerate(regions.names):
        having = [s for s, masks in zip(shares, regions.styles, strict=True) if masks[index].any()]
        if not any(having):
            raise SettingError("style_blend", f"leaves no style for {name}: raise a share")
    return regions
