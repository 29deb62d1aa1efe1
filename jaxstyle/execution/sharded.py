"""One picture sharded over several devices by rows, with XLA's SPMD partitioner doing the work.

The step program is that of a single device; only its arguments are sharded. Arrays with the
picture's rows are split along them, all others are replicated. XLA inserts the communication:
neighbors exchange the halo rows that a convolution reads, and Gram matrices are summed over all
devices. (Splitting by columns too would make XLA gather whole maps, since a Gram matrix flattens
the positions of a map row by row.)

XLA splits arguments only evenly. If the rows cannot be split evenly, the picture and its targets
are padded at the bottom (``Padded``); ``ShardedObjective`` cuts the padding off again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PyTree

from jaxstyle.execution.inputs import LossInputs
from jaxstyle.execution.memory import Footprint
from jaxstyle.execution.plan import Scale
from jaxstyle.execution.strategy import Strategy, do_not_pause, losses_of
from jaxstyle.losses import LOSSES, matting
from jaxstyle.losses.objective import Objective, Term
from jaxstyle.losses.targets import Padded, unpadded
from jaxstyle.network.vgg import VGG19
from jaxstyle.optim import optimizers, solve
from jaxstyle.optim.coordinates import MOST_LEVELS, sides_of
from jaxstyle.optim.solve import Hyperparameters, Losses, Reached, State

ROWS = "rows"
"""Name of the only axis of the device mesh."""

Image = Float[Array | np.ndarray, "_ _ 3"]


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Return the one-dimensional mesh of the devices."""
    return Mesh(np.array(devices), (ROWS,))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ShardedObjective:
    """An objective whose arrays, and the image it is given, are padded at the bottom.

    Attributes:
      padded: the objective, with ``Padded`` arrays where rows do not split evenly.
      sides: height and width of the image without padding.
    """

    padded: Objective
    sides: tuple[int, int] = field(metadata={"static": True})

    def __call__(self, image: Image) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Return the total loss and the weighted terms of a padded image."""
        return unpadded(self.padded)(image[: self.sides[0]])


@dataclass(frozen=True)
class Sharded(Strategy):
    """One picture over several devices.

    An optimizer whose update of a pixel depends on others, such as Adafactor, sees the padding too.

    Attributes:
      mesh: the devices; by default all.
    """

    mesh: Mesh = field(default_factory=lambda: mesh_of(jax.devices()))

    def __str__(self) -> str:
        return f"split over {self.mesh.size} devices"

    def network(self, network: VGG19) -> VGG19:
        """Return the network on every device: XLA cannot partition the custom algorithms."""
        return replicated(network.direct(), self.mesh)

    def objective(
        self, inputs: Sequence[LossInputs], pause: Callable[[], None] = do_not_pause
    ) -> ShardedObjective:
        """Build the objective of a scale, its targets and guides sharded, the rest replicated."""
        del pause
        (one,) = inputs
        content, *styles = [filled(image, self.mesh) for image in (one.content, *one.styles)]
        local = matting.target(one.content) if one.photorealistic else None
        height, width, _ = one.content.shape
        return spread(self.build(one, content, styles, local), (height, width), self.mesh)

    def losses(
        self, objective: ShardedObjective, image: Image
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Return the total loss of an image and its weighted terms, without a gradient."""
        return losses_of(objective, filled(image, self.mesh).values)

    def step(
        self,
        objective: ShardedObjective,
        rates: Hyperparameters,
        state: State,
        optimizer: optax.GradientTransformation,
    ) -> tuple[State, Losses]:
        """Take one step, whose new state is sharded as the old one, for the next call."""
        state, losses = super().step(objective, rates, state, optimizer)
        return jax.lax.with_sharding_constraint(state, self._shardings(state)), losses

    def init_optimizer_state(self, image: Image, optimizer: optax.GradientTransformation) -> PyTree:
        """Return the optimizer's initial state, split over the devices."""
        init = partial(solve.init_optimizer_state, optimizer=optimizer)
        shapes = jax.eval_shape(init, image)
        return jax.jit(init, out_shardings=_shardings(shapes, image.shape, self.mesh))(image)

    def begin(self, images: Sequence[Image], optimizer: optax.GradientTransformation) -> State:
        """Return the solver state before the first step, split over the devices."""
        (image,) = images
        start = filled(image, self.mesh).values
        begin = partial(solve.init, optimizer=optimizer)
        shardings = self._shardings(jax.eval_shape(begin, start))
        return jax.jit(begin, out_shardings=shardings)(start)

    def carried(self, before: State, fresh: State, earlier: Scale, scale: Scale) -> State:
        """Return a fresh state with the optimizer's moments resized from the scale before."""

        def resized(old: PyTree, new: PyTree) -> PyTree:
            own = _without_padding(old, before.image.shape, earlier.height)
            shown = _without_padding(new, fresh.image.shape, scale.height)
            moments = optimizers.resize_moments(own, shown)
            return jax.tree.map(lambda x, like: _enlarged(x, like.shape), moments, new)

        shardings = self._shardings(fresh).optimizer
        moments = jax.jit(resized, out_shardings=shardings)(before.optimizer, fresh.optimizer)
        return replace(fresh, optimizer=moments)

    def state_shape(self, scale: Scale, optimizer: optax.GradientTransformation) -> State:
        """Return the shapes and shardings of the state at a scale."""
        shapes = super().state_shape(scale, optimizer)
        return self._split(shapes, scale)

    def restored(self, saved: Reached, scale: Scale) -> Reached:
        """Return what a checkpoint holds, split over the devices."""
        return replace(saved, state=self._split(saved.state, scale))

    def _split(self, state: State, scale: Scale) -> State:
        """Return a state split over the devices.

        Args:
          state: a state anywhere, maybe padded for another number of devices; arrays or shapes.
          scale: its scale.
        """
        image, needed = state.image.shape, _evened(scale.height, self.mesh)

        def fitted(x: Any) -> Any:
            return _refilled(x, _rows(x, image, scale.height), _rows(x, image, needed))

        even = jax.tree.map(fitted, state)
        return jax.tree.map(_put, even, self._shardings(even))

    def _shardings(self, state: State) -> PyTree:
        return _shardings(state, state.image.shape, self.mesh)

    def images(self, state: State, scale: Scale, best: Sequence[bool]) -> list[Image]:
        """Return the resulting image on the host, without padding."""
        shown = solve.result(state, best[0])
        if not shown.is_fully_addressable:  # split over several hosts
            shown = multihost_utils.process_allgather(shown, tiled=True)
        return [np.asarray(shown)[: scale.height]]

    def footprint(self, scale: Scale, network: VGG19, *given: Any, **more: Any) -> Footprint:
        """Predict the memory of each device; the targets are not counted."""
        return replace(super().footprint(scale, network.direct(), *given, **more), targets=0)

    def objective_shape(self, inputs: LossInputs) -> ShardedObjective:
        """Return the sharded objective with shapes instead of arrays."""
        plain = replace(inputs, network=inputs.network.direct())
        return spread(Strategy().objective_shape(plain), inputs.content.shape[:2], self.mesh)

    def _compile_targets(self, inputs: LossInputs) -> list[jax.stages.Compiled]:
        del inputs
        return []

    def _arbitrary(self, scored: ShardedObjective, network: VGG19) -> ShardedObjective:
        ones = jax.tree.map(lambda x: jax.device_put(np.ones(x.shape, x.dtype), x.sharding), scored)
        return replace(ones, padded=replace(ones.padded, network=self.network(network)))


def filled(image: Image, mesh: Mesh) -> Padded:
    """Return a picture split over the devices by rows, padded with zeros to an even split."""
    height = image.shape[0]
    whole = _refilled(np.asarray(image), height, _evened(height, mesh))
    return Padded(jax.device_put(whole, _placement(whole, mesh, 0)), image.shape)


def _evened(rows: int, mesh: Mesh) -> int:
    """Return the number of rows with the padding that lets them be split evenly."""
    return rows + -rows % mesh.size


def _rows(x: Any, image: tuple[int, ...], height: int) -> int:
    """Return the rows that an array would have if the image had ``height`` rows.

    Args:
      x: any array of a state, or its shape.
      image: shape of the state's image.
      height: another number of rows.

    Returns:
      The rows of the image, or of a level of its pyramid; 0 for arrays without rows.
    """
    sides = sides_of(image[0], image[1], MOST_LEVELS)
    if x.shape[-1:] != (3,) or x.shape[-3:-1] not in sides:
        return 0
    for _ in range(sides.index(x.shape[-3:-1])):
        height = height // 2 + 1
    return height


def _without_padding(tree: PyTree, image: tuple[int, ...], height: int) -> PyTree:
    """Return the arrays of an optimizer's state without the padding below the image's rows."""
    return jax.tree.map(lambda x: x[: _rows(x, image, height)] if x.ndim == 3 else x, tree)


def _refilled(x: Any, height: int, needed: int) -> Any:
    """Return an array of pictures, or its shape, with as many rows as needed.

    Args:
      x: rows are the last but two of its axes; padding that it has is cut off first.
      height: number of rows without padding.
      needed: number of rows with padding; 0 for an array without rows, which is left as it is.
    """
    if not needed or x.shape[-3] == needed:
        return x
    if isinstance(x, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct((*x.shape[:-3], needed, *x.shape[-2:]), x.dtype)
    own = np.asarray(x)[..., :height, :, :]
    return np.pad(own, [(0, 0)] * (x.ndim - 3) + [(0, needed - height), (0, 0), (0, 0)])


def _enlarged(x: Array, shape: tuple[int, ...]) -> Array:
    """Pad an array with zeros at the end of each axis, up to a shape."""
    if x.shape == shape:
        return x
    return jnp.pad(x, [(0, large - small) for small, large in zip(x.shape, shape, strict=True)])


def spread(objective: Objective, sides: tuple[int, int], mesh: Mesh) -> ShardedObjective:
    """Return an objective placed on the mesh: targets and guides sharded, the rest replicated."""
    terms = {name: _spread_term(term, mesh) for name, term in objective.terms.items()}
    rest = replicated(replace(objective, terms={}), mesh)
    return ShardedObjective(replace(rest, terms=terms), sides)


def _spread_term(term: Term, mesh: Mesh) -> Term:
    """Place a term on the mesh.

    Rows are the first axis of content targets and of earlier frames, and the last but one of
    photorealism targets; style targets have none.
    """
    axis = {"content": 0, "earlier": 0, "photo": -2}.get(LOSSES[term.loss].kind)
    targets = replicated(term.targets, mesh) if axis is None else _split(term.targets, mesh, axis)
    guide = None if term.guide is None else _split(term.guide, mesh, 0)
    bare = replicated(replace(term, targets=(), guide=None), mesh)
    return replace(bare, targets=targets, guide=guide)


def replicated(tree: PyTree, mesh: Mesh) -> PyTree:
    """Replicate the arrays of a tree on every device."""
    return jax.tree.map(lambda x: _put(x, NamedSharding(mesh, PartitionSpec())), tree)


def _split(tree: PyTree, mesh: Mesh, axis: int) -> PyTree:
    return jax.tree.map(lambda x: _split_array(x, mesh, axis), tree)


def _split_array(x: Any, mesh: Mesh, axis: int) -> Any:
    """Split an array, or its shape, along an axis; return a ``Padded`` if it needs padding."""
    rows = x.shape[axis]
    if rows == _evened(rows, mesh):
        return _put(x, _placement(x, mesh, axis))
    around = [(0, 0)] * x.ndim
    around[axis] = 0, _evened(rows, mesh) - rows
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
    return Padded(whole, x.shape)


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


def _shardings(tree: PyTree, image: tuple[int, ...], mesh: Mesh) -> PyTree:
    """Return the shardings of arrays: those whose last axes have the image's shape are split."""

    def of(x: Any) -> NamedSharding:
        if x.shape[-3:] == image:
            return _placement(x, mesh, -3)
        return NamedSharding(mesh, PartitionSpec())

    return jax.tree.map(of, tree)
