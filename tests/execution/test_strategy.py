"""Every strategy takes the same steps, with the programs that were compiled from shapes."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxstyle.execution.batched import Batched, mesh_of
from jaxstyle.execution.compilation import counted
from jaxstyle.execution.plan import Scale
from jaxstyle.execution.sharded import Sharded
from jaxstyle.execution.strategy import WHOLE, Checkpointed, Strategy
from jaxstyle.execution.tiles import passes
from jaxstyle.execution.tiles.tiled import Tiled
from jaxstyle.optim import solve
from jaxstyle.runs.stylize import stylize
from jaxstyle.settings import resolve
from tests.networks import small_network

OF_ONE = [WHOLE, Checkpointed(), Sharded(), Tiled(32)]
BATCHES = [Batched(2), Batched(2, mesh_of(jax.devices()))]
each_strategy = pytest.mark.parametrize("strategy", OF_ONE + BATCHES, ids=str)
each_of_one = pytest.mark.parametrize("strategy", OF_ONE, ids=str)


def test_strategies_have_names():
    names = {
        WHOLE: "whole",
        Checkpointed(): "checkpointed",
        Tiled(512): "tiles of 512",
        Tiled(512, on_host=True): "tiles of 512, on the host",
        Sharded(): "split over 1 devices",
        Batched(3): "3 at once",
    }
    assert {strategy: str(strategy) for strategy in names} == names


def test_only_checkpointed_recomputes_the_blocks_of_the_network(network):
    assert Checkpointed().network(network).checkpointed
    assert not WHOLE.network(network).checkpointed


def test_reports_are_as_frequent_as_steps_are_long():
    frequent = [(WHOLE, 50), (Tiled(64), 1), (Batched(8), 6), (BATCHES[1], 25), (Batched(99), 1)]
    assert [(strategy, strategy.report_every(50)) for strategy, _ in frequent] == frequent


@each_strategy
def test_all_states_have_the_shapes_that_are_compiled_for(prepared, strategy):
    made, small = prepared(strategy), Scale(37, 25, 37, 1)
    state, expected = made.begin(), strategy.state_shape(made.scale, made.program.optimizer)
    for each in (
        state,
        made.program.restarted(state),
        restored(made, state),
        strategy.carried(made.begin(small), state, small, made.scale),
    ):
        same = jax.tree.map(lambda x, y: (x.shape, x.dtype) == (y.shape, y.dtype), each, expected)
        assert jax.tree.all(same)


@each_strategy
def test_moments_are_carried_to_the_next_scale_as_for_each_picture_alone(prepared, strategy):
    small, keys = Scale(37, 25, 37, 1), ("mu", "nu")

    def carried(made):
        before, state = made.begin(small), made.begin()
        levels = optax.tree.get(before.optimizer, "mu")
        image = [before.image[..., : x.shape[-3], : x.shape[-2], :] for x in levels]
        known = optax.tree.set(before.optimizer, mu=[x - 0.5 for x in image], nu=image)
        before = replace(before, optimizer=known)
        after = made.strategy.carried(before, state, small, made.scale)
        return [np.asarray(level) for key in keys for level in optax.tree.get(after.optimizer, key)]

    together = carried(made := prepared(strategy))
    for index in range(len(made.starts)):
        alone = carried(prepared(WHOLE, seeds=[index]))
        for every, one in zip(together, alone, strict=True):
            assert np.ptp(one) > 0.1
            own = every.reshape(-1, *one.shape)[index]
            np.testing.assert_allclose(own, one, atol=1e-6)


PHOTO = {"photorealism_weight": 10.0, "precision": "float32"}
CENTERED = {"style_loss": "gram-centered", "optimizer": "lbfgs", "history": 3}
SEARCH = {"optimizer": "lbfgs-zoom"}


@pytest.mark.parametrize(
    ("strategy", "ahead", "settings"),
    [
        *[(strategy, "compile", {}) for strategy in OF_ONE + BATCHES],
        *[(strategy, "footprint", {}) for strategy in OF_ONE],
        *[(strategy, "footprint", PHOTO) for strategy in OF_ONE],
        (Tiled(32), "footprint", CENTERED),
        *[(strategy, "compile", SEARCH) for strategy in (WHOLE, Sharded(), Batched(2))],
    ],
    ids=str,
)
def test_what_is_compiled_from_shapes_is_what_runs(prepared, strategy, ahead, settings):
    made = prepared(strategy, **settings)
    saved, _ = made.steps(1)  # compiles all the rest, such as what cuts out tiles
    states = made.begin(), restored(made, saved)
    for function in (solve.solver_step, passes.tile_sums, passes.tile_gradient):
        function.clear_cache()
    with counted() as compiled:
        getattr(made, ahead)()
    with counted() as running:
        for state in states:
            made.steps(2, state)
    assert (compiled.count, running.count) == (2 if isinstance(strategy, Tiled) else 1, 0)


@each_strategy
def test_retries_after_bad_steps_compile_no_step(prepared, strategy, compiled):
    made = prepared(strategy)
    made.steps(2)
    compiled.clear()
    reached = made.sabotaged(limit=0.016).minimized(4)
    assert [each.step for each in reached] == [1, 2, 3, 4]
    np.testing.assert_allclose(reached[-1].learning_rates, 0.015)
    assert np.isfinite(reached[-1].state.image).all()
    assert not {"solver_step", "solver_update", "tile_sums", "tile_gradient"} & set(compiled)


def loaded(state):
    """The state as it comes from a checkpoint."""
    return jax.tree.map(jnp.array, jax.device_get(state))


def restored(made, state):
    """Return a state as a checkpoint gives it back."""
    saved = solve.Reached(made.rates, loaded(state))
    return made.strategy.restored(saved, made.scale).state


@each_strategy
def test_every_strategy_takes_the_same_steps(prepared, strategy):
    made = prepared(strategy, average=0.5)
    state, losses = made.steps(3)
    for index in range(len(made.starts)):
        alone, expected = prepared(WHOLE, seeds=[index], average=0.5).steps(3)
        np.testing.assert_allclose(np.ravel(losses.total)[index], expected.total, rtol=1e-4)
        for best in (False, True):
            image = strategy.images(state, made.scale, [best] * len(made.starts))[index]
            # Adam's first step is as long for the least gradient, of either sign, as for any other.
            assert np.mean(np.abs(image - solve.result(alone, best))) < 1e-5


@each_strategy
def test_every_strategy_holds_a_frame_to_earlier_ones(prepared, strategy, compiled):
    made = prepared(strategy, temporal_weight=40.0)
    made.compile()
    made.begin()
    compiled.clear()
    state, losses = made.steps(3)
    assert not {"solver_step", "tile_sums", "tile_gradient"} & set(compiled)
    for index in range(len(made.starts)):
        alone, expected = prepared(WHOLE, seeds=[index], temporal_weight=40.0).steps(3)
        for name, value in expected.terms.items():
            own = np.ravel(losses.terms[name])[index]
            np.testing.assert_allclose(own, value, rtol=1e-4, err_msg=name)
        assert expected.terms["temporal"] > 0.1 * expected.total
        image = strategy.images(state, made.scale, [False] * len(made.starts))[index]
        assert np.mean(np.abs(image - solve.result(alone, False))) < 1e-5


JOINT = {"style_loss": "neighbors", "content_loss": "self-similarity"}
TRANSPORT = {"style_loss": "relaxed-transport", "content_weight": 0}
SPLIT = {"style_loss": "neighbors-split", "content_weight": 0}


@pytest.mark.parametrize("losses", [JOINT, TRANSPORT, SPLIT], ids=lambda x: x["style_loss"])
def test_losses_on_several_layers_are_those_of_each_picture_alone(prepared, losses):
    made = prepared(Batched(2), **losses)
    state, together = made.steps(2)
    for index in range(2):
        alone, expected = prepared(WHOLE, seeds=[index], **losses).steps(2)
        np.testing.assert_allclose(together.total[index], expected.total, rtol=1e-4)
        assert np.mean(np.abs(state.image[index] - alone.image)) < 1e-4


@pytest.mark.parametrize("strategy", [WHOLE, *BATCHES], ids=str)
def test_targets_yet_to_be_found_are_compiled_for(prepared, strategy):
    made = prepared(strategy, **JOINT)
    shape = strategy.begun_shape(made.waiting, made.scale)
    compiled, ran = (jax.tree.map(solve.shape_of, x) for x in (shape, made.objective))
    assert jax.tree.flatten(compiled) == jax.tree.flatten(ran)


@each_of_one
def test_losses_without_a_gradient_are_those_of_a_step(prepared, strategy):
    made = prepared(strategy)
    _, measured = made.steps(1)
    total, terms = strategy.losses(made.objective, made.starts[0])
    np.testing.assert_allclose(total, measured.total, rtol=1e-5)
    assert set(terms) == set(measured.terms)
    for name, value in measured.terms.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-4, err_msg=name)


@each_of_one
def test_a_footprint_has_bytes_and_measures_seconds(prepared, strategy):
    found = prepared(strategy).footprint()
    assert found.steps > 75 * 49 * 3 * 4  # an image
    assert (found.targets == 0) == isinstance(strategy, Sharded)
    assert found.seconds > 0 < found.step_seconds()


def test_a_run_multiplies_matrices_as_precisely_as_its_caller(small_weights, picture, monkeypatch):
    used, program, build = [], Strategy.program, Strategy.build

    def noted_program(self, optimizer, precision):
        used.append(precision)
        return program(self, optimizer, precision)

    def noted_build(self, inputs, *pictures):
        used.append(inputs.precision)
        return build(self, inputs, *pictures)

    monkeypatch.setattr(Strategy, "program", noted_program)
    monkeypatch.setattr(Strategy, "build", noted_build)
    options = {"size": 49, "smallest_size": 49, "steps": 1, "content_layers": "relu1_1"}
    pictures = np.asarray(picture(0, 49, 49)), np.asarray(picture(1, 60, 40))
    with jax.default_matmul_precision("highest"):
        stylize(*pictures, weights_file=small_weights, style_layers="relu1_1", **options)
    assert used == ["highest", "highest"]


def test_checkpoints_change_no_feature_and_no_gradient(float64, picture):
    layers, image = ["relu1_1", "conv2_2"], picture(0, 37, 50).astype(jnp.float64)

    def total(network, image):
        return sum(jnp.sum(jnp.sin(x)) for x in network(image, layers).values())

    plain = small_network(jnp.float64, padding="reflect", pooling="average")
    found = []
    for network in (plain, Checkpointed().network(plain)):
        gradient = jax.value_and_grad(partial(total, network))
        kept_less = "prevent_cse" in str(jax.make_jaxpr(gradient)(image))
        assert kept_less == network.checkpointed == (network is not plain)
        found.append(jax.jit(gradient)(image))
    (value, slope), (same_value, same_slope) = found
    np.testing.assert_allclose(same_value, value, rtol=1e-13)
    np.testing.assert_allclose(same_slope, slope, atol=1e-13 * float(jnp.max(jnp.abs(slope))))


def test_strategies_are_ordered_by_their_cost():
    strategies = [WHOLE, Checkpointed(), Tiled(512), Tiled(256), Tiled(128)]
    costs = [strategy.cost(resolve()) for strategy in strategies]
    assert costs == sorted(costs)
    assert costs[0] == 1 < costs[1]
