"""The losses: one small file an idea, their registry, their targets and the objective.

`registry` lists every loss by name; `targets` measures what they compare the image with;
`objective` is the weighted sum of them all, as one pytree.
"""

from jaxstyle.losses.registry import CONTENT_LOSSES, LOSSES, STYLE_LOSSES, TV_LOSSES, Loss, Pooled

__all__ = ["CONTENT_LOSSES", "LOSSES", "STYLE_LOSSES", "TV_LOSSES", "Loss", "Pooled"]
