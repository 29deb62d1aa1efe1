"""The default settings: a good picture within two minutes on two CPU cores."""

from jaxstyle.presets.preset import Preset

PRESET = Preset(
    title="jaxstyle's own settings",
    link="",
    differs="relative losses, three scales, Adam: a good picture of 512 pixels on any machine",
    settings={},
)
