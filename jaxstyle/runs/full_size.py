"""Results with all pixels of their photo: color maps that a small run has fitted, applied to it."""

from dataclasses import replace

from jaxstyle import images
from jaxstyle.execution.plan import Image
from jaxstyle.images import Picture, full_size
from jaxstyle.runs.result import Result


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
