"""jaxstyle's own settings for textures: no content, from noise, coarse to fine."""

from jaxstyle.presets.preset import STYLE_1_TO_5, Preset

PRESET = Preset(
    title="jaxstyle's own settings for texture synthesis",
    link="",
    differs="no content, from noise; the default of `texture`",
    settings={
        "content_weight": 0,
        "style_weight": 1,
        "style_layers": STYLE_1_TO_5,
        "style_loss": "gram-relative",
        "tv_weight": 0,
        "init": "noise",
        "smallest_size": 64,
        "steps": (150, 100, 80, 60),
    },
)
