"""Luan, Paris, Shechtman, Bala, "Deep Photo Style Transfer", CVPR 2017, by the authors' code."""

from jaxstyle.presets import neural_style
from jaxstyle.presets.preset import PIXELS, Preset

PRESET = Preset(
    title="Luan et al.: Deep Photo Style Transfer (CVPR 2017)",
    link="https://github.com/luanfujun/deep-photo-styletransfer",
    differs="keeps a photo photorealistic: matting-Laplacian energy in a second stage, one style "
    "loss per region (--content-mask, --style-mask), smoothing by local affine maps",
    settings={
        **PIXELS,
        **neural_style.PRESET.settings,  # both of its programs are based on it
        "size": 700,  # of the published pictures
        "steps": (1000, 1000),  # gen_all.py: num_iterations of both stages
        "guidance": "augmented",  # neuralstyle_seg.lua L113-126
        "noise_level": 0.0001 / 256,  # L183
        "seed": 612,
        "photorealism_weight": (0, 1e4),  # deepmatting_seg.lua: lambda, in the second stage
        "smooth_radius": 15,  # gen_all.py: f_radius
        "smooth_edge": 0.01,  # gen_all.py: f_edge
    },
    network="original",
    equivalent={
        "content_weight": 1,
        "style_weight": 1e5,
        "tv_weight": 0,
        "photorealism_weight": (0, 1e4),
    },
)
