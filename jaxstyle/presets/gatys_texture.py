"""Gatys, Ecker, Bethge, "Texture Synthesis Using Convolutional Neural Networks", NIPS 2015."""

from jaxstyle.presets.gatys_pytorch import IMAGENET_MEAN
from jaxstyle.presets.preset import ONE_SCALE, PIXELS, Preset

PRESET = Preset(
    title="Gatys, Ecker, Bethge: Texture Synthesis Using CNNs (NIPS 2015)",
    link="https://arxiv.org/abs/1505.07376",
    differs="no content, from noise, average pooling, Gram matrices of pooling layers, L-BFGS",
    settings={
        **PIXELS,
        "size": 256,  # im_size, Example.ipynb of leongatys/DeepTextures
        "size_rule": "area",  # load_image, Misc.py
        "smallest_size": ONE_SCALE,
        "steps": 2000,  # maxiter, Example.ipynb
        "content_weight": 0,
        # Equation 4 is 1/(4 N^2 M^2) times a sum over N^2 pairs of channels: a quarter of the mean
        # square of Grams per position (gram_mse_loss in LossFunctions.py); 1e9 a layer
        # (tex_weights, Example.ipynb).
        "style_loss": "gram",
        "style_weight": 1e9 / 4,
        "style_layers": ("relu1_1", "pool1", "pool2", "pool3", "pool4"),  # tex_layers
        "tv_weight": 0,
        "pooling": "average",  # section 2
        "padding": "zeros",
        "rounding": "ceil",  # Caffe
        "network_mean": IMAGENET_MEAN,
        "init": "noise",  # section 3: white noise
        "optimizer": "lbfgs",  # the authors used SciPy's, with bounds and a line search
        "history": 20,  # m, Example.ipynb
        "learning_rate": 1.0,
        "white": 255,
        "clamp": True,  # get_bounds, Misc.py
    },
    network="normalized",  # section 2: rescaled to mean activation one
)
