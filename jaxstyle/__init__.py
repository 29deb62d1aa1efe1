"""Neural style transfer in JAX.

``stylize`` does a whole run; ``score`` says how well a picture meets an objective; ``Settings`` is
everything both can be told, and ``resolve`` makes one. The functional core beneath it is public too: ``jaxstyle.vgg`` (features), ``jaxstyle.objective``
(losses as one pytree), ``jaxstyle.solve`` (one step, many steps).
"""

from jaxstyle.result import Progress, Result
from jaxstyle.score import Score, score
from jaxstyle.settings import Settings, resolve
from jaxstyle.stylize import stylize

__all__ = ["Progress", "Result", "Score", "Settings", "resolve", "score", "stylize"]
__version__ = "0.1.0"
