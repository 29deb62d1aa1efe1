"""Neural style transfer in JAX.

``stylize`` does a whole run; ``texture`` makes more of a style; ``score`` says how well a picture
meets an objective. ``Settings`` is everything they can be told, and ``resolve`` makes one. The
functional core beneath is public too: ``jaxstyle.network.vgg`` (features),
``jaxstyle.losses.objective`` (losses as one pytree), ``jaxstyle.optim.solve`` (one step, many
steps). Every error raised on purpose is a ``JaxstyleError``.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "JaxstyleError": "jaxstyle.errors",
    "Progress": "jaxstyle.runs.result",
    "Result": "jaxstyle.runs.result",
    "Score": "jaxstyle.runs.score",
    "Settings": "jaxstyle.settings",
    "resolve": "jaxstyle.settings",
    "score": "jaxstyle.runs.score",
    "stylize": "jaxstyle.runs.stylize",
    "texture": "jaxstyle.runs.texture",
}
_PACKAGES = (
    *("errors", "machine", "images", "network", "losses", "guidance", "optim", "presets"),
    *("settings", "execution", "runs"),
)

if not TYPE_CHECKING:  # or type checkers would take any name for one of this package

    def __getattr__(name: str) -> Any:
        """Import what is asked for, a public name or a package.

        JAX takes a second to import, and refuses some environments, which the command line reports.
        """
        if name in _MODULES:
            return getattr(importlib.import_module(_MODULES[name]), name)
        if name in _PACKAGES:
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_MODULES, *_PACKAGES]
