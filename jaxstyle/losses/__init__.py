"""The losses, one small file an idea; a new one is a function or two and a line in ``LOSSES``.

A loss compares *statistics* of the features of one layer: whatever part of them it keeps (the
features themselves, their Gram matrix). Several style pictures are blended by averaging their
statistics; what the content or the blend of styles is to be compared by is its *target*, computed
once.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from jaxstyle.losses import content, distance, gram, matting, moments, total_variation, wasserstein


def _unchanged(statistics):
    return statistics


def _one(height: int, width: int) -> float:
    return 1.0


class Loss(NamedTuple):
    """A few pure functions, and what the loss is for.

    kind: whether it can be the content loss or the style loss of a run, is a prior, or holds the
      image to the photo.
    statistics: features of one layer (height x width x channels) -> a pytree of what the loss
      keeps of them; for a prior, the image itself -> the same. A style loss takes a guide (height x
      width) besides, or None: the statistics are then those of a region.
    distance: (statistics of the image, target) -> a scalar. The target of a prior is None.
    target: statistics of the content picture, or blended ones of the style pictures -> what
      ``distance`` compares with; for a loss of kind "photo", the photo itself -> the same.
    image_factor: (height, width of the image in pixels) -> a number that multiplies the distance,
      for the loss that depends on more than one layer shows.
    """

    kind: Literal["content", "style", "prior", "photo"]
    statistics: Callable
    distance: Callable
    target: Callable = _unchanged
    image_factor: Callable[[int, int], float] = _one


LOSSES: dict[str, Loss] = {
    "content": Loss("content", content.statistics, distance.mean_square),
    "content-relative": Loss("content", content.statistics, distance.relative_mean_square),
    "content-sum": Loss("content", content.statistics, distance.sum_square),
    "gram": Loss("style", gram.per_position, distance.mean_square),
    "gram-relative": Loss("style", gram.per_position, distance.relative_mean_square),
    "gram-size": Loss("style", gram.per_entry, distance.mean_square),
    "gram-sum": Loss("style", gram.sums, gram.sums_distance, gram.sums_target),
    "gram-keras": Loss(
        "style", gram.summed, gram.keras_distance, image_factor=gram.keras_image_factor
    ),
    "gram-centered": Loss("style", moments.covariance, distance.mean_square),
    "mean-std": Loss("style", moments.mean_std, moments.mean_std_distance),
    "wasserstein": Loss(
        "style", wasserstein.statistics, wasserstein.gaussian_distance, wasserstein.target
    ),
    "matting-laplacian": Loss("photo", content.statistics, matting.energy, matting.target),
    "total-variation": Loss("prior", content.statistics, total_variation.mean_square),
    "total-variation-absolute": Loss("prior", content.statistics, total_variation.absolute),
    "total-variation-half": Loss("prior", content.statistics, total_variation.half),
    "total-variation-power": Loss("prior", content.statistics, total_variation.power),
    "total-variation-nine": Loss("prior", content.statistics, total_variation.nine_point),
}


def _names(kind: str) -> tuple[str, ...]:
    return tuple(name for name, loss in LOSSES.items() if loss.kind == kind)


CONTENT_LOSSES, STYLE_LOSSES, TV_LOSSES = _names("content"), _names("style"), _names("prior")
