"""crowsonkb/style-transfer-pytorch, style_transfer.py at commit e7e2c71 (line numbers below)."""

from jaxstyle.presets.preset import PIXELS, Preset

STYLE_WEIGHTS = {"relu1_1": 256, "relu2_1": 64, "relu3_1": 16, "relu4_1": 4, "relu5_1": 1}

PRESET = Preset(
    title="crowsonkb/style-transfer-pytorch",
    link="https://github.com/crowsonkb/style-transfer-pytorch",
    differs="Wasserstein-2 style loss, scales a factor of sqrt(2) apart, averaged iterates",
    settings={
        **PIXELS,
        "size": 512,  # end_scale
        "smallest_size": 128,  # min_scale
        "scale_factor": 2**0.5,  # gen_scales
        "steps": (1000, 500),  # initial_iterations, iterations
        "resampling": "bicubic",
        "content_loss": "content",
        "content_weight": 0.015,  # L349
        "style_loss": "wasserstein",  # L149
        "style_weight": 1,
        "style_layers": {layer: w / 341 for layer, w in STYLE_WEIGHTS.items()},  # L316
        "tv_loss": "total-variation-nine",  # L184
        "tv_weight": 2,  # L350
        "style_fit": "no-enlarging",  # size_to_fit
        "pooling_scale": True,  # L22
        "padding": "replicate-first",  # L39
        "init": "content",
        "optimizer": "adam",
        "learning_rate": 0.02,  # step_size
        "betas": (0.9, 0.99),
        "clamp": True,
        "carry": True,  # scale_adam, L285
        "average": 0.99,  # avg_decay
    },
    network="any",  # torchvision's; its features are about as large as the normalized ones
)
