"""One picture sharded over several devices by rows, with XLA's SPMD partitioner doing the work.

The step program is that of a single device; only its arguments are sharded. Arrays with the
picture's rows are split along them, all others are replicated. XLA inserts the communication:
neighbors exchange the halo rows that a convolution reads, and Gram matrices are summed over all
devices. (Splitting by columns too would make XLA gather whole maps, since a Gram matrix flattens
the positions of a map row by row.)

XLA splits arguments only evenly. If the rows cannot be split evenly, the picture is padded at the
bottom with rows that the objective crops away (``State.sides``), and so are its targets
(``Uneven``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PyTree

from jaxstyle.losses import LOSSES
from jaxstyle.losses.objective import Objective, Term
from jaxstyle.losses.targets import Filled, cropped
from jaxstyle.optim import optimizers, solve
from jaxstyle.optim.program import Kind, Program, compiled_once, solver_loop, solver_step, traced_as
from jaxstyle.optim.step import Hyperparameters, Losses, State

ROWS = "rows"
"""Name of the only axis of the device mesh."""

Image = Float[Array | np.ndarray, "_ _ 3"]


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Return the one-dimensional mesh of the devices."""
    return Mesh(np.array(devices), (ROWS,))


def filled(image: Image, mesh: Mesh) -> Filled:
    """Return a picture split over the devices by rows, padded with zeros to an even split."""
    height, width, _ = image.shape
    whole = np.pad(np.asarray(image), [(0, -height % mesh.size), (0, 0), (0, 0)])
    return Filled(jax.device_put(whole, _placement(whole, mesh, 0)), (height, width))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Uneven:
    """An array padded with zeros along one axis, so that it can be split evenly.

    Attributes:
      values: the padded array.
      rows: length of the axis without padding.
      axis: the axis, counted as in NumPy.
    """

    values: Any
    rows: int = field(metadata={"static": True})
    axis: int = field(metadata={"static": True})

    def own(self) -> Array:
        """Return the array without its padding. To be called while tracing."""
        return jax.lax.slice_in_dim(self.values, 0, self.rows, axis=self.axis % self.values.ndim)


def spread(objective: Objective, mesh: Mesh) -> Objective:
    """Return an objective placed on the mesh: targets and guides sharded, the rest replicated.

    Arrays that do not split evenly become ``Uneven``; ``unfilled`` removes their padding again.
    """
    terms = {name: _spread_term(term, mesh) for name, term in objective.terms.items()}
    return replace(everywhere(replace(objective, terms={}), mesh), terms=terms)


def _spread_term(term: Term, mesh: Mesh) -> Term:
    """Place a term on the mesh.

    Rows are the first axis of content targets and the last but one of photorealism targets; style
    targets have none.
    """
    axis = {"content": 0, "photo": -2}.get(LOSSES[term.loss].kind)
    targets = everywhere(term.targets, mesh) if axis is None else _split(term.targets, mesh, axis)
    guide = None if term.guide is None else _split(term.guide, mesh, 0)
    bare = everywhere(replace(term, targets=(), guide=None), mesh)
    return replace(bare, targets=targets, guide=guide)


def everywhere(tree: PyTree, mesh: Mesh) -> PyTree:
    """Replicate the arrays of a tree on every device."""
    return jax.tree.map(lambda x: _put(x, NamedSharding(mesh, PartitionSpec())), tree)


def unfilled(objective: Objective) -> Objective:
    """Return a ``spread`` objective without padding in its targets. To be called while tracing."""

    def own(x: Any) -> Array:
        return x.own() if isinstance(x, Uneven) else x

    return jax.tree.map(own, objective, is_leaf=lambda x: isinstance(x, Uneven))


def _split(tree: PyTree, mesh: Mesh, axis: int) -> PyTree:
    return jax.tree.map(lambda x: _split_array(x, mesh, axis), tree)


def _split_array(x: Any, mesh: Mesh, axis: int) -> Any:
    """Split an array, or its shape, along an axis; return an ``Uneven`` if it needs padding."""
    rows = x.shape[axis]
    if rows % mesh.size == 0:
        return _put(x, _placement(x, mesh, axis))
    around = [(0, 0)] * x.ndim
    around[axis] = 0, -rows % mesh.size
    fill = partial(jnp.pad, pad_width=around)
    shape = jax.eval_shape(fill, x)
    sharding = _placement(shape, mesh, axis)
    if isinstance(x, jax.ShapeDtypeStruct):
        whole = _put(shape, sharding)
    elif isinstance(x, jax.Array) and len(x.sharding.device_set) == mesh.size:
        # Pad on the devices: with several hosts, none holds the whole array.
        whole = jax.jit(fill, out_shardings=sharding)(x)
    else:
        whole = jax.device_put(np.pad(np.asarray(x), around), sharding)
    return Uneven(whole, rows, axis)


def _put(x: Any, sharding: NamedSharding) -> Any:
    """Return an array, or the shape of one, with the given sharding."""
    if isinstance(x, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
    return jax.device_put(x, sharding)


def _placement(x: Any, mesh: Mesh, axis: int) -> NamedSharding:
    """Return the sharding of an array that is split along one axis."""
    names: list[str | None] = [None] * x.ndim
    names[axis] = ROWS
    return NamedSharding(mesh, PartitionSpec(*names))


def init(image: Image, optimizer: optax.GradientTransformation, mesh: Mesh) -> State:
    """Return the solver state before the first step, split over the devices."""
    start = filled(image, mesh)
    begin = partial(solve.init, optimizer=optimizer)
    shardings = _shardings(jax.eval_shape(begin, start.values), mesh)
    state = jax.jit(begin, out_shardings=shardings)(start.values)
    return replace(state, sides=start.sides)


def placed(state: State, sides: tuple[int, int], mesh: Mesh) -> State:
    """Return a solver state split over the devices of the mesh.

    Args:
      state: a state anywhere, maybe split and padded for another number of devices; arrays or
        shapes.
      sides: height and width of the image without padding.
      mesh: the devices.
    """
    rows = state.image.shape[-3]
    needed = sides[0] + -sides[0] % mesh.size

    def fitted(x: Any) -> Any:
        if x.shape[-3:] != state.image.shape or rows == needed:
            return x
        whole = np.asarray(x)[..., : sides[0], :, :]
        return np.pad(whole, [(0, 0)] * (x.ndim - 3) + [(0, needed - sides[0]), (0, 0), (0, 0)])

    even = jax.tree.map(fitted, state)
    return replace(jax.tree.map(_put, even, _shardings(even, mesh)), sides=sides)


def carry(before: State, fresh: State, mesh: Mesh) -> State:
    """Apply ``optimizers.carry`` to split states: resize the moments of one scale to the next.

    Args:
      before: final state of the previous scale.
      fresh: initial state of the next scale.
      mesh: the devices of both.

    Returns:
      ``fresh`` with the resized optimizer state.
    """
    assert before.sides and fresh.sides

    def unpadded(x: Array) -> Array:
        return cropped(x, before.sides) if x.shape == before.image.shape else x

    def resized(old: PyTree, new: PyTree) -> PyTree:
        small = jax.tree.map(unpadded, old)
        moments = optimizers.carry(small, new, *(fresh.sides or ()))
        return jax.tree.map(lambda x, like: _enlarged(x, like.shape), moments, new)

    shardings = _shardings(fresh, mesh).optimizer
    memory = jax.jit(resized, out_shardings=shardings)(before.optimizer, fresh.optimizer)
    return replace(fresh, optimizer=memory)


def _enlarged(x: Array, shape: tuple[int, ...]) -> Array:
    """Pad an array with zeros at the end of each axis, up to a shape."""
    if x.shape == shape:
        return x
    return jnp.pad(x, [(0, large - small) for small, large in zip(x.shape, shape, strict=True)])


def state_shape(
    height: int, width: int, optimizer: optax.GradientTransformation, mesh: Mesh
) -> State:
    """Return the shapes and shardings of the state that ``init`` returns."""
    image = jax.ShapeDtypeStruct((height + -height % mesh.size, width, 3), jnp.float32)
    shapes = jax.eval_shape(partial(solve.init, optimizer=optimizer), image)
    return placed(shapes, (height, width), mesh)


def _shardings(state: State, mesh: Mesh) -> PyTree:
    """Return the shardings of a state: arrays whose last axes have the image's shape are split."""
    shape = state.image.shape

    def of(x: Any) -> NamedSharding:
        if x.shape[-3:] == shape:
            return _placement(x, mesh, -3)
        return NamedSharding(mesh, PartitionSpec())

    return jax.tree.map(of, state)


def _kept_split(found: tuple[State, Losses], mesh: Mesh) -> tuple[State, Losses]:
    """Constrain the new state to the shardings of the old one, for the next call of the program."""
    state, losses = found
    return jax.lax.with_sharding_constraint(state, _shardings(state, mesh)), losses


def space_step(
    objective: Objective, *others: Any, mesh: Mesh, **static: Any
) -> tuple[State, Losses]:
    """Run ``solver_step`` on a split picture."""
    return _kept_split(solver_step(unfilled(objective), *others, **static), mesh)


def space_loop(
    objective: Objective, *others: Any, mesh: Mesh, **static: Any
) -> tuple[State, Losses]:
    """Run ``solver_loop`` on a split picture."""
    return _kept_split(solver_loop(unfilled(objective), *others, **static), mesh)


_SPLIT = Kind(
    jax.jit(space_step, static_argnames=("optimizer", "mesh"), donate_argnums=2),
    jax.jit(space_loop, static_argnames=("optimizer", "mesh"), donate_argnums=2),
)

PROGRAMS = ("space_step", "space_loop")
"""Names under which ``jaxstyle.execution.compilation`` counts these programs."""


def compile_split(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
) -> Program:
    """Compile the step of a split picture, once a process.

    Arrays may be given as `jax.ShapeDtypeStruct`.
    """
    return compiled_once(_SPLIT, objective, rates, state, optimizer, mesh=mesh)


def traced(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
) -> jax.stages.Traced:
    """Return the traced step of a split picture, not yet lowered or compiled."""
    return traced_as(_SPLIT, objective, rates, state, optimizer, loop=False, mesh=mesh)
