"""Many pictures in one program: the step, mapped over all but the network.

Each picture has its own weights, targets, rates and state: ``jax.vmap`` makes one program of them,
and ``jax.sharding`` spreads the pictures over the devices, each of which has the whole network and
takes its pictures' steps without asking another.
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
"""The axis of the mesh of devices."""


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """The devices in a row, for the pictures to be spread over."""
    return Mesh(np.array(devices), (PICTURES,))


def spread(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Arrays with a leading axis of pictures on the devices of a mesh, each having its share."""
    return _placed(tree, mesh, PartitionSpec(PICTURES))


def everywhere(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Arrays on all devices of a mesh, each having the whole."""
    return _placed(tree, mesh, PartitionSpec())


def _placed(tree: PyTree, mesh: Mesh | None, axes: PartitionSpec) -> PyTree:
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, axes))


@jax.jit
def stacked(trees: Sequence[PyTree]) -> PyTree:
    """Trees of one structure as one, each leaf with a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def together(objectives: Sequence[Objective], mesh: Mesh | None = None) -> Objective:
    """Objectives of one network as one: the terms have a leading axis, the network has none."""
    terms = [each.terms for each in objectives]
    if mesh is None:
        return replace(objectives[0], terms=stacked(terms))
    # By way of the host: no device need hold the targets of all.
    on_host = jax.tree.map(lambda *leaves: np.stack(jax.device_get(leaves)), *terms)
    return replace(everywhere(replace(objectives[0], terms={}), mesh), terms=spread(on_host, mesh))


def init(
    images: Float[Array, "n h w 3"] | Float[np.ndarray, "n h w 3"],
    optimizer: optax.GradientTransformationExtraArgs,
    mesh: Mesh | None = None,
) -> State:
    """``solve.init`` of every image, each leaf in a buffer of its own."""
    return _init(spread(images, mesh), optimizer=optimizer, mesh=mesh)


@partial(jax.jit, static_argnames=("optimizer", "mesh"))
def _init(
    images: Array, optimizer: optax.GradientTransformationExtraArgs, mesh: Mesh | None
) -> State:
    return _kept_spread(jax.vmap(partial(solve.init, optimizer=optimizer))(images), mesh)


def state_shape(
    count: int,
    height: int,
    width: int,
    optimizer: optax.GradientTransformationExtraArgs,
    mesh: Mesh | None = None,
) -> State:
    """What ``init`` gives for so many images, without its values."""
    images = jax.ShapeDtypeStruct((count, height, width, 3), jnp.float32)
    shapes = jax.eval_shape(partial(_init, optimizer=optimizer, mesh=None), images)
    sharding = None if mesh is None else NamedSharding(mesh, PartitionSpec(PICTURES))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)


def carry(before: PyTree, fresh: PyTree, height: int, width: int, mesh: Mesh | None) -> PyTree:
    """``optimizers.carry`` of every image."""
    each = jax.vmap(partial(optimizers.carry, height=height, width=width))
    return spread(each(before, fresh), mesh)


def _kept_spread(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Within a program: what a picture has of its own stays where the picture is."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec(PICTURES)))


def batch_step(
    objective: Objective,
    rates: Hyperparameters,
    memory: PyTree,
    pictures: State,
    *,
    optimizer: optax.GradientTransformationExtraArgs,
    mesh: Mesh | None = None,
) -> tuple[State, Losses]:
    """``step`` of every picture; only the optimizer's memory is donated."""

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
    optimizer: optax.GradientTransformationExtraArgs,
    mesh: Mesh | None = None,
) -> tuple[State, Losses]:
    """As many steps as told, at least one; their number is traced."""
    one = partial(batch_step, objective, rates, optimizer=optimizer, mesh=mesh)

    def again(_: Array, before: tuple[State, Losses]) -> tuple[State, Losses]:
        return one(*split_donated(before[0]))

    return jax.lax.fori_loop(1, count, again, one(memory, pictures))


PROGRAMS = ("batch_step", "batch_loop")
"""Names that a compiled program can have: see ``jaxstyle.execution.compilation``."""


def compile_batch(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformationExtraArgs,
    mesh: Mesh | None = None,
) -> Program:
    """The step of a batch compiled for the shapes at hand, once in a process.

    Arrays may be `jax.ShapeDtypeStruct`. The program donates ``state.optimizer``.
    """
    return compiled_once(_MANY, objective, rates, state, optimizer, mesh=mesh)


def traced(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformationExtraArgs,
    mesh: Mesh | None = None,
    *,
    loop: bool,
) -> jax.stages.Traced:
    """The program before it is lowered and compiled."""
    return traced_as(_MANY, objective, rates, state, optimizer, loop=loop, mesh=mesh)


_MANY = Kind(
    jax.jit(batch_step, static_argnames=("optimizer", "mesh"), donate_argnames="memory"),
    jax.jit(batch_loop, static_argnames=("optimizer", "mesh"), donate_argnames="memory"),
)
