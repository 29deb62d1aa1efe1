"""Many pictures of one shape in one program: the step mapped over them, with one shared network.

Each picture has its own loss weights, targets, hyperparameters and state. ``jax.vmap`` maps the
step over them, and ``jax.sharding`` shards the pictures over the devices. The network is replicated
on every device, so that the devices need no communication.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PyTree

from jaxstyle.execution.inputs import LossInputs
from jaxstyle.execution.plan import Scale
from jaxstyle.execution.strategy import Strategy, do_not_pause
from jaxstyle.losses.objective import Objective
from jaxstyle.machine.programs import jit
from jaxstyle.optim import optimizers, solve
from jaxstyle.optim.solve import Hyperparameters, Losses, Reached, State
from jaxstyle.optim.step import step

PICTURES = "pictures"
"""Name of the only axis of the device mesh."""

Image = Float[np.ndarray, "_ _ 3"]


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Return a one-dimensional mesh of the devices, to shard pictures over."""
    return Mesh(np.array(devices), (PICTURES,))


@dataclass(frozen=True)
class Batched(Strategy):
    """Several pictures in one program.

    Attributes:
      count: number of pictures.
      mesh: devices that the pictures are sharded over, None for the default device.
    """

    count: int = 1
    mesh: Mesh | None = None

    def __str__(self) -> str:
        return f"{self.count} at once"

    def objective(
        self, inputs: Sequence[LossInputs], pause: Callable[[], None] = do_not_pause
    ) -> Objective | list[Objective]:
        """Build the objectives of all pictures, stacked: see ``stacked_objective``.

        Those whose targets are yet to be found are in a list, to be stacked by ``begun``.
        """
        each = [Strategy().objective([one], pause) for one in inputs]
        return each if each[0].waits else stacked_objective(each, self.mesh)

    def begun(self, objective: Any, images: Sequence[Image]) -> Objective:
        """Return the objective of a scale that begins with images, one for each picture."""
        if not isinstance(objective, list):
            return objective
        pairs = zip(objective, images, strict=True)
        return stacked_objective(
            [Strategy().begun(one, [image]) for one, image in pairs], self.mesh
        )

    def begun_shape(self, objective: Any, scale: Scale) -> Any:
        """Return the objective that ``begun`` will return, with shapes in place of new arrays."""
        if not isinstance(objective, list):
            return objective
        one, sharding = super().begun_shape(objective[0], scale), self._sharding

        def all_of(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((self.count, *x.shape), x.dtype, sharding=sharding)

        shared = _placed(replace(objective[0], terms={}), self.mesh, PartitionSpec())
        return replace(shared, terms=jax.tree.map(all_of, one.terms))

    def step(
        self,
        objective: Objective,
        rates: Hyperparameters,
        state: State,
        optimizer: optax.GradientTransformation,
    ) -> tuple[State, Losses]:
        """Take one step of every picture."""

        def one(terms: PyTree, rates: Hyperparameters, state: State) -> tuple[State, Losses]:
            own = replace(objective, terms=terms).at(state.step)
            return step(own, rates, state, optimizer=optimizer)

        return self._kept_sharded(jax.vmap(one)(objective.terms, rates, state))

    def init_optimizer_state(
        self, image: Float[Array, "n h w 3"], optimizer: optax.GradientTransformation
    ) -> PyTree:
        """Return the optimizer's initial state of every picture."""
        return _init(image, self, optimizer).optimizer

    def begin(self, images: Sequence[Image], optimizer: optax.GradientTransformation) -> State:
        """Return the solver states before the first step, stacked."""
        return _init(sharded(np.stack(images), self.mesh), self, optimizer)

    def carried(self, before: State, fresh: State, earlier: Scale, scale: Scale) -> State:
        """Return fresh states with the optimizer's moments resized from the scale before."""
        del earlier, scale

        def one(before: State, fresh: State) -> State:
            moments = optimizers.resize_moments(before.optimizer, fresh.optimizer)
            return replace(fresh, optimizer=moments)

        return sharded(jax.vmap(one)(before, fresh), self.mesh)

    def state_shape(self, scale: Scale, optimizer: optax.GradientTransformation) -> State:
        """Return the shapes, dtypes and shardings of the states at a scale."""
        images = jax.ShapeDtypeStruct((self.count, scale.height, scale.width, 3), jnp.float32)
        shapes = jax.eval_shape(lambda images: _init(images, Batched(), optimizer), images)
        sharding = self._sharding

        def placed(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

        return jax.tree.map(placed, shapes)

    @property
    def _sharding(self) -> NamedSharding | None:
        """The sharding of arrays with a leading axis of pictures; None for the default device."""
        return None if self.mesh is None else NamedSharding(self.mesh, PartitionSpec(PICTURES))

    def restored(self, saved: Reached, scale: Scale) -> Reached:
        """Return what a checkpoint holds, sharded over the devices."""
        del scale
        rates, state = sharded((saved.rates, saved.state), self.mesh)
        return replace(saved, rates=rates, state=state)

    def rates(self, each: Sequence[Hyperparameters]) -> Hyperparameters:
        """Return the hyperparameters of all pictures, stacked."""
        return sharded(stacked(list(each)), self.mesh)

    def report_every(self, steps: int) -> int:
        """Return the number of steps between two reports.

        A batch's step takes longer: it reports after fewer, to notice signals as quickly.
        """
        return max(1, steps * (self.mesh.size if self.mesh else 1) // self.count)

    def images(self, state: State, scale: Scale, best: Sequence[bool]) -> list[Image]:
        """Return the resulting images on the host."""
        del scale
        average, least = (np.asarray(solve.result(state, of_least)) for of_least in (False, True))
        return [least[i] if of_least else average[i] for i, of_least in enumerate(best)]

    def _kept_sharded(self, tree: PyTree) -> PyTree:
        """Constrain arrays, inside ``jit``, to stay sharded by picture."""
        if self.mesh is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, self._sharding)


@jit(static_argnames=("layout", "optimizer"))
def _init(
    images: Float[Array, "n h w 3"], layout: Batched, optimizer: optax.GradientTransformation
) -> State:
    """Return the initial state of every image, each leaf in a buffer of its own."""
    return layout._kept_sharded(jax.vmap(partial(solve.init, optimizer=optimizer))(images))


def sharded(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Shard arrays over a mesh along their leading axis, the pictures."""
    return _placed(tree, mesh, PartitionSpec(PICTURES))


def _placed(tree: PyTree, mesh: Mesh | None, axes: PartitionSpec) -> PyTree:
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, axes))


@jit()
def stacked(trees: Sequence[PyTree]) -> PyTree:
    """Stack trees of one structure along a new leading axis of each leaf."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def stacked_objective(objectives: Sequence[Objective], mesh: Mesh | None = None) -> Objective:
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
    shared = _placed(replace(objectives[0], terms={}), mesh, PartitionSpec())
    return replace(shared, terms=sharded(on_host, mesh))
