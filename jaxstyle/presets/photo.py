"""jaxstyle's own settings for photorealistic transfer from one photo to another."""

from jaxstyle.presets.preset import PIXELS, Preset

PRESET = Preset(
    title="jaxstyle's own settings for photos",
    link="",
    differs="a photo in the light of another, with or without masks: starts from the photo in the "
    "style's colors, few steps of L-BFGS on relative losses, three scales",
    settings={
        **PIXELS,
        "smallest_size": 128,
        "steps": (60, 40, 30),
        "style_weight": 5,
        "tv_weight": 0,
        "init": "colors",
        "optimizer": "lbfgs",
        "photorealism_weight": 4,
        "smooth_radius": 15,
        "smooth_edge": 0.01,
    },
)
