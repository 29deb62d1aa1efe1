"""The inputs of a run: pictures, settings, and what has been computed from them already."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jaxstyle import images
from jaxstyle.execution.plan import Image, Scale, plan
from jaxstyle.guidance.masks import Regions
from jaxstyle.images import Picture
from jaxstyle.losses.temporal import Earlier
from jaxstyle.runs.preprocessing import recolored
from jaxstyle.settings import Settings

Resize = Callable[[np.ndarray, int, int, str], np.ndarray]
"""A function like ``jaxstyle.images.resize``."""


@dataclass(frozen=True)
class Inputs:
    """One picture to make.

    Attributes:
      content: content picture; may be small if ``sized`` is filled.
      styles: pixels of the style pictures, height x width x 3, or 4 with alpha.
      settings: settings of the run.
      schedule: its scales, coarse to fine; empty for those of ``plan``.
      regions: guidance regions; None for those that the settings ask for.
      colors: result of ``preprocessing.recolored``, if already computed.
      sized: the recolored content resized to the scales, by height and width, if already computed.
      start: image that the first scale begins with, of its size; None for the one of the settings.
      earlier: earlier frames of the same clip, at the size of the last scale; None for none.
      temporal_weight: weight of the temporal loss, which compares with them.
    """

    content: Picture
    styles: Sequence[Image]
    settings: Settings
    schedule: tuple[Scale, ...] = ()
    regions: Regions | None = None
    colors: tuple[Image, list[Image]] | None = None
    sized: Mapping[tuple[int, int], Image] = field(default_factory=dict)
    start: Image | None = None
    earlier: Earlier | None = None
    temporal_weight: float = 0.0

    def scales(self) -> list[Scale]:
        """Return its scales, coarse to fine.

        Raises:
          PictureSizeError: a picture or the result is too small for the layers in use.
          SettingError: a setting does not fit the pictures.
        """
        return list(self.schedule or plan(self.content.rgb, self.styles, self.settings))

    def recolored(self) -> tuple[Image, list[Image]]:
        """Return the pixels of content and styles after color matching."""
        return self.colors or recolored(self.content.pixels, self.styles, self.settings)


def cached_resize(pictures: Sequence[Inputs]) -> Resize:
    """Return ``images.resize`` with a cache, filled with the resized contents.

    Many pictures of a batch share a content picture or a style picture.
    """
    cache: dict[tuple, tuple[np.ndarray, np.ndarray]] = {
        (id(photo), *sides, one.settings.resampling): (photo, image)
        for one in pictures
        for photo in [one.colors[0] if one.colors else one.content.pixels]
        for sides, image in one.sized.items()
    }

    def resized(image: np.ndarray, height: int, width: int, resampling: str) -> np.ndarray:
        key = id(image), height, width, resampling
        if key not in cache:  # the image is kept too: its id must not be reused
            cache[key] = image, images.resize(image, height, width, resampling)
        return cache[key][1]

    return resized
