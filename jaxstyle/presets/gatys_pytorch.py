"""leongatys/PytorchNeuralStyleTransfer: the authors' own notebook, NeuralStyleTransfer.ipynb."""

from jaxstyle.presets.preset import PIXELS, Preset

CHANNELS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}
STYLE_LAYERS = {layer: 1 / n**2 for layer, n in CHANNELS.items()}
IMAGENET_MEAN = (0.48501961, 0.45795686, 0.40760392)
"""The authors' mean color: Caffe's, rounded differently."""

PRESET = Preset(
    title="leongatys/PytorchNeuralStyleTransfer",
    link="https://github.com/leongatys/PytorchNeuralStyleTransfer",
    differs="Gram / (H W), weight 1e3 / C^2 per layer, two scales, L-BFGS from the photo",
    settings={
        **PIXELS,
        "size": 800,  # img_size_hr
        "size_rule": "shortest",  # transforms.Scale
        "resampling": "bilinear",  # its default interpolation
        "smallest_size": 512,  # img_size
        "scale_factor": 800 / 512,
        "steps": (520, 220),  # max_iter and max_iter_hr are passed by one call of 20 evaluations
        "content_loss": "content",
        "content_weight": 1,  # content_weights = [1e0]
        "style_loss": "gram",
        "style_weight": 1e3,  # style_weights = [1e3/n**2 ...]
        "style_layers": STYLE_LAYERS,
        "tv_weight": 0,
        "padding": "zeros",
        "network_mean": IMAGENET_MEAN,
        "init": "content",  # opt_img = content_image.clone()
        "optimizer": "lbfgs",  # torch.optim.LBFGS, default history 100
        "learning_rate": 1.0,
        "white": 255,  # x.mul_(255)
        "clamp": False,
    },
    network="original",
    equivalent={  # the authors' own, BasicStyleTransfer.ipynb of NeuralImageSynthesis
        "content_weight": 1e6,
        "style_weight": 1e9,
        "style_layers": dict.fromkeys(STYLE_LAYERS, 1 / 5),
    },
)
