"""anishathalye/neural-style, neural_style.py and stylize.py at commit d0a1148.

Quanfita/Neural-Style is an older copy of it.
"""

from jaxstyle.presets.preset import ONE_SCALE, PIXELS, STYLE_1_TO_5, Preset

PRESET = Preset(
    title="anishathalye/neural-style",
    link="https://github.com/anishathalye/neural-style",
    differs="the photo's own size, pooling with ceil rounding, one loss per style picture, Adam",
    settings={
        **PIXELS,
        "size_rule": "own",
        "resampling": "bicubic",  # Image.resize, imresize
        "smallest_size": ONE_SCALE,
        "steps": 1000,  # ITERATIONS
        "content_loss": "content",
        "content_weight": 5,  # CONTENT_WEIGHT
        "style_loss": "gram-size",
        "style_weight": 500,  # STYLE_WEIGHT
        "style_layers": dict.fromkeys(STYLE_1_TO_5, 1 / 5),  # STYLE_LAYER_WEIGHT_EXP = 1
        "tv_loss": "total-variation",
        "tv_weight": 100,  # TV_WEIGHT
        "style_fit": "width",
        "sum_styles": True,
        "padding": "zeros",
        "rounding": "ceil",  # padding="SAME"
        "init": "noise",
        "noise": "gaussian",
        "noise_level": 0.256 / 255,
        "optimizer": "adam",
        "learning_rate": 10,  # LEARNING_RATE
        "betas": (0.9, 0.999),  # BETA1, BETA2
        "white": 255,
        "clamp": False,
    },
    network="original",
    equivalent={"content_weight": 1, "style_weight": 5e5, "tv_weight": 4e-3},
)
