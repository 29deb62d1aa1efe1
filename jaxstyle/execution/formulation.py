"""The objective of a run at one scale, as settings and pictures have it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Float

from jaxstyle import images
from jaxstyle.execution import sharding
from jaxstyle.execution.plan import style_size
from jaxstyle.execution.pyramid import Scale
from jaxstyle.execution.strategy import WHOLE, Strategy, storage_device
from jaxstyle.execution.tiles.build import build as build_tiled
from jaxstyle.execution.tiles.objective import TiledObjective
from jaxstyle.execution.tiles.program import TiledProgram, tiled_program
from jaxstyle.guidance.masks import Regions
from jaxstyle.guidance.propagate import guides as guides_of
from jaxstyle.losses import matting, objective
from jaxstyle.losses.matting import LocalColors
from jaxstyle.losses.objective import LossSpec
from jaxstyle.network import vgg
from jaxstyle.optim import solve
from jaxstyle.optim.program import Program
from jaxstyle.settings import Settings

Image = Float[np.ndarray, "_ _ 3"]

Layers = tuple[Sequence[str], Sequence[str]]
"""Names of content layers and of style layers."""

NO_LAYERS: Layers = ((), ())

AnyObjective = Any
"""An ``Objective``, or a ``TiledObjective`` where that is the way."""


def state_shape(
    scale: Scale, optimizer: optax.GradientTransformation, way: Strategy = WHOLE
) -> solve.State:
    """The solver's state at a scale, without its values."""
    if way.split:
        sides = scale.height, scale.width
        return sharding.state_shape(*sides, optimizer, mesh_of_all())
    image = jax.ShapeDtypeStruct((scale.height, scale.width, 3), jnp.float32)
    return jax.eval_shape(partial(solve.init, optimizer=optimizer), image)


def objective_at(
    scale: Scale,
    network: vgg.VGG19,
    content: Image,
    styles: Sequence[Image],
    settings: Settings,
    more_layers: Layers = NO_LAYERS,
    resized: Callable[..., Image] = images.resize,
    regions: Regions | None = None,
    way: Strategy = WHOLE,
    pause: Callable[[], None] = lambda: None,
) -> AnyObjective:
    """The objective at one scale, content and styles resized to it: see ``objective_of``."""
    sizes = [style_size(style, i, scale, settings) for i, style in enumerate(styles)]
    return objective_of(
        network,
        resized(content, scale.height, scale.width, settings.resampling),
        [resized(s, *size, settings.resampling) for s, size in zip(styles, sizes, strict=True)],
        settings,
        more_layers,
        regions,
        scale.photorealism,
        way=way,
        pause=pause,
    )


def objective_of(
    network: vgg.VGG19,
    content: Image,
    styles: Sequence[Image],
    settings: Settings,
    more_layers: Layers = NO_LAYERS,
    regions: Regions | None = None,
    photorealism: float | None = None,
    local_colors: LocalColors | None = None,
    way: Strategy = WHOLE,
    pause: Callable[[], None] = lambda: None,
) -> AnyObjective:
    """The objective for pictures of the right sizes.

    ``more_layers`` are measured too, and weigh nothing where the settings do not name them.
    ``photorealism`` is the weight in force, the last one of the settings if None; ``local_colors``
    are the content's unless others are given (not in tiles). ``pause``: see ``TiledObjective``.
    """
    content_layers, style_layers = more_layers
    style_weights = dict.fromkeys(style_layers, 0.0) | settings.style_weights()
    guides = None
    if regions:
        sides = content.shape[:2], [style.shape[:2] for style in styles]
        guides = guides_of(regions, network, *sides, list(style_weights), settings.guidance)
    if photorealism is None:
        photorealism = settings.photorealism_weight[-1]
    spec = LossSpec(
        content_weights=dict.fromkeys(content_layers, 0.0) | settings.content_weights(),
        style_weights=style_weights,
        tv_weight=settings.tv_weight,
        style_blend=settings.style_blend,
        sum_styles=settings.sum_styles,
        content_loss=settings.content_loss,
        style_loss=settings.style_loss,
        tv_loss=settings.tv_loss,
        white=settings.white,
        normalize_gradients=settings.normalize_gradients,
        photorealism_weight=photorealism,
    )
    if way.tile:
        if way.on_host:
            content, *styles = jax.device_put([content, *styles], storage_device(way))
        photo = settings.photorealistic
        return build_tiled(network, content, styles, way.tile, spec, guides, photo, pause)
    if settings.photorealistic and local_colors is None:
        local_colors = matting.target(content)
    more: dict[str, Any] = {"guides": guides, "local_colors": local_colors}
    if way.split:
        mesh = mesh_of_all()
        photo = sharding.filled(content, mesh)
        paintings = [sharding.filled(style, mesh) for style in styles]
        # The compiler can split its own convolutions, and no other algorithm's.
        plain = sharding.everywhere(network.direct(), mesh)
        return sharding.spread(objective.build(plain, photo, paintings, spec, **more), mesh)
    network = network.with_checkpoints() if way.checkpointed else network
    first, *others = jax.device_put([content, *styles])
    return objective.build(network, first, others, spec, **more)


def mesh_of_all() -> Mesh:
    """All devices, for a picture to be split over."""
    return sharding.mesh_of(jax.devices())


def program_of(
    scored: AnyObjective,
    rates: solve.Hyperparameters,
    state: solve.State,
    optimizer: optax.GradientTransformation,
) -> Program | TiledProgram:
    """The compiled step of an objective."""
    if isinstance(scored, TiledObjective):
        return tiled_program(scored, optimizer)
    if state.sides:
        return sharding.compile_split(scored, rates, state, optimizer, mesh_of_all())
    return solve.compile_program(scored, rates, state, optimizer)
