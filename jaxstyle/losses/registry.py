"""The losses, one small file an idea; a new one is a function or two and a line in ``LOSSES``.

A loss compares *statistics* of the features of one layer: whatever part of them it keeps (the
features themselves, their Gram matrix). Several style pictures are blended by averaging their
statistics; what the content or the blend of styles is to be compared by is its *target*, computed
once.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

from jaxstyle.losses import content, distance, gram, matting, moments, total_variation, wasserstein


def _unchanged(statistics):
    return statistics


def _one(height: Any, width: Any) -> float:
    return 1.0


class Pooled(NamedTuple):
    """How statistics of a picture are put together from those of its tiles: by sums.

    sums: (features, guide, inside, origin) -> a pytree of sums over the positions inside, about an
      origin (None: one of their own).
    merged: (sums, sums) -> those of both tiles.
    centered: sums -> the same about an origin at which the gradient of what is made of them, to
      features, is that of the sums about it held fixed.
    origin: centered sums -> that origin.
    whole: sums of all tiles -> statistics.
    """

    sums: Callable
    merged: Callable
    whole: Callable
    centered: Callable = _unchanged
    origin: Callable = lambda sums: None

    def statistics(self, features: Any, guide: Any = None) -> Any:
        """Of features that are all there is, or of a region of them."""
        return self.whole(self.sums(features, guide))


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
    pooled: of a style loss, what its statistics are made of: see ``jaxstyle.execution.tiles``.
    share: of other losses, (features of a tile, target there, cut) -> its part of the distance.
    """

    kind: Literal["content", "style", "prior", "photo"]
    statistics: Callable
    distance: Callable
    target: Callable = _unchanged
    image_factor: Callable[[Any, Any], Any] = _one
    pooled: Pooled | None = None
    share: Callable | None = None


def _style(pooled: Pooled, distance: Callable, *more: Callable, **others: Callable) -> Loss:
    return Loss("style", pooled.statistics, distance, *more, pooled=pooled, **others)


def _content(name: str, distance: Callable) -> Loss:
    return Loss("content", content.statistics, distance, share=content.of_tile(name))


def _prior(formula: total_variation.Formula) -> Loss:
    whole, share = total_variation.of_image(formula), total_variation.of_tile(formula)
    return Loss("prior", content.statistics, whole, share=share)


_gram = partial(Pooled, gram.sums, gram.merged)


def _moments(whole: Callable, *, products: bool = True) -> Pooled:
    sums = partial(moments.sums, products=products)
    return Pooled(sums, moments.merged, whole, moments.centered, moments.mean)


LOSSES: dict[str, Loss] = {
    "content": _content("content", distance.mean_square),
    "content-relative": _content("content-relative", distance.relative_mean_square),
    "content-sum": _content("content-sum", distance.sum_square),
    "gram": _style(_gram(gram.per_position), distance.mean_square),
    "gram-relative": _style(_gram(gram.per_position), distance.relative_mean_square),
    "gram-size": _style(_gram(gram.per_entry), distance.mean_square),
    "gram-sum": _style(_gram(_unchanged), gram.sums_distance, gram.sums_target),
    "gram-keras": _style(
        _gram(gram.summed), gram.keras_distance, image_factor=gram.keras_image_factor
    ),
    "gram-centered": _style(_moments(moments.covariance), distance.mean_square),
    "mean-std": _style(_moments(moments.mean_std, products=False), moments.mean_std_distance),
    "wasserstein": _style(
        _moments(wasserstein.statistics), wasserstein.gaussian_distance, wasserstein.target
    ),
    "matting-laplacian": Loss(
        "photo", content.statistics, matting.energy, matting.target, share=matting.of_tile
    ),
    "total-variation": _prior(total_variation.mean_square),
    "total-variation-absolute": _prior(total_variation.absolute),
    "total-variation-half": _prior(total_variation.half),
    "total-variation-power": _prior(total_variation.power),
    "total-variation-nine": _prior(total_variation.nine_point),
}


def _names(kind: str) -> tuple[str, ...]:
    return tuple(name for name, loss in LOSSES.items() if loss.kind == kind)


CONTENT_LOSSES, STYLE_LOSSES, TV_LOSSES = _names("content"), _names("style"), _names("prior")
