"""ProGamerGov/neural-style-pt, neural_style.py at commit 7251405 (line numbers below)."""

from jaxstyle.presets.preset import ONE_SCALE, PIXELS, STYLE_1_TO_5, Preset

PRESET = Preset(
    title="ProGamerGov/neural-style-pt",
    link="https://github.com/ProGamerGov/neural-style-pt",
    differs="Gram / (C H W), total variation of absolute differences, L-BFGS from noise",
    settings={
        **PIXELS,
        "size": 512,  # L17
        "size_rule": "longest-floor",
        "resampling": "bilinear",  # transforms.Resize
        "smallest_size": ONE_SCALE,
        "steps": 1000,  # L26
        "content_loss": "content",
        "content_weight": 5,  # L21
        "style_loss": "gram-size",
        "style_weight": 100,  # L22
        "style_layers": STYLE_1_TO_5,
        "tv_loss": "total-variation-absolute",  # L483
        "tv_weight": 1e-3,  # L24
        "padding": "zeros",
        "init": "noise",  # L27
        "noise": "gaussian",
        "noise_level": 0.001 / 255,
        "optimizer": "lbfgs",  # L29
        "betas": (0.9, 0.999),
        "learning_rate": 1.0,  # L30
        "white": 255,  # L343
        "clamp": False,
    },
    network="original",
    equivalent={"content_weight": 1, "style_weight": 1e5, "tv_weight": 0},
)
