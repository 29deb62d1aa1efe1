"""The default settings adapted to pictures of 2048 pixels and more."""

from jaxstyle.presets.preset import PIXELS, Preset

PRESET = Preset(
    title="jaxstyle's own settings for large pictures",
    link="",
    differs="2048 pixels and more: many steps at small scales, where brush strokes form cheaply, "
    "and few at the last scales, which cost the most and only add texture",
    settings={
        **PIXELS,
        "size": 2048,
        # For 6000 pixels, the scales are 375, 750, 1500, 3000 and 6000. Measured at 1024
        # pixels, starting from 512 enlarged: 6 to 8 steps of Adam remove three quarters of the
        # loss; from 10 they overshoot, and up to about the 15th only contrast is added.
        "steps": (100, 60, 30, 8, 6),
    },
)
