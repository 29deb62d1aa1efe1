"""Kolkin et al., "Neural Neighbor Style Transfer" (2022), and the authors' code.

nkolkin13/NeuralNeighborStyleTransfer has VGG-16; here it is the same layers of VGG-19.
"""

from jaxstyle.presets.preset import Preset

LAYERS = {
    **{"relu1_1": 0.1, "relu1_2": 0.2, "relu2_1": 0.5, "relu2_2": 0.5},
    **dict.fromkeys(("relu3_1", "relu3_2", "relu3_3"), 1.0),
    **dict.fromkeys(("relu4_1", "relu4_2", "relu4_3"), 2.0),
}
"""Factors of the layers, all 1 in the authors' code, where deeper features are larger. Those of the
normalized network are all of one size, and would match places by color above all. Chosen so that
pictures resemble the published ones."""

PRESET = Preset(
    title="Kolkin et al.: Neural Neighbor Style Transfer (2022)",
    link="https://github.com/nkolkin13/NeuralNeighborStyleTransfer",
    differs="each place of the image takes after its nearest neighbor in the style: fixed ones of "
    "hypercolumns from 64 pixels on, then of each layer at every step; the photo's colors, moved "
    "to the style's, in the end",
    settings={
        "size": 512,
        "smallest_size": 64,  # an eighth
        "scale_factor": 2.0,
        # 200 everywhere in the authors' code; the rest is hardly seen, and takes minutes on a CPU
        "steps": (200, 200, 150, 80, 80),
        "resampling": "area",  # halves as its pyramid does
        "content_weight": 0,
        "style_loss": "neighbors",
        "last_style_loss": "neighbors-split",
        "style_weight": 1,
        "style_layers": LAYERS,
        "tv_weight": 0,
        "padding": "zeros",
        "init": "content",
        "optimizer": "adam",
        "learning_rate": 2e-3,
        "schedule": "constant",
        "betas": (0.9, 0.999),
        "pyramid_levels": 8,
        "opponent_colors": False,
        "clamp": False,
        "style_colors": True,
    },
)
