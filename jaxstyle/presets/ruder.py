"""manuelruder/artistic-videos, artistic_video.lua, the program of Ruder et al. 2016."""

from jaxstyle.presets import neural_style
from jaxstyle.presets.preset import Preset

PRESET = Preset(
    title="Ruder et al. 2016, artistic style transfer for videos",
    link="https://arxiv.org/abs/1604.08610",
    differs="neural-style with a temporal loss; stops when the loss hardly falls",
    settings={
        **neural_style.PRESET.settings,
        "steps": 2000,  # of the first frame
        "tolerance": 4e-5,  # a share of 1e-4 in 50 steps; here it is measured over 20
    },
    network=neural_style.PRESET.network,
    clip={
        "temporal_weight": 1e3,  # of the mean square, in pixels of 0 to 255
        "earlier_frames": (1,),
        "later_steps": 1000,
    },
)
