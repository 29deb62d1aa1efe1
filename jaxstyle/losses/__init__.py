"""The losses, one small file each; a new one is one more file and one more line in ``LOSSES``.

A loss compares *statistics* of the features of one layer: whatever part of them it keeps (the
features themselves, their Gram matrix). What it keeps of the content or style picture is its
target, computed once; several style pictures are blended by averaging their statistics.
"""

from collections.abc import Callable
from typing import NamedTuple

from jaxstyle.losses import content, gram, total_variation


class Loss(NamedTuple):
    """Two pure functions.

    statistics: features of one layer (height x width x channels) -> what the loss compares.
    distance: (statistics of the image, target) -> a scalar.
    """

    statistics: Callable
    distance: Callable


LOSSES: dict[str, Loss] = {
    "content": Loss(content.statistics, content.distance),
    "content-relative": Loss(content.statistics, content.relative_distance),
    "gram": Loss(gram.statistics, gram.distance),
    "gram-relative": Loss(gram.statistics, gram.relative_distance),
    "total-variation": Loss(total_variation.statistics, total_variation.distance),
}

CONTENT_LOSSES = ("content", "content-relative")
STYLE_LOSSES = ("gram", "gram-relative")
