"""The settings of a run, from which flags, keywords, reports and presets are derived.

`Settings` has a field for each setting, `checks` converts and validates values, `text` parses them
from flags and manifests. `clip` has those that only a clip has.
"""

from jaxstyle.settings._settings import (
    CUSTOM,
    GROUPS,
    INITS,
    ONE_SCALE,
    Settings,
    groups,
    resolve,
)

__all__ = ["CUSTOM", "GROUPS", "INITS", "ONE_SCALE", "Settings", "groups", "resolve"]
