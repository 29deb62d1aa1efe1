"""The settings of a run, from which flags, keywords, reports and presets are derived.

`Settings` has a field for each setting, `checks` converts and validates values, `text` parses them
from flags and manifests.
"""

from jaxstyle.settings._settings import CUSTOM, INITS, ONE_SCALE, Settings, resolve

__all__ = ["CUSTOM", "INITS", "ONE_SCALE", "Settings", "resolve"]
