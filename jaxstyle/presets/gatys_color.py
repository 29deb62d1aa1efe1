"""Gatys, Bethge, Hertzmann, Shechtman: "Preserving Color in Neural Artistic Style Transfer"."""

from jaxstyle.presets import gatys_2016
from jaxstyle.presets.preset import Preset

PRESET = Preset(
    title="Gatys et al.: Preserving Color in Neural Artistic Style Transfer (2016)",
    link="https://arxiv.org/abs/1606.05897",
    differs="gatys-2016 with the style in the photo's colors; --color-match luminance is their "
    "other method, pca and symmetric are other linear maps",
    settings={
        **gatys_2016.PRESET.settings,
        "color_match": "cholesky",  # section 3.1
        "luminance": "rec601",  # section 3.2: the Y of YIQ
        "init": "content",
    },
    network="normalized",
)
