"""rjnp2/neural-style-transfer, neural_style.ipynb: TensorFlow's first style transfer tutorial."""

from jaxstyle.presets.preset import ONE_SCALE, PIXELS, STYLE_1_TO_5, Preset

PRESET = Preset(
    title="rjnp2/neural-style-transfer (TensorFlow's tutorial)",
    link="https://github.com/rjnp2/neural-style-transfer",
    differs="content at relu5_2, Gram / (H W), Adam with epsilon 0.1, clipped, best iterate kept",
    settings={
        **PIXELS,
        "size": 512,  # max_dim
        "resampling": "lanczos",  # Image.ANTIALIAS
        "smallest_size": ONE_SCALE,
        "steps": 1000,  # num_iterations
        "content_loss": "content",
        "content_layers": ("relu5_2",),  # block5_conv2
        "content_weight": 1e3,
        "style_loss": "gram",
        "style_layers": dict.fromkeys(STYLE_1_TO_5, 1 / 5),  # weight_per_style_layer
        "style_weight": 1e-3,
        "tv_weight": 0,
        "padding": "zeros",
        "init": "content",
        "optimizer": "adam",
        "learning_rate": 5,
        "betas": (0.99, 0.999),  # beta1
        "epsilon": 0.1,
        "white": 255,
        "clamp": True,  # clip_by_value(init_image, min_vals, max_vals)
        "keep_best": True,  # best_loss, best_img
    },
    network="original",
    equivalent={"content_weight": 5e6, "style_weight": 2.5e4},
)
