"""The neural style transfer example of Keras (F. Chollet),
keras-io/examples/generative/neural_style_transfer.py."""

from jaxstyle.presets.preset import ONE_SCALE, PIXELS, STYLE_1_TO_5, Preset

PRESET = Preset(
    title="Keras example: Neural style transfer (F. Chollet)",
    link="https://keras.io/examples/generative/neural_style_transfer/",
    differs="sums of squares, content at relu5_2, gradient descent from the photo, decaying rate",
    settings={
        **PIXELS,
        "size": 400,  # img_nrows
        "size_rule": "height",
        "resampling": "nearest",  # load_img
        "smallest_size": ONE_SCALE,
        "steps": 4000,  # iterations
        "content_loss": "content-sum",
        "content_layers": ("relu5_2",),  # block5_conv2
        "content_weight": 2.5e-8,
        "style_loss": "gram-keras",
        "style_layers": dict.fromkeys(STYLE_1_TO_5, 1 / 5),  # style_weight / len(layers)
        "style_weight": 1e-6,
        "tv_loss": "total-variation-power",
        "tv_weight": 1e-6,
        "style_fit": "stretch",
        "padding": "zeros",
        "init": "content",
        "optimizer": "sgd",
        "momentum": 0,
        "learning_rate": 100,  # ExponentialDecay(100, decay_steps=100, decay_rate=0.96)
        "learning_rate_decay": 0.96 ** (1 / 100),
        "white": 255,
        "clamp": False,
    },
    network="original",
    equivalent={"content_weight": 1.25e-4, "style_weight": 25},
)
