"""Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer", CVPR 2017."""

from jaxstyle.presets.gatys_pytorch import IMAGENET_MEAN, STYLE_LAYERS
from jaxstyle.presets.preset import PIXELS, Preset

PRESET = Preset(
    title="Gatys et al.: Controlling Perceptual Factors in Neural Style Transfer (CVPR 2017)",
    link="https://arxiv.org/abs/1611.07865",
    differs="two scales (512^2, then 1024^2 pixels); --fine-style PICTURE takes the fine texture "
    "from another picture",
    settings={
        **PIXELS,
        # BasicStyleTransfer.ipynb of leongatys/NeuralImageSynthesis; section 6
        "size": 1024,
        "size_rule": "area",
        "smallest_size": 512,
        "scale_factor": 2.0,
        "steps": (500, 200),
        "content_loss": "content",
        "content_weight": 1,
        "style_loss": "gram",
        "style_weight": 1e3,
        "style_layers": STYLE_LAYERS,
        "tv_weight": 0,
        "padding": "zeros",
        "rounding": "ceil-max",  # loadcaffe
        "network_mean": IMAGENET_MEAN,
        "init": "content",
        "optimizer": "lbfgs",
        "learning_rate": 1.0,
        "white": 255,
        "clamp": False,
    },
    network="original",
    equivalent={  # the authors' own, BasicStyleTransfer.ipynb of NeuralImageSynthesis
        "content_weight": 1e6,
        "style_weight": 1e9,
        "style_layers": dict.fromkeys(STYLE_LAYERS, 1 / 5),
    },
)
