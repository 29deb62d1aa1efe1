"""The regions that settings ask for: from masks, or found in the pictures."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxstyle.errors import SettingError
from jaxstyle.execution.factories import network_of
from jaxstyle.execution.plan import check_counts
from jaxstyle.guidance.cluster import auto_regions
from jaxstyle.guidance.masks import Regions, read_regions
from jaxstyle.network import weights
from jaxstyle.settings import Settings

Image = Float[np.ndarray, "_ _ 3"]


def regions_of(
    loaded: weights.Loaded | None, content: Image, styles: Sequence[Image], settings: Settings
) -> Regions | None:
    """The regions of the content and the style pictures; None where there are none.

    The network is for ``auto_masks`` alone.

    Raises:
      SettingError, MaskError, ImageError: masks that do not fit the pictures, or each other.
    """
    if not settings.guided:
        return None
    check_counts(styles, settings)
    if settings.auto_masks and (settings.content_mask or settings.style_mask):
        raise SettingError("auto_masks", "finds regions, and masks are given: leave one out")
    if settings.auto_masks and loaded:
        network = network_of(loaded, settings)
        return with_shares(auto_regions(network, content, styles, settings.auto_masks), settings)
    if not settings.content_mask:
        raise SettingError("style_mask", "needs masks of the photo too: --content-mask")
    sides = content.shape[:2], [style.shape[:2] for style in styles]
    regions = read_regions(settings.content_mask, settings.style_mask, *sides)
    return with_shares(regions, settings)


def with_shares(regions: Regions, settings: Settings) -> Regions:
    """The same regions.

    Raises:
      SettingError: the style pictures that have one of them have no share in the blend.
    """
    shares = settings.style_blend or (1.0,) * len(regions.styles)
    for index, name in enumerate(regions.names):
        having = [s for s, masks in zip(shares, regions.styles, strict=True) if masks[index].any()]
        if not any(having):
            raise SettingError("style_blend", f"leaves no style for {name}: raise a share")
    return regions
