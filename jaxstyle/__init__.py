"""Neural style transfer in JAX.

``stylize`` does a whole run; ``texture`` makes more of a style; ``score`` says how well a picture
meets an objective. ``Settings`` is everything they can be told, and ``resolve`` makes one. The
functional core beneath is public too: ``jaxstyle.vgg`` (features), ``jaxstyle.objective`` (losses
as one pytree), ``jaxstyle.solve`` (one step, many steps).
"""

from jaxstyle.result import Progress, Result
from jaxstyle.score import Score, score
from jaxstyle.settings import Settings, resolve
from jaxstyle.stylize import stylize
from jaxstyle.texture import texture

__all__ = ["Progress", "Result", "Score", "Settings", "resolve", "score", "stylize", "texture"]
__version__ = "0.1.0"
