"""The house settings with patience: for a GPU, or for a coffee break."""

from jaxstyle.presets.preset import Preset

PRESET = Preset(
    title="jaxstyle's own settings, with patience",
    link="",
    differs="1024 pixels and more steps: for a GPU",
    settings={"size": 1024, "steps": (500, 400, 300, 200)},
)
