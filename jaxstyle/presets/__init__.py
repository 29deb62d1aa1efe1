"""Settings with a name, as data: one file each, every number with its source.

A preset holds only what it changes; ``jaxstyle.settings.Settings`` has the rest.
"""

from collections.abc import Mapping
from typing import Any

from jaxstyle.presets import default, fine

PRESETS: dict[str, Mapping[str, Any]] = {
    "default": default.SETTINGS,
    "fine": fine.SETTINGS,
}
