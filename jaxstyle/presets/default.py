"""The default settings: a picture to hang on the wall within a minute on two CPU cores.

The subject stays because no scale is coarser than 256 pixels: at 128 the deep style layers see a
whole face at once, and rebuild it from whatever round shapes the painting has.
"""

from jaxstyle.presets.preset import Preset

PRESET = Preset(
    title="jaxstyle's own settings",
    link="",
    differs="relative losses, two scales, Adam on a Laplacian pyramid in opponent colors: a "
    "good picture of 512 pixels on any machine",
    settings={},
)
