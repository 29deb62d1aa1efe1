"""Results with all pixels of their photo: color maps that a small run has fitted, applied to it."""

from dataclasses import replace

from jaxstyle import images
from jaxstyle.errors import SettingError
from jaxstyle.execution.plan import Image
from jaxstyle.images import Picture, full_size
from jaxstyle.runs.result import Result
from jaxstyle.settings import Settings


def check_full_size(settings: Settings) -> None:
    """Check that a run fits color maps that alone give its result.

    Raises:
      SettingError: it fits none, or more is done to the result.
    """
    if not settings.smooth_radius:
        raise SettingError("smooth_radius", "must be above 0 for color maps of the whole photo")
    for name in ("original_colors", "style_colors", "refine"):
        if getattr(settings, name):
            raise SettingError(name, "does not go with color maps of the whole photo: leave it out")
    if settings.color_match == "luminance":
        raise SettingError("color_match", "luminance does not go with color maps: choose another")


def at_full_size(content: Picture, result: Result) -> Result:
    """Return the result at the size of the content, by applying its color maps to the content."""
    assert result.maps is not None
    small = small_photo(content, result)
    image = full_size.applied_at(result.maps, small, content.pixels[..., :3])
    return replace(result, image=image, alpha=content.alpha)


def small_photo(content: Picture, result: Result) -> Image:
    """Return the content at the size of the result, at which its color maps were fitted."""
    height, width, _ = result.image.shape
    return images.resize(content.pixels, height, width, result.settings.resampling)[..., :3]
