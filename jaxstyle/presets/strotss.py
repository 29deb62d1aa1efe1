"""Kolkin et al., "Style Transfer by Relaxed Optimal Transport and Self-Similarity", CVPR 2019.

The authors' code, nkolkin13/STROTSS, has VGG-16; here it is the same layers of VGG-19.
"""

from jaxstyle.presets.preset import Preset

LAYERS = (
    *("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3"),
    *("relu4_3", "relu5_3"),
)

PRESET = Preset(
    title="Kolkin et al.: STROTSS (CVPR 2019)",
    link="https://github.com/nkolkin13/STROTSS",
    differs="relaxed optimal transport of sampled hypercolumns, self-similarity of the content, "
    "whose weight halves with each scale",
    settings={
        "size": 512,
        "smallest_size": 64,
        "scale_factor": 2.0,
        "steps": 250,
        "resampling": "bilinear",
        "content_loss": "self-similarity",
        "content_weight": 16,
        "content_layers": LAYERS,
        "style_loss": "relaxed-transport",
        "style_weight": 1,
        "style_layers": LAYERS,
        "tv_weight": 0,
        "padding": "zeros",
        "init": "colors",
        "optimizer": "adam",
        "learning_rate": 2e-3,
        "schedule": "constant",
        "betas": (0, 0.99),
        "pyramid_levels": 5,
        "opponent_colors": False,
        "content_factors": (1, 0.5, 0.25, 0.125),
        "clamp": False,
    },
    network="any",
)
