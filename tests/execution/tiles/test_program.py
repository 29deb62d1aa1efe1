"""Steps in tiles: the same picture, programs that are compiled once, recovery, two devices."""

import subprocess
import sys
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.execution.compilation import counted
from jaxstyle.execution.factories import optimizer_of, rates_of
from jaxstyle.execution.formulation import objective_of, program_of
from jaxstyle.execution.memory import largest_size
from jaxstyle.execution.pyramid import Scale
from jaxstyle.execution.strategy import WHOLE, Strategy
from jaxstyle.execution.tiles.footprint import compile_tiles
from jaxstyle.execution.tiles.program import TILE_PROGRAMS
from jaxstyle.optim import solve
from jaxstyle.settings import resolve
from tests.processes import process_environment

SHALLOW = {"content_layers": "relu1_1", "style_layers": "relu1_1"}
POOLED = {"content_layers": "relu2_1", "style_layers": ["relu1_1", "relu2_1"]}
TILES = Strategy(tile=32)
ADAM = {"average": 0.5, "keep_best": True}
LBFGS = {"optimizer": "lbfgs", "history": 3}


@pytest.fixture
def started(network, picture):
    """A function from a way and settings to an objective, its compiled step, rates and a state."""

    def make(way, sides=(75, 49), seed=0, **settings):
        chosen = resolve(**{**SHALLOW, **settings})
        content, style = (np.asarray(picture(seed + n, *s)) for n, s in ((0, sides), (1, (60, 40))))
        scored = objective_of(network, content, [style], chosen, way=way)
        optimizer, rates = optimizer_of(chosen), rates_of(chosen)
        state = solve.init(picture(seed + 2, *sides), optimizer)
        return scored, program_of(scored, rates, state, optimizer), rates, state

    return make


def solved(scored, program, rates, state, steps=4, **options):
    return list(solve.minimize(program, scored, rates, state, steps, 1, **options))


@pytest.mark.parametrize("settings", [ADAM, LBFGS], ids=["adam", "lbfgs"])
def test_steps_in_tiles_are_steps(started, settings):
    whole, tiled = (
        solved(*started(way, **POOLED, **settings), best="keep_best" in settings)
        for way in (WHOLE, TILES)
    )
    assert whole[-1].total < 0.9 * whole[0].total
    for one, other in zip(whole, tiled, strict=True):
        np.testing.assert_allclose(other.total, one.total, rtol=1e-4)
        assert set(other.terms) == set(one.terms)
        # Adam's first step is as long for the least gradient, of either sign, as for any other.
        assert np.mean(np.abs(other.image - one.image)) < 1e-5
        np.testing.assert_allclose(other.state.best_total, one.state.best_total, rtol=1e-4)
        assert other.step == one.step


class Sabotaged:
    """A step that is not finite while the learning rate is above a limit, from the third on."""

    def __init__(self, program, limit):
        self.program, self.limit, self.calls = program, limit, 0
        self.restarted = program.restarted

    def __call__(self, scored, rates, state, count):
        self.calls += 1
        state, losses = self.program(scored, rates, state, count)
        if self.calls > 2 and rates.update_scale > self.limit:
            return replace(state, image=state.image * jnp.nan), replace(
                losses, finite=jnp.array(False)
            )
        return state, losses


def test_a_bad_step_is_taken_back_and_adam_starts_afresh(started):
    scored, program, rates, state = started(TILES)
    reports = solved(scored, Sabotaged(program, limit=0.006), rates, state, steps=5)
    assert [report.step for report in reports] == [1, 2, 3, 4, 5]
    found = [float(report.rates.update_scale) for report in reports]
    np.testing.assert_allclose(found, [0.02] * 2 + [0.005] * 3)
    assert all(np.isfinite(report.image).all() for report in reports)
    afresh = program.restarted(reports[1].state)
    (again,) = solved(scored, program, reports[2].rates, afresh, steps=1)
    np.testing.assert_array_equal(again.image, reports[2].image)


def test_one_compilation_for_pictures_of_any_size_and_any_weights(started):
    solved(*started(TILES), steps=1)
    with counted() as compiled:
        solved(*started(TILES, sides=(40, 131), seed=7, style_weight=9, tv_weight=0), steps=2)
    assert not any(compiled.programs[name] for name in TILE_PROGRAMS)
    with counted() as compiled:
        started(Strategy(tile=48))
    assert [compiled.programs[name] for name in TILE_PROGRAMS] == [1, 1]


@pytest.mark.parametrize("settings", [{}, {"style_loss": "gram-centered", **LBFGS}])
def test_what_is_compiled_from_shapes_is_what_runs(network, started, settings):
    """The footprint of tiles compiles the programs of their steps, and not others."""
    chosen = resolve(**SHALLOW, **settings)
    styles = [np.zeros((60, 40, 3), np.float32)]
    compile_tiles(Scale(75, 49, 75, 1), network, styles, chosen, None, TILES)
    with counted() as compiled:
        solved(*started(TILES, **settings), steps=1)
    assert not any(compiled.programs[name] for name in TILE_PROGRAMS)


def test_larger_pictures_take_more_memory_for_themselves_and_none_for_the_network(network):
    chosen, styles = resolve(**SHALLOW), [np.zeros((60, 40, 3), np.float32)]

    def peaks(side, way):
        scale = Scale(side, side, side, 1)
        found = compile_tiles(scale, network, styles, chosen, None, way)
        return found.peaks(network, chosen)

    beside = TILES._replace(on_host=True)
    assert peaks(75, beside) == peaks(750, beside)
    assert peaks(75, beside)[0] == 0 < peaks(75, beside)[1]
    small, large, larger = (peaks(side, TILES)[1] for side in (320, 640, 1280))
    assert peaks(75, beside)[1] < small < large < larger
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
def test_the_size_that_is_said_to_fit_fits(network, side, tile, optimizer):
    """Whether the passes take the most memory, or what comes after them."""
    chosen, styles = resolve(**SHALLOW, optimizer=optimizer), [np.zeros((60, 40, 3), np.float32)]

    def compiled(side):
        scale = Scale(side, side, side, 1)
        return compile_tiles(scale, network, styles, chosen, None, Strategy(tile))

    found = compiled(side)
    (_, peak), fixed = found.peaks(network, chosen), found.fixed(network, chosen)
    assert (fixed == 0) == (side == 3000)
    for limit in (peak // 2 + fixed // 2, peak - 1):
        size = largest_size(side, peak, limit, fixed)
        assert 0 < size < side
        assert compiled(size).peaks(network, chosen)[1] <= 1.02 * limit


ON_HOST = """
import sys
import jax
import numpy as np
from jaxstyle.optim import solve
from jaxstyle.execution.formulation import objective_of, program_of
from jaxstyle.execution.factories import optimizer_of, rates_of
from jaxstyle.execution.pyramid import Scale
from jaxstyle.settings import resolve
from jaxstyle.runs.stylize import state_at
from jaxstyle.execution.tiles import objective as grid_objective
from jaxstyle.execution.tiles import targets
from jaxstyle.execution.strategy import WHOLE, Strategy
from tests.networks import small_network

host, accelerator = jax.local_devices(backend="cpu")
large, see = [], grid_objective.see


def watched(frame, *others):
    large.append(frame.devices())
    return see(frame, *others)


grid_objective.see = targets.see = watched
settings = resolve(content_layers="relu2_1", style_layers=["relu1_1", "relu2_1"])
rng = np.random.default_rng(0)
content, style, start = (rng.uniform(size=(75, 49, 3)).astype(np.float32) for _ in range(3))
optimizer, rates, scale = optimizer_of(settings), rates_of(settings), Scale(75, 49, 75, 3)
made = []
with jax.default_device(accelerator):
    network = small_network()
    assert network.gain[...].devices() == {accelerator}
    for way in (WHOLE, Strategy(32), Strategy(32, on_host=True)):
        large.clear()
        scored = objective_of(network, content, [style], settings, way=way)
        state = state_at(scale, start, content, None, optimizer, settings, way)
        home = {host} if way.on_host else {accelerator}
        assert {d for leaf in jax.tree.leaves(state) for d in leaf.devices()} == home
        program = program_of(scored, rates, state, optimizer)
        *_, last = solve.minimize(program, scored, rates, state, 3, 1)
        assert {d for leaf in jax.tree.leaves(last.state) for d in leaf.devices()} == home
        assert large == [home] * len(large) and bool(large) == bool(way.tile)
        made.append((last.total, last.image))
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
