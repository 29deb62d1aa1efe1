"""What a preset is."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

ONE_SCALE = 32768
"""As ``smallest_size``: the final size is the only one."""

STYLE_1_TO_5 = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The style layers of Gatys et al. 2015 and of most systems since."""


class Preset(NamedTuple):
    """Settings of a system, and where they are from.

    title: the paper, or the program. link: where it is. differs: what sets it apart, in a line.
    settings: only what differs from ``jaxstyle.settings.Settings``. network: the kind of VGG-19 it
    was published for. equivalent: settings that do about the same with the other kind: features of
    the original network are about 70 times those of the normalized one, so that losses of features
    count 5e3 and of Gram matrices 2.5e7 times more.
    """

    title: str
    link: str
    differs: str
    settings: Mapping[str, Any]
    network: Literal["normalized", "original", "any"] = "normalized"
    equivalent: Mapping[str, Any] = {}
