"""The house settings for pictures of 2048 pixels and more."""

from jaxstyle.presets.preset import Preset

PRESET = Preset(
    title="jaxstyle's own settings for large pictures",
    link="",
    differs="2048 pixels and more: brush strokes are settled while they are cheap, and the last "
    "scales, which cost the most, add texture in few steps",
    settings={
        "size": 2048,
        # For 6000 pixels: at 188, 375, 750, 1500, 3000 and 6000. Tried at 1024, from 512 enlarged:
        # 6 to 8 steps of Adam take three quarters of the loss away; at 10 they overshoot, and
        # what is added until about the 15th is contrast.
        "steps": (100, 100, 60, 30, 8, 6),
    },
)
