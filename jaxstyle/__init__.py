"""Neural style transfer in JAX.

``stylize`` does a whole run; ``texture`` makes more of a style; ``score`` says how well a picture
meets an objective. ``Settings`` is everything they can be told, and ``resolve`` makes one. The
functional core beneath is public too: ``jaxstyle.network.vgg`` (features),
``jaxstyle.losses.objective`` (losses as one pytree), ``jaxstyle.optim.solve`` (one step, many
steps). Every error raised on purpose is a ``JaxstyleError``.
"""

from jaxstyle.errors import JaxstyleError
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.score import Score, score
from jaxstyle.runs.stylize import stylize
from jaxstyle.runs.texture import texture
from jaxstyle.settings import Settings, resolve

__all__ = [
    "JaxstyleError",
    "Progress",
    "Result",
    "Score",
    "Settings",
    "resolve",
    "score",
    "stylize",
    "texture",
]
__version__ = "0.1.0"
