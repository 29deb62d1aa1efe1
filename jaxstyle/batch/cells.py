"""The pictures of a batch: which can go together, and how many."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import jax

from jaxstyle.execution import memory
from jaxstyle.execution.footprint import NEAR, rough_bytes
from jaxstyle.execution.formulation import Layers
from jaxstyle.execution.plan import Image, plan
from jaxstyle.execution.pyramid import Scale
from jaxstyle.images import Picture
from jaxstyle.network import vgg, weights
from jaxstyle.runs.preprocessing import recolored
from jaxstyle.settings import Settings

OWN = (
    "preset",
    "content_weight",
    "style_weight",
    "tv_weight",
    "content_layers",
    "style_layers",
    "learning_rate",
    "learning_rate_decay",
    "average",
    "clamp",
    "style_blend",
    "style_scale",
    "style_fit",
    "init",
    "init_noise",
    "noise",
    "noise_level",
    "seed",
    "original_colors",
    "color_match",
    "luminance",
    "keep_best",
)
"""Settings that each picture of a batch has of its own: the program is the same whatever they are.
Of the layers, a picture has some or all."""


SHARE = 0.6
"""Of the memory that a batch may take by the rule of thumb, which can be wrong by a third."""

PREPARED = 9
"""Times its kernels that the network takes on CPU at most: prepared, they are eight times more."""


@dataclass(frozen=True)
class Cell:
    """One picture of a batch, as ``stylize.run`` would be given it.

    way: its scales, where they are not those that ``stylize.run`` would plan. colors: what
    ``pictures.recolored`` gives, where that has been seen to. sized: the content of that at the
    sides of the scales, where that has; ``content`` itself may be small then.
    """

    content: Picture
    styles: Sequence[Image]
    settings: Settings
    way: tuple[Scale, ...] = ()
    colors: tuple[Image, list[Image]] | None = None
    sized: Mapping[tuple[int, int], Image] = field(default_factory=dict)

    def scales(self) -> list[Scale]:
        """The scales that it goes through.

        Raises:
          PictureSizeError, SettingError: it cannot be run.
        """
        return list(self.way or plan(self.content.rgb, self.styles, self.settings))

    def recolored(self) -> tuple[Image, list[Image]]:
        """The pictures that the objective is made of."""
        return self.colors or recolored(self.content.rgb, self.styles, self.settings)


def static_key(settings: Settings) -> Hashable:
    """Equal for settings that can go together, with pictures of one shape."""
    shared = {name: value for name, value in settings.to_dict().items() if name not in OWN}
    if alone(settings):
        return object()
    return tuple(sorted((name, repr(value)) for name, value in shared.items()))


def alone(settings: Settings) -> bool:
    """Whether a picture of these settings is run by itself: one that may end early would have to
    wait for the others, a fine style takes a run of its own, regions that are found may be fewer
    than those of the next picture, and what is in tiles or split is large enough."""
    large = settings.tile_side or settings.shard == "space"
    return bool(settings.tolerance or settings.fine_style or settings.auto_masks or large)


def too_large(cell: Cell) -> bool:
    """Whether a picture is so large that the way it is worked on is to be chosen for it alone."""
    there, last = memory.total_bytes(), cell.scales()[-1]
    if there is None or cell.settings.tile != "auto":
        return False
    return rough_bytes(last.height, last.width, cell.settings) > NEAR * there


def layers_of(each: Iterable[Settings]) -> Layers:
    """Every layer that any of the settings measure, in the network's order."""
    known = {id(settings): settings for settings in each}.values()
    content = {layer for settings in known for layer in settings.content_weights()}
    style = {layer for settings in known for layer in settings.style_weights()}
    return sorted(content, key=vgg.LAYERS.index), sorted(style, key=vgg.LAYERS.index)


def looking_at(layers: Layers, settings: Settings) -> Settings:
    """Settings that need all of these layers."""
    content, style = layers
    return replace(
        settings,
        content_weight=1.0,
        style_weight=1.0,
        content_layers=dict.fromkeys(content, 1.0),
        style_layers=dict.fromkeys(style, 1.0),
    )


def batch_that_fits(loaded: weights.Loaded, cell: Cell, wanted: int, devices: int = 1) -> int:
    """How many pictures like this one to run together, where ``wanted`` are to be run on so many
    devices: in as many batches as the memory asks for, all of one size.

    By rule of thumb, with nothing compiled: what runs out of memory all the same can be halved.
    """
    last = cell.scales()[-1]
    there, most = memory.total_bytes(), wanted
    if there is not None:
        sharing = devices if jax.default_backend() == "cpu" else 1
        room = SHARE * there / sharing - network_bytes(loaded)
        each = rough_bytes(last.height, last.width, cell.settings)
        most = devices * max(1, int(room / each))
    rounds = -(-wanted // most)
    return -(-wanted // (rounds * devices)) * devices


def network_bytes(loaded: weights.Loaded) -> int:
    """What the network takes at most, its prepared kernels included."""
    kernels = sum(layer.kernel.nbytes for layer in loaded.weights.layers.values())
    return PREPARED * kernels if jax.default_backend() == "cpu" else kernels
