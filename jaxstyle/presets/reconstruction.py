"""jaxstyle's own settings for reconstructions: from noise, with a weak total variation loss."""

from jaxstyle.presets.preset import ONE_SCALE, PIXELS, STYLE_1_TO_5, Preset

PRESET = Preset(
    title="jaxstyle's own settings for reconstructions",
    link="",
    differs="one loss at a time, from noise; the default of `reconstruct`",
    settings={
        **PIXELS,  # from noise, a pyramid leaves up to ten times the loss
        "size": 256,
        "smallest_size": ONE_SCALE,
        "steps": 100,
        "content_weight": 1,
        "content_layers": ("relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_2"),
        "style_weight": 1,
        "style_layers": STYLE_1_TO_5,
        "tv_weight": 1,
        "pooling": "average",
        "init": "noise",
        "optimizer": "lbfgs",
    },
)
