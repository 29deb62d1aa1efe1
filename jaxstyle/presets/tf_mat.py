"""The TensorFlow code, copied from blog to blog, that reads imagenet-vgg-verydeep-19.mat.

The code names no learning rate; 5 is that of the most similar published notebook,
sjchoi86/Tensorflow-101, notebooks/neural_style.ipynb.
"""

from jaxstyle.presets.preset import ONE_SCALE, PIXELS, STYLE_1_TO_5, Preset

PRESET = Preset(
    title="TensorFlow code of many blogs, for imagenet-vgg-verydeep-19.mat",
    link="https://github.com/sjchoi86/Tensorflow-101/blob/master/notebooks/neural_style.ipynb",
    differs="average pooling, Gram / (C H W), weights 5 and 0.2, Adam from faint noise",
    settings={
        **PIXELS,
        "size": 512,
        "smallest_size": ONE_SCALE,
        "resampling": "bilinear",
        "steps": 1000,
        "content_loss": "content",
        "content_weight": 5,
        "style_loss": "gram-size",
        "style_weight": 0.2,
        "style_layers": STYLE_1_TO_5,
        "tv_weight": 0,
        "pooling": "average",
        "rounding": "ceil",  # padding SAME, as in all variants
        "padding": "zeros",
        "init": "noise",
        "noise": "gaussian",
        "noise_level": 0.1 / 255,
        "optimizer": "adam",
        "learning_rate": 5,
        "betas": (0.9, 0.999),
        "white": 255,
        "clamp": False,
    },
    network="original",
    equivalent={"content_weight": 1, "style_weight": 200},
)
