"""The presets: named settings as data, one file each, every number with its source.

A preset holds only what it changes; the rest are the defaults of `jaxstyle.settings.Settings`.
"""

from jaxstyle.presets import (
    anishathalye,
    crowsonkb,
    deep_photo,
    default,
    fine,
    gatys_2015,
    gatys_2016,
    gatys_2017,
    gatys_color,
    gatys_guided,
    gatys_pytorch,
    gatys_texture,
    keras,
    large,
    neural_style,
    neural_style_pt,
    nnst,
    photo,
    reconstruction,
    ruder,
    strotss,
    texture,
    tf_mat,
    tf_tutorial,
)
from jaxstyle.presets.preset import Preset

PRESETS: dict[str, Preset] = {
    "default": default.PRESET,
    "fine": fine.PRESET,
    "large": large.PRESET,
    "photo": photo.PRESET,
    "texture": texture.PRESET,
    "reconstruction": reconstruction.PRESET,
    "gatys-texture": gatys_texture.PRESET,
    "gatys-2015": gatys_2015.PRESET,
    "gatys-2016": gatys_2016.PRESET,
    "gatys-color": gatys_color.PRESET,
    "gatys-2017": gatys_2017.PRESET,
    "gatys-guided": gatys_guided.SIMPLE,
    "gatys-guided-inside": gatys_guided.INSIDE,
    "gatys-guided-all": gatys_guided.ALL,
    "deep-photo": deep_photo.PRESET,
    "gatys-pytorch": gatys_pytorch.PRESET,
    "neural-style": neural_style.PRESET,
    "neural-style-pt": neural_style_pt.PRESET,
    "anishathalye": anishathalye.PRESET,
    "keras": keras.PRESET,
    "tf-mat": tf_mat.PRESET,
    "tf-tutorial": tf_tutorial.PRESET,
    "crowsonkb": crowsonkb.PRESET,
    "ruder": ruder.PRESET,
    "strotss": strotss.PRESET,
    "nnst": nnst.PRESET,
}

ALIASES = {"quanfita": "anishathalye", "fast": "photo"}
"""Other names of presets. Quanfita/Neural-Style is an older copy of anishathalye/neural-style;
`photo` is a fast alternative to `deep-photo`."""
