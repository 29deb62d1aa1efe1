"""Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016."""

from jaxstyle.presets.preset import ONE_SCALE, STYLE_1_TO_5, Preset

PRESET = Preset(
    title="Gatys, Ecker, Bethge: Image Style Transfer Using CNNs (CVPR 2016)",
    link="https://doi.org/10.1109/CVPR.2016.265",
    differs="the papers' sums (equations 1 and 4) on the normalized network, L-BFGS from noise",
    settings={
        "size": 512,  # section 3.4: about 512 x 512
        "smallest_size": ONE_SCALE,
        "steps": 500,
        "content_loss": "content-sum",
        "content_weight": 0.5,  # alpha = 1, and the half of equation 1
        "style_loss": "gram-sum",  # equation 4, the 1/(4 N^2 M^2) included
        "style_weight": 1e3,  # figure 3: alpha / beta is 1e-3 or 8e-4, 5e-3, 5e-4
        "style_layers": dict.fromkeys(STYLE_1_TO_5, 1 / 5),  # section 2.2: w_l = 1/5
        "content_layers": ("relu4_2",),  # section 3
        "tv_weight": 0,
        "style_fit": "stretch",  # equation 4 has one M: the style is resized to the content
        "pooling": "average",  # section 2
        "padding": "zeros",
        "init": "noise",  # section 3
        "optimizer": "lbfgs",  # section 2.3
        "learning_rate": 1.0,
        "white": 255,
        "clamp": False,
    },
    network="normalized",  # section 2
)
