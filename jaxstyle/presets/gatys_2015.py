"""Gatys, Ecker, Bethge, "A Neural Algorithm of Artistic Style", arXiv:1508.06576 (2015)."""

from jaxstyle.presets.preset import ONE_SCALE, PIXELS, STYLE_1_TO_5, Preset

PRESET = Preset(
    title="Gatys, Ecker, Bethge: A Neural Algorithm of Artistic Style (2015)",
    link="https://arxiv.org/abs/1508.06576",
    differs="sums as in equations 1 and 4, average pooling, from white noise",
    settings={
        **PIXELS,
        "size": 512,
        "smallest_size": ONE_SCALE,
        "steps": 1000,
        "content_loss": "content-sum",
        "content_weight": 0.5,  # alpha = 1, and the half of equation 1
        "style_loss": "gram-sum",  # equation 4, the 1/(4 N^2 M^2) included
        "style_weight": 1e3,  # figure 2: alpha / beta is 1e-3 (B, C, D) or 1e-4 (E, F)
        "style_layers": dict.fromkeys(STYLE_1_TO_5, 1 / 5),  # w_l: one over the active layers
        "content_layers": ("relu4_2",),  # figure 2
        "tv_weight": 0,
        "style_fit": "stretch",  # equation 4 has one M: both pictures have the same size
        "pooling": "average",  # "Methods"
        "padding": "zeros",
        "rounding": "ceil",  # Caffe
        "init": "noise",  # "Methods": white noise
        "optimizer": "lbfgs",  # the paper says gradient descent; the authors' code uses L-BFGS
        "learning_rate": 1.0,
        "white": 255,
        "clamp": False,
    },
    network="original",
    equivalent={"content_weight": 0.5, "style_weight": 5e6},
)
