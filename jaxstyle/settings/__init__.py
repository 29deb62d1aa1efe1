"""Everything that a run can be told: the one source of flags, keywords, reports and presets.

`Settings` has a field for each, `checks` says which values can be used, `text` reads them from
flags and manifests.
"""

from jaxstyle.settings._settings import INITS, ONE_SCALE, Settings, resolve

__all__ = ["INITS", "ONE_SCALE", "Settings", "resolve"]
