"""The pictures of a batch: which ones can share a program, and how many fit into memory."""

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
"""Settings that may differ within a batch, since the compiled program does not depend on them.

The program measures the layers of all pictures; a picture may use only some of them.
"""


SHARE = 0.6
"""Fraction of the memory that a batch may take by ``rough_bytes``, which can be off by a third."""

PREPARED = 9
"""Upper bound of the network's memory on CPU, in multiples of its kernels.

The kernels in the layout prepared for the CPU take eight times as much as the kernels themselves.
"""


@dataclass(frozen=True)
class Cell:
    """One picture of a batch: the arguments of ``stylize.run`` and what was computed from them.

    Attributes:
      content: content picture; may be small if ``sized`` is filled.
      styles: style pictures.
      settings: settings of this picture.
      way: its scales, coarse to fine; empty for those that ``stylize.run`` would plan.
      colors: result of ``preprocessing.recolored``, if already computed.
      sized: the recolored content resized to the scales, by height and width, if already computed.
    """

    content: Picture
    styles: Sequence[Image]
    settings: Settings
    way: tuple[Scale, ...] = ()
    colors: tuple[Image, list[Image]] | None = None
    sized: Mapping[tuple[int, int], Image] = field(default_factory=dict)

    def scales(self) -> list[Scale]:
        """Return its scales, coarse to fine.

        Raises:
          PictureSizeError: a picture or the result is too small for the layers in use.
          SettingError: a setting does not fit the pictures.
        """
        return list(self.way or plan(self.content.rgb, self.styles, self.settings))

    def recolored(self) -> tuple[Image, list[Image]]:
        """Return the content and style pictures after color matching."""
        return self.colors or recolored(self.content.rgb, self.styles, self.settings)


def static_key(settings: Settings) -> Hashable:
    """Return a key that is equal for settings whose pictures can share a batch."""
    shared = {name: value for name, value in settings.to_dict().items() if name not in OWN}
    if alone(settings):
        return object()
    return tuple(sorted((name, repr(value)) for name, value in shared.items()))


def alone(settings: Settings) -> bool:
    """Return whether a picture of these settings must be run alone.

    With a ``tolerance`` it may stop early, but would have to wait for the others. A fine style
    needs a second run. Automatic masks may find a different number of regions in each picture.
    A tiled or spatially sharded picture is large enough by itself.
    """
    large = settings.tile_side or settings.shard == "space"
    return bool(settings.tolerance or settings.fine_style or settings.auto_masks or large)


def too_large(cell: Cell) -> bool:
    """Return whether a picture is so large that ``--tile auto`` must decide how to run it."""
    available, last = memory.total_bytes(), cell.scales()[-1]
    if available is None or cell.settings.tile != "auto":
        return False
    return rough_bytes(last.height, last.width, cell.settings) > NEAR * available


def layers_of(each: Iterable[Settings]) -> Layers:
    """Return the content and style layers that any of the settings uses, in network order."""
    distinct = {id(settings): settings for settings in each}.values()
    content = {layer for settings in distinct for layer in settings.content_weights()}
    style = {layer for settings in distinct for layer in settings.style_weights()}
    return sorted(content, key=vgg.LAYERS.index), sorted(style, key=vgg.LAYERS.index)


def looking_at(layers: Layers, settings: Settings) -> Settings:
    """Return settings that use all of these layers."""
    content, style = layers
    return replace(
        settings,
        content_weight=1.0,
        style_weight=1.0,
        content_layers=dict.fromkeys(content, 1.0),
        style_layers=dict.fromkeys(style, 1.0),
    )


def batch_that_fits(loaded: weights.Loaded, cell: Cell, wanted: int, devices: int = 1) -> int:
    """Return a batch size that should fit into memory.

    It is estimated by ``rough_bytes`` without compiling; ``run_in_halves`` halves a batch that runs
    out of memory all the same.

    Args:
      loaded: weights of the network.
      cell: a picture like those of the batch.
      wanted: number of pictures to run altogether; they are split into batches of one size.
      devices: number of devices that share a batch.

    Returns:
      Number of pictures at once, a multiple of ``devices``.
    """
    last = cell.scales()[-1]
    available, most = memory.total_bytes(), wanted
    if available is not None:
        sharing = devices if jax.default_backend() == "cpu" else 1
        room = SHARE * available / sharing - network_bytes(loaded)
        each = rough_bytes(last.height, last.width, cell.settings)
        most = devices * max(1, int(room / each))
    rounds = -(-wanted // most)
    return -(-wanted // (rounds * devices)) * devices


def network_bytes(loaded: weights.Loaded) -> int:
    """Return an upper bound of the network's memory, including kernels prepared for the CPU."""
    kernels = sum(layer.kernel.nbytes for layer in loaded.weights.layers.values())
    return PREPARED * kernels if jax.default_backend() == "cpu" else kernels
