"""The losses, one small file each; a new one is one more file and one more line in ``LOSSES``.

A loss compares *statistics* of the features of one layer: whatever part of them it keeps (the
features themselves, their Gram matrix). What it keeps of the content or style picture is its
target, computed once; several style pictures are blended by averaging their statistics.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from jaxstyle.losses import content, gram, total_variation


class Loss(NamedTuple):
    """Two pure functions, and what the loss is for.

    kind: whether it can be the content loss or the style loss of a run, or is a prior.
    statistics: features of one layer (height x width x channels) -> what the loss compares.
    distance: (statistics of the image, target) -> a scalar.
    """

    kind: Literal["content", "style", "prior"]
    statistics: Callable
    distance: Callable


LOSSES: dict[str, Loss] = {
    "content": Loss("content", content.statistics, content.distance),
    "content-relative": Loss("content", content.statistics, content.relative_distance),
    "gram": Loss("style", gram.statistics, gram.distance),
    "gram-relative": Loss("style", gram.statistics, gram.relative_distance),
    "total-variation": Loss("prior", total_variation.statistics, total_variation.distance),
}

CONTENT_LOSSES = tuple(name for name, loss in LOSSES.items() if loss.kind == "content")
STYLE_LOSSES = tuple(name for name, loss in LOSSES.items() if loss.kind == "style")
