"""The pictures of a batch: which ones can share a program, and how many fit into memory."""

from collections.abc import Hashable

import jax

from jaxstyle.execution import memory
from jaxstyle.execution.memory import TRUSTED, bytes_before, bytes_before_network, rough_bytes
from jaxstyle.network import weights
from jaxstyle.runs.inputs import Inputs
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
    "schedule",
    "strength",
    "content_factors",
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
    "style_colors",
    "color_match",
    "luminance",
    "keep_best",
)
"""Settings that may differ within a batch, since the compiled program does not depend on them.

The program measures the layers of all pictures; a picture may use only some of them.
"""


def static_key(settings: Settings) -> Hashable:
    """Return a key that is equal for settings whose pictures can share a batch."""
    shared = {name: value for name, value in settings.to_dict().items() if name not in OWN}
    if alone(settings):
        return object()
    key = sorted((name, repr(value)) for name, value in shared.items())
    return *key, settings.optimizer  # files call any Optax transformation "custom"


def alone(settings: Settings) -> bool:
    """Return whether a picture of these settings must be run alone.

    A fine style needs a second run. Automatic masks may find a different number of regions in each
    picture. A tiled or spatially sharded picture is large enough by itself.
    """
    large = settings.tile_side or settings.shard == "space"
    return bool(settings.fine_style or settings.auto_masks or large)


def too_large(cell: Inputs) -> bool:
    """Return whether a picture is so large that ``--tile auto`` must decide how to run it."""
    available, last = memory.total_bytes(), cell.scales()[-1]
    if available is None or cell.settings.tile != "auto":
        return False
    peak = bytes_before() + rough_bytes(last.height, last.width, cell.settings)
    return peak > TRUSTED * available


def batch_that_fits(loaded: weights.Loaded, cell: Inputs, wanted: int, devices: int = 1) -> int:
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
        before = bytes_before_network(loaded.weights, cell.settings)
        room = (TRUSTED * available - before) / sharing
        each = rough_bytes(last.height, last.width, cell.settings)
        most = devices * max(1, int(room / each))
    rounds = -(-wanted // most)
    return -(-wanted // (rounds * devices)) * devices
