"""Spatial control of Gatys et al., CVPR 2017, section 3: three kinds of guides for the regions."""

from jaxstyle.presets import gatys_2017
from jaxstyle.presets.preset import Preset


def _guided(guidance: str, differs: str) -> Preset:
    """Return a preset of SpatialControl.ipynb, leongatys/NeuralImageSynthesis."""
    return gatys_2017.PRESET._replace(
        title="Gatys et al.: Controlling Perceptual Factors, spatial control (CVPR 2017)",
        differs=f"guided Gram matrices (--content-mask, --style-mask): {differs}",
        settings={**gatys_2017.PRESET.settings, "guidance": guidance},
    )


SIMPLE = _guided("simple", "masks resized to each layer")
INSIDE = _guided("inside", "features that see nothing outside their region")
ALL = _guided("all", "features that see anything of their region")
