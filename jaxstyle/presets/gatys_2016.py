"""Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016.

Equations 1 and 4 are sums, but with them the alpha / beta of figure 3 hardly changes the photo.
This preset follows the authors' released code (leongatys/NeuralImageSynthesis, normalized network),
which applies the same ratio to means and makes pictures like the paper's. The sums are available as
content-sum (twice equation 1) and gram-sum (equation 4).
"""

from jaxstyle.presets.gatys_pytorch import IMAGENET_MEAN
from jaxstyle.presets.preset import ONE_SCALE, PIXELS, STYLE_1_TO_5, Preset

PRESET = Preset(
    title="Gatys, Ecker, Bethge: Image Style Transfer Using CNNs (CVPR 2016)",
    link="https://doi.org/10.1109/CVPR.2016.265",
    differs="the normalized network, average pooling, alpha / beta = 1e-3, L-BFGS from white noise",
    settings={
        **PIXELS,
        "size": 512,  # section 3.4: about 512 x 512
        "smallest_size": ONE_SCALE,
        "steps": 500,
        "content_loss": "content",
        "content_weight": 1e6,  # BasicStyleTransfer.ipynb: 1e6 and 1e9/5 a layer;
        "style_loss": "gram",
        "style_weight": 1e9,  # figure 3: alpha / beta is 1e-3 (or 8e-4, 5e-3, 5e-4)
        "style_layers": dict.fromkeys(STYLE_1_TO_5, 1 / 5),  # section 2.2: w_l = 1/5
        "content_layers": ("relu4_2",),  # section 3
        "tv_weight": 0,
        "style_fit": "stretch",  # section 2.2: the style is resized to the content
        "pooling": "average",  # section 2
        "padding": "zeros",
        "rounding": "ceil",  # Caffe
        "network_mean": IMAGENET_MEAN,
        "init": "noise",  # section 3
        "optimizer": "lbfgs",  # section 2.3
        "learning_rate": 1.0,
        "white": 255,
        "clamp": False,
    },
    network="normalized",  # section 2
)
