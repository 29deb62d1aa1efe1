"""Losses: one module per family, their registry, their targets and the objective.

`registry` lists every loss of one layer by name, `joint` those of all layers at once; `targets`
computes the statistics of the content and style pictures that the image is compared with;
`objective` is the weighted sum of all losses, a pytree.
"""

from jaxstyle.losses.joint import CONTENT_CHOICES, JOINT, STYLE_CHOICES, Joint
from jaxstyle.losses.registry import CONTENT_LOSSES, LOSSES, STYLE_LOSSES, TV_LOSSES, Loss, Pooled

__all__ = [
    "CONTENT_CHOICES",
    "CONTENT_LOSSES",
    "JOINT",
    "LOSSES",
    "STYLE_CHOICES",
    "STYLE_LOSSES",
    "TV_LOSSES",
    "Joint",
    "Loss",
    "Pooled",
]
