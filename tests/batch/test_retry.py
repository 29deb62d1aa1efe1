"""Batched runs: each picture equals its single run."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import optax
import pytest

from bench.work import picture
from jaxstyle.batch import retry
from jaxstyle.batch.cells import batch_that_fits, static_key
from jaxstyle.batch.retry import run_together
from jaxstyle.errors import DivergedError
from jaxstyle.execution import memory
from jaxstyle.execution.inputs import layers_of
from jaxstyle.execution.plan import Scale
from jaxstyle.images import Picture
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.result import Result, scale_reports
from jaxstyle.runs.stylize import run, telling
from jaxstyle.settings import resolve
from tests.processes import process_environment

SMALL = {
    "size": 32,
    "smallest_size": 16,
    "steps": (3, 2),
    "style_layers": ("relu1_1", "relu2_1"),
    "content_layers": ("relu2_1",),
}


ONE_SCALE = {"smallest_size": 32, "steps": 3}


def cell_of(number=0, **settings):
    """Return a cell; each ``number`` has other pictures."""
    content, style = picture(2 * number, 24, 32), picture(2 * number + 1, 28, 20)
    return Inputs(Picture(content), [style], resolve(**{**SMALL, **settings}))


def assert_same(together, single):
    np.testing.assert_allclose(together.image, single.image, atol=2e-4)
    assert together.settings == single.settings
    last, alone = together.losses[-1], single.losses[-1]
    assert last["step"] == alone["step"]
    assert last["scale"] == alone["scale"]
    assert last["total"] == pytest.approx(alone["total"], rel=1e-3)
    assert set(last["terms"]) == set(alone["terms"])
    for name, value in alone["terms"].items():
        assert last["terms"][name] == pytest.approx(value, rel=1e-3, abs=1e-6)


OWN = {
    "style weight 0.5": {"style_weight": 0.5},
    "style weight 50": {"style_weight": 50.0},
    "seed 0": {"init_noise": 0.5, "seed": 0},
    "seed 1": {"init_noise": 0.5, "seed": 1},
    "learning rate": {"learning_rate": 0.05},
    "fewer layers": {"style_layers": ("relu1_1",)},
    "only content": {"style_weight": 0.0},
    "original colors": {"original_colors": True},
    "matched colors": {"color_match": "luminance"},
    "far steps": {"learning_rate": 0.05},
    "best of far steps": {"keep_best": True, "learning_rate": 0.5},
}
"""Settings that may differ within a batch, by name."""


@pytest.fixture(scope="module")
def batch(small_weights):
    """Results and cells of a large batch by name, and its progress."""
    cells, seen = [cell_of(**settings) for settings in OWN.values()], []
    results = run_together(small_weights, cells, Hooks(telling(seen.append)))
    return dict(zip(OWN, zip(results, cells, strict=True), strict=True)), seen


@pytest.mark.parametrize("name", OWN)
def test_each_picture_equals_its_single_run(batch, small_weights, name):
    together, cell = batch[0][name]
    assert_same(together, run(small_weights, cell))


def test_one_compilation_a_scale_however_many_cells_and_whatever_their_values(batch, small_weights):
    results, _ = batch
    assert [scale.compilations for scale in results["seed 0"][0].scales] == [1, 1]
    # Programs of the runs in between have taken the place of that of the batch.
    run_together(small_weights, [cell_of(**settings) for settings in OWN.values()])
    again = run_together(small_weights, [cell_of(style_weight=2.0 + i) for i in range(len(OWN))])
    assert [scale.compilations for scale in scale_reports(again)] == [0, 0]


def test_progress_has_every_picture(batch):
    _, seen = batch
    steps = [(0, 1, 3), (0, 2, 3), (0, 3, 3), (1, 1, 2), (1, 2, 2)]
    assert [(p.scale, p.step, p.steps) for p in seen] == steps
    assert all(p.totals.shape == (len(OWN),) for p in seen)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"optimizer": "lbfgs", **ONE_SCALE}, 2),
        ({"padding": "circular", **ONE_SCALE}, 2),
        ({"carry": True}, len(OWN)),  # the programs of the batch above
        ({"tolerance": 0.5}, 2),
    ],
    ids=str,
)
def test_other_pictures_and_settings(small_weights, settings, count):
    cells = [cell_of(number, **settings) for number in (0, 1)]
    together = run_together(small_weights, [*cells, *cells * count][:count])
    for made, cell in zip(together, cells, strict=False):
        assert_same(made, run(small_weights, cell))


def test_batches_with_given_layers_share_one_program(small_weights):
    both = [cell_of(style_layers=of, **ONE_SCALE) for of in (("relu1_1",), ("relu1_1", "relu2_1"))]
    layers = layers_of(each.settings for each in both)
    compilations = []
    for one in both:
        result, *_ = run_together(small_weights, [one] * 5, layers=layers)  # 5: nowhere else
        assert_same(result, run(small_weights, one))
        compilations += [scale.compilations for scale in result.scales]
    assert compilations == [1, 0]


STEEP = {"optimizer": "sgd", "clamp": False, "learning_rate": 1e6, **ONE_SCALE}


def test_a_picture_that_diverges_harms_no_other(small_weights):
    cells = [cell_of(**{**STEEP, "learning_rate": 1e-4}), cell_of(**STEEP)]
    good, bad = run_together(small_weights, cells)
    assert_same(good, run(small_weights, cells[0]))
    assert isinstance(bad, DivergedError)
    assert "even after halving the learning rate 5 times" in str(bad)


def test_a_picture_that_was_given_up_stays_so_at_the_next_scale(small_weights):
    two_scales = {**STEEP, "smallest_size": 16, "steps": (3, 2)}
    cells = [cell_of(**{**two_scales, "learning_rate": 1e-4}), cell_of(**two_scales)]
    good, bad = run_together(small_weights, cells)
    assert_same(good, run(small_weights, cells[0]))
    assert isinstance(bad, DivergedError)


def test_every_picture_may_diverge(small_weights):
    made = run_together(small_weights, [cell_of(**STEEP)] * 2)
    assert all("lower the learning rate" in str(error) for error in made)


def test_only_checkpoints_of_the_whole_batch_are_kept(small_weights, monkeypatch):
    """After memory has run out, the halves would be kept under its name."""
    kept, right = [], retry.optimize

    def scarce(loaded, cells, *others, **shared):
        if len(cells) > 1:
            raise MemoryError
        return right(loaded, cells, *others, **shared)

    cells = [cell_of(number, **ONE_SCALE) for number in (0, 1)]
    assert len(retry.run_in_halves(small_weights, cells, keep=kept.append)) == 2
    assert {len(saved.reached.courses) for saved in kept} == {2}
    kept.clear()
    monkeypatch.setattr(retry, "optimize", scarce)
    made = retry.run_in_halves(small_weights, cells, keep=kept.append)
    assert [isinstance(each, Result) for each in made] == [True, True]
    assert kept == []


def test_pictures_stop_early_each_by_itself(small_weights):
    """One stays as it is, and stops; the other one goes on."""
    settings = {"tolerance": 1e-3, **ONE_SCALE, "steps": 30}
    cells = [cell_of(learning_rate=1e-9, **settings), cell_of(**settings)]
    stopped, other = run_together(small_weights, cells)
    assert [record["step"] for record in stopped.losses] == list(range(1, 22))
    assert [record["step"] for record in other.losses] == list(range(1, 31))
    for made, cell in ((stopped, cells[0]), (other, cells[1])):
        assert_same(made, run(small_weights, cell))


def test_cells_have_scales_of_their_own(small_weights):
    """The scales of a padded cell differ from those planned for its content."""
    schedule, seen = (Scale(24, 32, 25, 2),), []
    cells = [replace(cell_of(tolerance=1e-9, **ONE_SCALE), schedule=schedule)] * 2
    made, _ = run_together(small_weights, cells, Hooks(telling(seen.append)))
    assert {tuple(progress.scales) for progress in seen} == {schedule}
    assert [scale.steps for scale in made.scales] == [2]


def test_different_optax_transformations_never_share_a_batch():
    one, other = (resolve(**SMALL, optimizer=optax.sgd(rate)) for rate in (0.1, 0.2))
    assert static_key(one) != static_key(other)
    assert static_key(one) == static_key(replace(one, style_weight=9.0))


def test_a_single_picture_that_runs_alone_is_kept_and_several_are_not(small_weights):
    cells, kept = [cell_of(number, tile=64, **ONE_SCALE) for number in (0, 1)], []
    assert len(run_together(small_weights, cells, keep=kept.append)) == 2
    assert kept == []
    first, second = run_together(small_weights, cells[:1] * 2, keep=kept.append)
    assert first is second
    assert [saved.reached.step for saved in kept] == [1, 2, 3]


def test_which_settings_can_share_a_batch():
    base = resolve(**SMALL)
    assert static_key(base) == static_key(replace(base, style_weight=9.0, seed=3))
    assert static_key(base) == static_key(replace(base, style_layers={"relu1_1": 3.0}))
    for change in ({"size": 64}, {"pooling": "average"}, {"optimizer": "lbfgs"}, {"steps": (1,)}):
        assert static_key(base) != static_key(replace(base, **change))


def test_layers_of_is_the_union_of_all_layers():
    cells = [
        cell_of(style_layers=("relu2_1",)),
        cell_of(style_layers=("relu1_1",), content_weight=0.0),
    ]
    assert layers_of(each.settings for each in cells) == (["relu2_1"], ["relu1_1", "relu2_1"])


@pytest.mark.parametrize(("wanted", "devices"), [(1, 1), (7, 1), (7, 4), (100, 8)])
def test_batches_are_equal_and_a_multiple_of_the_devices(
    small_weights, monkeypatch, wanted, devices
):
    there = memory.bytes_before() + 30_000_000
    monkeypatch.setattr(memory, "total_bytes", lambda: there)
    size = batch_that_fits(small_weights, cell_of(), wanted, devices)
    assert size % devices == 0
    batches = -(-wanted // size)
    assert 0 <= batches * size - wanted < batches + devices * batches
    monkeypatch.setattr(memory, "total_bytes", lambda: None)
    assert batch_that_fits(small_weights, cell_of(), wanted, devices) >= wanted


MANY_DEVICES = """
import jax, numpy as np
from tests.networks import small_weights
from jaxstyle.batch import retry
from jaxstyle.batch.retry import run_together
from jaxstyle.execution.batched import Batched, mesh_of
from jaxstyle.execution.factories import optimizer_of, rates_of, tuned_network
from jaxstyle.execution.inputs import inputs_of
from jaxstyle.images import Picture
from jaxstyle.runs.inputs import Inputs
from jaxstyle.settings import resolve

def cell(number):
    keys = jax.random.split(jax.random.key(number))
    content, style = (np.asarray(jax.random.uniform(key, (32, 32, 3))) for key in keys)
    settings = resolve(size=32, smallest_size=16, steps=(3, 2), style_weight=number + 1.0,
        style_layers=("relu1_1", "relu2_1"), content_layers=("relu2_2",))
    return Inputs(Picture(content), [style], settings)

devices = jax.local_devices()
cells = [cell(number) for number in range(8)]
alone = run_together(small_weights(), cells)
for count in (4, 8):
    spread = run_together(small_weights(), cells, mesh=mesh_of(devices[:count]))
    for one, other in zip(alone, spread):
        np.testing.assert_allclose(one.image, other.image, atol=2e-4)

settings, strategy = cells[0].settings, Batched(8, mesh_of(devices))
network, optimizer = tuned_network(small_weights(), settings), optimizer_of(settings)
each = [inputs_of(network, c.content.rgb, c.styles, c.settings) for c in cells]
scored, rates = strategy.objective(each), strategy.rates([rates_of(c.settings) for c in cells])
state = strategy.begin([c.content.rgb for c in cells], optimizer)
text = strategy.program(optimizer, None).compile(scored, rates, state).as_text()
for gathering in ("all-gather", "all-to-all", "all-reduce", "collective-permute"):
    assert gathering not in text, gathering
assert "f32[1,32,32,3]" in text, "each device has one picture"
kernel = scored.network.convolutions["conv1_2"].kernel[...]
assert kernel.sharding.is_fully_replicated
print(len(devices))
"""


@pytest.mark.slow
def test_several_devices_give_the_same_pictures_without_communication():
    """For four devices in the quick tests, see tests/execution/test_sharded.py."""
    done = subprocess.run(
        [sys.executable, "-c", MANY_DEVICES],
        capture_output=True,
        text=True,
        env=process_environment(devices=8),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "8"
