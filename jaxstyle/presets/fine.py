"""The default settings with more pixels and steps, for a GPU."""

from jaxstyle.presets.preset import Preset

PRESET = Preset(
    title="jaxstyle's own settings, with more steps",
    link="",
    differs="1024 pixels and more steps than the default, for a GPU",
    settings={"size": 1024, "steps": (300, 200, 100)},
)
