"""The registry of losses: ``LOSSES`` maps each name to the functions of a loss.

A loss compares *statistics* of the features of one layer: the features themselves, their Gram
matrix or the like. Several style pictures are blended by averaging their statistics. The *target*
is computed once from the statistics of the content picture or of the blend; the image is compared
with it at every step.

To add a loss, write its functions in a module of this package and add an entry to ``LOSSES``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

from jaxstyle.losses import (
    content,
    distance,
    gram,
    matting,
    moments,
    temporal,
    total_variation,
    wasserstein,
)


def _unchanged(statistics):
    return statistics


def _one(height: Any, width: Any) -> float:
    return 1.0


class Pooled(NamedTuple):
    """Functions that compute the statistics of a picture tile by tile, from sums over positions.

    Attributes:
      sums: (features, guide, inside, origin) -> a pytree of sums over the positions inside, of
        deviations from the origin (None: an origin of their own).
      merged: (sums, sums) -> sums over both tiles.
      whole: sums over all tiles -> statistics.
      centered: sums -> sums about a new origin, for which the gradient of the loss to the features
        may be computed with the origin held fixed.
      origin: centered sums -> their origin.
    """

    sums: Callable
    merged: Callable
    whole: Callable
    centered: Callable = _unchanged
    origin: Callable = lambda sums: None

    def statistics(self, features: Any, guide: Any = None) -> Any:
        """Compute the statistics of a whole picture, or of a region of it."""
        return self.whole(self.sums(features, guide))


class Loss(NamedTuple):
    """A loss: its kind and the pure functions that compute it.

    Attributes:
      kind: "content" or "style" for the content and style losses of a run, "prior" for a loss of
        the image alone, "photo" for one that compares the image with the photo, "earlier" for one
        that compares it with earlier frames of a clip.
      statistics: features of one layer (height x width x channels) -> a pytree; for a prior, from
        the image itself. A style loss also takes a guide (height x width) of a region, or None.
      distance: (statistics of the image, target) -> a scalar. The target of a prior is None.
      target: statistics of the content picture, or blended ones of the style pictures -> the
        target of ``distance``; for a loss of kind "photo", from the photo itself.
      image_factor: (height, width of the image in pixels) -> a factor of the distance, for a loss
        that depends on the size of the image and not only on its features.
      pooled: for style losses, functions that compute the statistics tile by tile: see
        ``jaxstyle.execution.tiles``.
      tile_distance: for other losses, a tile's contribution to the distance, from its features, its
        target and its position.
    """

    kind: Literal["content", "style", "prior", "photo", "earlier"]
    statistics: Callable
    distance: Callable
    target: Callable = _unchanged
    image_factor: Callable[[Any, Any], Any] = _one
    pooled: Pooled | None = None
    tile_distance: Callable | None = None


def _style(pooled: Pooled, distance: Callable, *more: Callable, **others: Callable) -> Loss:
    return Loss("style", pooled.statistics, distance, *more, pooled=pooled, **others)


def _content(name: str, distance: Callable) -> Loss:
    return Loss("content", content.statistics, distance, tile_distance=content.of_tile(name))


def _prior(formula: total_variation.Formula) -> Loss:
    whole, of_tile = total_variation.of_image(formula), total_variation.of_tile(formula)
    return Loss("prior", content.statistics, whole, tile_distance=of_tile)


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
        "photo", content.statistics, matting.energy, matting.target, tile_distance=matting.of_tile
    ),
    "temporal": Loss(
        "earlier", content.statistics, temporal.distance, tile_distance=temporal.of_tile
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
