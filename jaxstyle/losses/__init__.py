"""Losses: one module per family, their registry, their targets and the objective.

`registry` lists every loss by name; `targets` computes the statistics of the content and style
pictures that the image is compared with; `objective` is the weighted sum of all losses, a pytree.
"""

from jaxstyle.losses.registry import CONTENT_LOSSES, LOSSES, STYLE_LOSSES, TV_LOSSES, Loss, Pooled

__all__ = ["CONTENT_LOSSES", "LOSSES", "STYLE_LOSSES", "TV_LOSSES", "Loss", "Pooled"]
