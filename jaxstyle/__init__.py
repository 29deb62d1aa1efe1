"""Neural style transfer in JAX.

``stylize`` does a whole run; ``Settings`` is everything it can be told, and ``resolve`` makes one.
The functional core beneath it is public too: ``jaxstyle.vgg`` (features), ``jaxstyle.objective``
(losses as one pytree), ``jaxstyle.solve`` (one step, many steps).
"""

from jaxstyle.result import Progress, Result
from jaxstyle.settings import Settings, resolve
from jaxstyle.stylize import stylize

__all__ = ["Progress", "Result", "Settings", "resolve", "stylize"]
__version__ = "0.1.0"
