"""One picture over several devices: each has some of its rows, and XLA's partitioner does the rest.

The step is that of one device. Only its arguments are placed: arrays that have the picture's rows
are split along these, all else is everywhere. The compiler has neighbors exchange the rows that a
convolution reads beyond a device's own, and adds up Gram matrices over all. (Split by columns too,
whole maps would be gathered: a matrix of all positions has them row after row.)

Arguments can only be split evenly. A picture that cannot be is filled up with rows that the
objective does not see (``State.sides``), and so are its targets (``Uneven``).
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
"""The axis of the mesh of devices."""

Image = Float[Array | np.ndarray, "_ _ 3"]


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """The devices, one below the other."""
    return Mesh(np.array(devices), (ROWS,))


def filled(image: Image, mesh: Mesh) -> Filled:
    """A picture split over the devices, filled up with zeros as far as that needs."""
    height, width, _ = image.shape
    whole = np.pad(np.asarray(image), [(0, -height % mesh.size), (0, 0), (0, 0)])
    return Filled(jax.device_put(whole, _placement(whole, mesh, 0)), (height, width))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Uneven:
    """An array of ``rows`` along an axis, filled up with zeros so that it can be split evenly."""

    values: Any
    rows: int = field(metadata={"static": True})
    axis: int = field(metadata={"static": True})

    def own(self) -> Array:
        """Within a program: the array without what it was filled up with."""
        return jax.lax.slice_in_dim(self.values, 0, self.rows, axis=self.axis % self.values.ndim)


def spread(objective: Objective, mesh: Mesh) -> Objective:
    """An objective with the network on every device, and split what is of the picture's maps, some
    of it filled up: see ``unfilled``."""
    terms = {name: _spread_term(term, mesh) for name, term in objective.terms.items()}
    return replace(everywhere(replace(objective, terms={}), mesh), terms=terms)


def _spread_term(term: Term, mesh: Mesh) -> Term:
    """Targets of the content have rows first, of a photo last but one, of styles not at all."""
    axis = {"content": 0, "photo": -2}.get(LOSSES[term.loss].kind)
    targets = everywhere(term.targets, mesh) if axis is None else _split(term.targets, mesh, axis)
    guide = None if term.guide is None else _split(term.guide, mesh, 0)
    bare = everywhere(replace(term, targets=(), guide=None), mesh)
    return replace(bare, targets=targets, guide=guide)


def everywhere(tree: PyTree, mesh: Mesh) -> PyTree:
    """Arrays that every device has."""
    return jax.tree.map(lambda x: _put(x, NamedSharding(mesh, PartitionSpec())), tree)


def unfilled(objective: Objective) -> Objective:
    """Within a program: an objective that was spread, its targets without what fills them up."""

    def own(x: Any) -> Array:
        return x.own() if isinstance(x, Uneven) else x

    return jax.tree.map(own, objective, is_leaf=lambda x: isinstance(x, Uneven))


def _split(tree: PyTree, mesh: Mesh, axis: int) -> PyTree:
    return jax.tree.map(lambda x: _split_array(x, mesh, axis), tree)


def _split_array(x: Any, mesh: Mesh, axis: int) -> Any:
    """An array (or its shape) split along an axis: an ``Uneven`` where that needs filling."""
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
        whole = jax.jit(fill, out_shardings=sharding)(x)  # of several hosts, none has all of it
    else:
        whole = jax.device_put(np.pad(np.asarray(x), around), sharding)
    return Uneven(whole, rows, axis)


def _put(x: Any, sharding: NamedSharding) -> Any:
    """An array, or the shape of one, in its place."""
    if isinstance(x, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
    return jax.device_put(x, sharding)


def _placement(x: Any, mesh: Mesh, axis: int) -> NamedSharding:
    """Split along an axis."""
    names: list[str | None] = [None] * x.ndim
    names[axis] = ROWS
    return NamedSharding(mesh, PartitionSpec(*names))


def init(image: Image, optimizer: optax.GradientTransformation, mesh: Mesh) -> State:
    """The state before the first step, split over the devices."""
    start = filled(image, mesh)
    begin = partial(solve.init, optimizer=optimizer)
    shardings = _shardings(jax.eval_shape(begin, start.values), mesh)
    state = jax.jit(begin, out_shardings=shardings)(start.values)
    return replace(state, sides=start.sides)


def placed(state: State, sides: tuple[int, int], mesh: Mesh) -> State:
    """A state from wherever its arrays are, split over the devices; it may have been split over
    another number of them."""
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
    """``optimizers.carry``, from a state that is split to one of another scale."""
    assert before.sides and fresh.sides

    def without(x: Array) -> Array:
        return cropped(x, before.sides) if x.shape == before.image.shape else x

    def resized(old: PyTree, new: PyTree) -> PyTree:
        small = jax.tree.map(without, old)
        moments = optimizers.carry(small, new, *(fresh.sides or ()))
        return jax.tree.map(lambda x, like: _enlarged(x, like.shape), moments, new)

    shardings = _shardings(fresh, mesh).optimizer
    memory = jax.jit(resized, out_shardings=shardings)(before.optimizer, fresh.optimizer)
    return replace(fresh, optimizer=memory)


def _enlarged(x: Array, shape: tuple[int, ...]) -> Array:
    """Filled up with zeros to a shape."""
    if x.shape == shape:
        return x
    return jnp.pad(x, [(0, large - small) for small, large in zip(x.shape, shape, strict=True)])


def state_shape(
    height: int, width: int, optimizer: optax.GradientTransformation, mesh: Mesh
) -> State:
    """What ``init`` gives, without its values."""
    image = jax.ShapeDtypeStruct((height + -height % mesh.size, width, 3), jnp.float32)
    shapes = jax.eval_shape(partial(solve.init, optimizer=optimizer), image)
    return placed(shapes, (height, width), mesh)


def _shardings(state: State, mesh: Mesh) -> PyTree:
    """Of a state: everything that has the image's shape in its last axes is split as the image."""
    shape = state.image.shape

    def of(x: Any) -> NamedSharding:
        if x.shape[-3:] == shape:
            return _placement(x, mesh, -3)
        return NamedSharding(mesh, PartitionSpec())

    return jax.tree.map(of, state)


def _kept_split(found: tuple[State, Losses], mesh: Mesh) -> tuple[State, Losses]:
    """Within a program: what is split stays so, for the program to be called again."""
    state, losses = found
    return jax.lax.with_sharding_constraint(state, _shardings(state, mesh)), losses


def space_step(
    objective: Objective, *others: Any, mesh: Mesh, **static: Any
) -> tuple[State, Losses]:
    """``solver_step`` of a picture that is split."""
    return _kept_split(solver_step(unfilled(objective), *others, **static), mesh)


def space_loop(
    objective: Objective, *others: Any, mesh: Mesh, **static: Any
) -> tuple[State, Losses]:
    """``solver_loop`` of a picture that is split."""
    return _kept_split(solver_loop(unfilled(objective), *others, **static), mesh)


_SPLIT = Kind(
    jax.jit(space_step, static_argnames=("optimizer", "mesh"), donate_argnums=2),
    jax.jit(space_loop, static_argnames=("optimizer", "mesh"), donate_argnums=2),
)

PROGRAMS = ("space_step", "space_loop")
"""Names that a compiled program can have: see ``jaxstyle.execution.compilation``."""


def compile_split(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
) -> Program:
    """The step of a split picture, compiled once in a process. Arrays may be `ShapeDtypeStruct`."""
    return compiled_once(_SPLIT, objective, rates, state, optimizer, mesh=mesh)


def traced(
    objective: Objective,
    rates: Hyperparameters,
    state: State,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
) -> jax.stages.Traced:
    """One step before it is lowered and compiled."""
    return traced_as(_SPLIT, objective, rates, state, optimizer, loop=False, mesh=mesh)
