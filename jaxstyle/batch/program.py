"""The optimizer step of a batch: ``step`` mapped over the pictures, with one shared network.

Each picture has its own loss weights, targets, hyperparameters and state. ``jax.vmap`` maps the
step over them, and ``jax.sharding`` shards the pictures over the devices. The network is replicated
on every device, so that the devices need no communication.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PyTree

from jaxstyle.losses.objective import Objective
from jaxstyle.optim import optimizers, solve
from jaxstyle.optim.program import Kind, Program, compiled_once, split_donated, traced_as
from jaxstyle.optim.step import Hyperparameters, Losses, State, step

PICTURES = "pictures"
"""Name of the only axis of the device mesh."""


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Return a one-dimensional mesh of the devices, to shard pictures over."""
    return Mesh(np.array(devices), (PICTURES,))


def spread(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Shard arrays over a mesh along their leading axis, the pictures."""
    return _placed(tree, mesh, PartitionSpec(PICTURES))


def everywhere(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Replicate arrays on all devices of a mesh."""
    return _placed(tree, mesh, PartitionSpec())


def _placed(tree: PyTree, mesh: Mesh | None, axes: PartitionSpec) -> PyTree:
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, axes))


@jax.jit
def stacked(trees: Sequence[PyTree]) -> PyTree:
    """Stack trees of one structure along a new leading axis of each leaf."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def together(objectives: Sequence[Objective], mesh: Mesh | None = None) -> Objective:
    """Stack objectives that share a network.

    Args:
      objectives: one objective for each picture.
      mesh: devices to shard over; the terms are sharded and the network is replicated.

    Returns:
      An objective whose terms have a leading axis of pictures, and whose network has none.
    """
    terms = [each.terms for each in objectives]
    if mesh is None:
        return replace(objectives[0], terms=stacked(terms))
    # Through the host, so that no device has to hold the targets of all pictures.
    on_host = jax.tree.map(lambda *leaves: np.stack(jax.device_get(leaves)), *terms)
    return replace(everywhere(replace(objectives[0], terms={}), mesh), terms=spread(on_host, mesh))


def init(
    images: Float[Array, "n h w 3"] | Float[np.ndarray, "n h w 3"],
    optimizer: optax.GradientTransformation,
    mesh: Mesh | None = None,
) -> State:
    """Return the initial state of every image, stacked; each leaf has its own buffer."""
    return _init(spread(images, mesh), optimizer=optimizer, mesh=mesh)


@partial(jax.jit, static_argnames=("optimizer", "mesh"))
def _init(images: Array, optimizer: optax.GradientTransformation, mesh: Mesh | None) -> State:
    return _kept_spread(jax.vmap(partial(solve.init, optimizer=optimizer))(images), mesh)


def state_shape(
    count: int,
    height: int,
    width: int,
    optimizer: optax.GradientTransformation,
    mesh: Mesh | None = None,
) -> State:
    """Return the shapes, dtypes and shardings of ``init``'s result, without computing it.

    Args:
      count: number of images.
      height: height of each image in pixels.
      width: width of each image in pixels.
      optimizer: the optimizer.
      mesh: devices that the images are sharded over.
    """
    images = jax.ShapeDtypeStruct((count, height, width, 3), jnp.float32)
    shapes = jax.eval_shape(partial(_init, optimizer=optimizer, mesh=None), images)
    sharding = None if mesh is None else NamedSharding(mesh, PartitionSpec(PICTURES))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)


def carry(before: PyTree, fresh: PyTree, height: int, width: int, mesh: Mesh | None) -> PyTree:
    """Carry the optimizer state of every image over to a new scale, with ``optimizers.carry``.

    Args:
      before: stacked optimizer states at the previous scale.
      fresh: stacked initial optimizer states at the new scale.
      height: height of the new scale in pixels.
      width: width of the new scale in pixels.
      mesh: devices that the images are sharded over.
    """
    each = jax.vmap(partial(optimizers.carry, height=height, width=width))
    return spread(each(before, fresh), mesh)


def _kept_spread(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Constrain arrays, inside ``jit``, to stay sharded by picture."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec(PICTURES)))


def batch_step(
    objective: Objective,
    rates: Hyperparameters,
    memory: PyTree,
    pictures: State,
    *,
    optimizer: optax.GradientTransformation,
    mesh: Mesh | None = None,
) -> tuple[State, Losses]:
    """Take one step of every picture.

    Args:
      objective: stacked objective, see ``together``.
      rates: stacked hyperparameters.
      memory: stacked optimizer states; the only argument that ``compile_batch`` donates.
      pictures: stacked states without their optimizer states.
      optimizer: the optimizer.
      mesh: devices that the pictures are sharded over.
    """

    def one(terms: PyTree, rates: Hyperparameters, state: State) -> tuple[State, Losses]:
        return step(replace(objective, terms=terms), rates, state, optimizer=optimizer)

    states = replace(pictures, optimizer=memory)
    return _kept_spread(jax.vmap(one)(objective.terms, rates, states), mesh)


def batch_loop(
    objective: Objective,
    rates: Hyperparameters,
    memory: PyTree,
    pictures: State,
    count: Array,
    *,
    optimizer: optax.GradientTransformation,
    mesh: Mesh | None = None,
) -> tuple[State, Losses]:
    """Take ``count`` steps of every picture, at least one; ``count`` is traced.

    Returns:
      The states, and the losses before the last step.
    """
    one = partial(batch_step, objective, rates, optimizer=optimizer, mesh=mesh)

    def again(_: Array, before: tuple[State, Losses]) -> tuple[State, Losses]:
        return one(*split_donated(before[0]))

    return jax.lax.fori_loop(1, count, again, one(memory, pictures))


PROGRAMS = ("batch_step", "batch_loop")
"""Names of the compiled programs, to count them with ``jaxstyle.execution.compilation``."""


def compile_batch(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformation,
    mesh: Mesh | None = None,
) -> Program:
    """Compile the step of a batch for the shapes of its arguments, once in a process.

    Args:
      objective: stacked objective, see ``together``.
      rates: stacked hyperparameters.
      state: stacked states; arrays may be ``jax.ShapeDtypeStruct``.
      optimizer: the optimizer.
      mesh: devices that the pictures are sharded over.

    Returns:
      The compiled step; it donates ``state.optimizer``.
    """
    return compiled_once(_MANY, objective, rates, state, optimizer, mesh=mesh)


def traced(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformation,
    mesh: Mesh | None = None,
    *,
    loop: bool,
) -> jax.stages.Traced:
    """Trace the step of a batch, without lowering or compiling it.

    Args:
      objective: stacked objective, see ``together``.
      rates: stacked hyperparameters.
      state: stacked states.
      optimizer: the optimizer.
      mesh: devices that the pictures are sharded over.
      loop: trace ``batch_loop`` instead of ``batch_step``.
    """
    return traced_as(_MANY, objective, rates, state, optimizer, loop=loop, mesh=mesh)


_MANY = Kind(
    jax.jit(batch_step, static_argnames=("optimizer", "mesh"), donate_argnames="memory"),
    jax.jit(batch_loop, static_argnames=("optimizer", "mesh"), donate_argnames="memory"),
)
