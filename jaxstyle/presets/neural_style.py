"""jcjohnson/neural-style, neural_style.lua at commit 07c4b82 (line numbers below)."""

from jaxstyle.presets.preset import ONE_SCALE, PIXELS, STYLE_1_TO_5, Preset

PRESET = Preset(
    title="jcjohnson/neural-style",
    link="https://github.com/jcjohnson/neural-style",
    differs="Gram / (C H W), white is 256, max pooling with ceil rounding, Torch7's resizing",
    settings={
        **PIXELS,
        "size": 512,  # L15
        "size_rule": "longest-floor",  # image.scale
        "resampling": "area",  # image.scale(img, size, 'bilinear'), L58
        "smallest_size": ONE_SCALE,
        "steps": 1000,  # L24
        "content_loss": "content",
        "content_weight": 5,  # L20
        "style_loss": "gram-size",  # L532
        "style_weight": 100,  # L21
        "style_layers": STYLE_1_TO_5,  # L45
        "tv_loss": "total-variation-half",  # L582
        "tv_weight": 1e-3,  # L22
        "padding": "zeros",
        "rounding": "ceil-max",  # loadcaffe; L125 for average pooling
        "network_white": 256,  # L422
        "init": "noise",  # L25
        "noise": "gaussian",
        "noise_level": 0.001 / 256,  # L203
        "optimizer": "lbfgs",  # L27
        "betas": (0.9, 0.999),  # optim.adam
        "white": 256,
        "clamp": False,
    },
    network="original",
    equivalent={"content_weight": 1, "style_weight": 1e5, "tv_weight": 0},
)
