"""Steps in tiles: the same picture, programs that are compiled once, recovery, two devices."""

import subprocess
import sys

import numpy as np
import pytest

from jaxstyle.errors import SettingError
from jaxstyle.execution.inputs import inputs_of
from jaxstyle.execution.memory import largest_size
from jaxstyle.execution.plan import Scale, blank
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.execution.tiles.tiled import Tiled
from jaxstyle.optim import solve
from jaxstyle.settings import resolve
from tests.networks import small_network
from tests.processes import process_environment

SHALLOW = {"content_layers": "relu1_1", "style_layers": "relu1_1"}
POOLED = {"content_layers": "relu2_1", "style_layers": ["relu1_1", "relu2_1"]}
TILES = Tiled(32)


@pytest.mark.parametrize(
    "settings",
    [{"average": 0.5, "keep_best": True}, {"optimizer": "lbfgs", "history": 3}],
    ids=["adam", "lbfgs"],
)
def test_steps_in_tiles_are_steps(prepared, settings):
    whole, tiled = (prepared(way, **POOLED, **settings).minimized(4) for way in (WHOLE, TILES))
    assert whole[-1].courses[0].total < 0.9 * whole[0].courses[0].total
    for one, other in zip(whole, tiled, strict=True):
        (course,), (same,) = one.courses, other.courses
        np.testing.assert_allclose(same.total, course.total, rtol=1e-4)
        assert (same.step, set(same.terms)) == (course.step, set(course.terms))
        images = (solve.result(each.state, "keep_best" in settings) for each in (one, other))
        # Adam's first step is as long for the least gradient, of either sign, as for any other.
        assert np.mean(np.abs(np.subtract(*images))) < 1e-5
        np.testing.assert_allclose(other.state.best_total, one.state.best_total, rtol=1e-4)


def test_a_bad_step_is_taken_back_and_adam_starts_afresh(prepared):
    made = prepared(TILES)
    reached = made.sabotaged(limit=0.008).minimized(5)
    assert [each.step for each in reached] == [1, 2, 3, 4, 5]
    rates = [float(each.rates.learning_rate) for each in reached]
    np.testing.assert_allclose(rates, [0.03] * 2 + [0.0075] * 3)
    images = [np.asarray(each.state.image) for each in reached]
    assert np.isfinite(images).all()
    afresh = made.program.restarted(reached[1].state)
    again, _ = made.program(made.objective, reached[2].rates, afresh, 1)
    np.testing.assert_array_equal(again.image, images[2])


def test_one_compilation_for_pictures_of_any_size_and_any_weights(prepared, compiled):
    prepared(TILES).steps(1)
    compiled.clear()
    other = prepared(TILES, sides=(40, 131), seeds=[7], style_weight=9, tv_weight=0)
    other.compile()
    other.steps(2)
    assert not {"tile_sums", "tile_gradient", "tile_features"} & set(compiled)
    larger = prepared(Tiled(48))
    larger.compile()
    larger.steps(1)
    for name in ("tile_sums", "tile_gradient", "tile_features"):
        assert compiled.count(name) == 1  # tile_sums: that of the style picture is the image's


def test_a_picture_that_wraps_around_has_tiles_only_of_whole_periods():
    network, settings = small_network(padding="circular"), resolve(**SHALLOW)
    for sides in ((64, 49), (49, 64)):
        inputs = inputs_of(network, blank(*sides), [blank(60, 40)], settings)
        with pytest.raises(SettingError, match="^tile: needs sides that are multiples of 16"):
            TILES.objective([inputs])


@pytest.fixture
def footprint(network):
    """A function from a strategy and the side of a square to the memory that it needs."""

    def compiled(strategy, side, **settings):
        scale, chosen = Scale(side, side, side, 1), resolve(**SHALLOW, **settings)
        return strategy.footprint(scale, network, [blank(60, 40)], chosen)

    return compiled


def test_larger_pictures_take_more_memory_for_themselves_and_none_for_the_network(footprint):
    beside, same = (footprint(Tiled(32, on_host=True), side) for side in (75, 750))
    assert beside.targets == same.targets == 0 < beside.steps == same.steps
    small, large, larger = (footprint(TILES, side).steps for side in (320, 640, 1280))
    assert beside.steps < small < large < larger
    # Four times the pixels, four times the bytes that a picture takes; those of a tile stay.
    np.testing.assert_allclose(larger - large, 4 * (large - small), rtol=0.05)


MORE_SIZES = [(300, 256, "adam"), (300, 256, "lbfgs"), (3000, 32, "adam")]


@pytest.mark.parametrize(
    ("side", "tile", "optimizer"),
    [
        (3000, 32, "lbfgs"),
        *[pytest.param(*each, marks=pytest.mark.slow) for each in MORE_SIZES],
    ],
)
def test_the_size_that_is_said_to_fit_fits(footprint, side, tile, optimizer):
    """Whether the passes take the most memory, or what comes after them."""
    found = footprint(Tiled(tile), side, optimizer=optimizer)
    assert (found.fixed == 0) == (side == 3000)
    for limit in (found.steps // 2 + found.fixed // 2, found.steps - 1):
        size = largest_size(side, found.steps, limit, found.fixed)
        assert 0 < size < side
        assert footprint(Tiled(tile), size, optimizer=optimizer).steps <= 1.02 * limit


ON_HOST = """
import jax
import numpy as np
from jaxstyle.execution.factories import matmul_precision, optimizer_of, rates_of
from jaxstyle.execution.inputs import inputs_of
from jaxstyle.execution.plan import Scale
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.execution.tiles import objective, targets
from jaxstyle.execution.tiles.tiled import Tiled
from jaxstyle.optim import solve
from jaxstyle.settings import resolve
from tests.networks import small_network

host, accelerator = jax.local_devices(backend="cpu")
large, compiled, see = [], [], objective.see


def watched(frame, *others):
    large.append(frame.devices())
    return see(frame, *others)


def listen(event, _, **details):
    if event == "/jax/core/compile/backend_compile_duration":
        compiled.append(details["fun_name"])


objective.see = targets.see = watched
jax.monitoring.register_event_duration_secs_listener(listen)
settings = resolve(content_layers="relu2_1", style_layers=["relu1_1", "relu2_1"])
rng = np.random.default_rng(0)
content, style, start = (rng.uniform(size=(75, 49, 3)).astype(np.float32) for _ in range(3))
optimizer, rates, scale = optimizer_of(settings), rates_of(settings), Scale(75, 49, 75, 3)
made = []
with jax.default_device(accelerator):
    network = small_network()
    assert network.gain[...].devices() == {accelerator}
    for strategy in (WHOLE, Tiled(32), Tiled(32, on_host=True)):
        large.clear(), compiled.clear()
        scored = strategy.objective([inputs_of(network, content, [style], settings)])
        state = strategy.begin([start], optimizer)
        home = {host} if getattr(strategy, "on_host", False) else {accelerator}
        assert {d for leaf in jax.tree.leaves(state) for d in leaf.devices()} == home
        program = strategy.program(optimizer, matmul_precision(settings))
        program.compile(scored, rates, strategy.state_shape(scale, optimizer))
        *_, last = solve.minimize(program, scored, solve.Reached(rates, state), 3, 1)
        assert {d for leaf in jax.tree.leaves(last.state) for d in leaf.devices()} == home
        assert large == [home] * len(large) and bool(large) == isinstance(strategy, Tiled)
        assert all(compiled.count(f"jit({name})") <= 1 for name in ("tile_sums", "tile_gradient"))
        made.append((last.courses[0].total, strategy.images(last.state, scale, [False])[0]))
np.testing.assert_allclose([total for total, _ in made], made[0][0], rtol=1e-4)
for _, image in made[1:]:
    assert np.mean(np.abs(image - made[0][1])) < 1e-5
np.testing.assert_array_equal(made[1][1], made[2][1])
print("done")
"""


@pytest.mark.slow
def test_pictures_can_stay_with_the_host():
    """Tiles go to another device, where the network is, and what comes of them comes back."""
    done = subprocess.run(
        [sys.executable, "-c", ON_HOST], capture_output=True, text=True, env=process_environment(2)
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
