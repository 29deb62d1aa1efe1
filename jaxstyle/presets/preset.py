"""The type of a preset, and values that several presets share."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

ONE_SCALE = 32768
"""A ``smallest_size`` as large as any picture: the final size is the only scale."""

PIXELS = {
    **{"pyramid_levels": 1, "opponent_colors": False},
    **{"betas": (0.9, 0.99), "schedule": "constant"},
}
"""Steps of the pixels at a constant learning rate, as in the published systems."""

STYLE_1_TO_5 = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The style layers of Gatys et al. 2015 and of most systems since."""


class Preset(NamedTuple):
    """Settings of a published system, and their source.

    Attributes:
      title: the paper or program.
      link: its URL; empty for jaxstyle's own presets.
      differs: what sets it apart, in one line.
      settings: those that differ from the defaults of `jaxstyle.settings.Settings`.
      network: the kind of VGG-19 it was published for.
      equivalent: settings with about the same effect on the other kind of network. Features of the
        original network are about 70 times those of the normalized one, so that losses of features
        count 5e3 and of Gram matrices 2.5e7 times more.
      clip: settings of `jaxstyle.settings.clip.ClipSettings` that differ from the defaults.
    """

    title: str
    link: str
    differs: str
    settings: Mapping[str, Any]
    network: Literal["normalized", "original", "any"] = "normalized"
    equivalent: Mapping[str, Any] = {}
    clip: Mapping[str, Any] = {}
