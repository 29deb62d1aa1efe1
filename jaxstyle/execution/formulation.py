"""Builders of the objective, the solver state's shape and the compiled step of one scale."""

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
"""Names of content layers, then names of style layers."""

NO_LAYERS: Layers = ((), ())

AnyObjective = Any
"""An ``Objective``, or a ``TiledObjective`` if the strategy is to work in tiles."""


def state_shape(
    scale: Scale, optimizer: optax.GradientTransformation, way: Strategy = WHOLE
) -> solve.State:
    """Return the shapes of the solver state at a scale."""
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
    """Build the objective of one scale, with content and styles resized to it.

    Args:
      scale: the scale.
      content: content picture at full size.
      styles: style pictures at full size.
      resized: resizing function, such as a cached one.

    The other arguments are those of ``objective_of``.
    """
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
    """Build the objective for pictures that have been resized already.

    Args:
      network: the network.
      content: content picture, of the size of the image.
      styles: style pictures.
      settings: settings of the run.
      more_layers: further layers to measure; unless the settings name them, their weight is zero.
      regions: guidance regions, if any.
      photorealism: photorealism weight; if None, the last one of the settings.
      local_colors: target of the photorealism term; if None, computed from the content. Ignored in
        tiles.
      way: execution strategy.
      pause: called after each tile; may raise to end the run.
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
        # XLA can partition its own convolutions, but not the custom algorithms.
        plain = sharding.everywhere(network.direct(), mesh)
        return sharding.spread(objective.build(plain, photo, paintings, spec, **more), mesh)
    network = network.with_checkpoints() if way.checkpointed else network
    first, *others = jax.device_put([content, *styles])
    return objective.build(network, first, others, spec, **more)


def mesh_of_all() -> Mesh:
    """Return the mesh of all devices, over which a picture is split."""
    return sharding.mesh_of(jax.devices())


def program_of(
    scored: AnyObjective,
    rates: solve.Hyperparameters,
    state: solve.State,
    optimizer: optax.GradientTransformation,
) -> Program | TiledProgram:
    """Compile the optimizer step of an objective, tiled, sharded or plain."""
    if isinstance(scored, TiledObjective):
        return tiled_program(scored, optimizer)
    if state.sides:
        return sharding.compile_split(scored, rates, state, optimizer, mesh_of_all())
    return solve.compile_program(scored, rates, state, optimizer)
