"""Many pictures in one program: each comes out as it would by itself."""

import importlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from jaxstyle.batch import program
from jaxstyle.batch.cells import Cell, batch_that_fits, layers_of, static_key
from jaxstyle.batch.together import run_together
from jaxstyle.compilation import counted
from jaxstyle.image import Picture
from jaxstyle.pyramid import Scale
from jaxstyle.settings import resolve
from jaxstyle.solve import DivergedError

stylize = importlib.import_module("jaxstyle.stylize")

SMALL = {
    "size": 32,
    "smallest_size": 16,
    "steps": (3, 2),
    "style_layers": ("relu1_1", "relu2_1"),
    "content_layers": ("relu2_2",),
}


@pytest.fixture
def cell(picture):
    """A function that makes a cell: ``number`` tells pictures apart."""

    def make(number=0, **settings):
        content = Picture(np.asarray(picture(2 * number, 24, 32)))
        styles = [np.asarray(picture(2 * number + 1, 28, 20))]
        return Cell(content, styles, resolve(**{**SMALL, **settings}))

    return make


def by_itself(loaded, cell):
    return stylize.run(loaded, cell.content, cell.styles, cell.settings, lambda progress: None)


def assert_same(together, single):
    np.testing.assert_allclose(together.image, single.image, atol=2e-4)
    assert together.settings == single.settings
    last, alone = together.losses[-1], single.losses[-1]
    assert last["step"] == alone["step"]
    assert last["scale"] == alone["scale"]
    assert last["total"] == pytest.approx(alone["total"], rel=1e-3)
    for name, value in alone["terms"].items():
        assert last["terms"][name] == pytest.approx(value, rel=1e-3, abs=1e-6)


OWN = {
    "style weights": [{"style_weight": w} for w in (0.5, 5.0, 50.0)],
    "seeds": [{"init_noise": 0.5, "seed": seed} for seed in (0, 1)],
    "rates": [{"learning_rate": rate} for rate in (0.01, 0.05)],
    "layers": [{"style_layers": ("relu1_1",)}, {"style_layers": ("relu1_1", "relu2_1")}],
    "only content": [{"style_weight": 0.0}, {}],
    "colors": [{"original_colors": True}, {"color_match": "luminance"}, {}],
    "best": [{"keep_best": True, "learning_rate": 0.5}, {"learning_rate": 0.5}],
}


@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
def test_each_comes_out_as_by_itself(cell, small_weights, own):
    cells = [cell(**settings) for settings in own]
    for together, each in zip(run_together(small_weights, cells), cells, strict=True):
        assert_same(together, by_itself(small_weights, each))


@pytest.mark.parametrize(
    "settings",
    [{"optimizer": "lbfgs"}, {"carry": True}, {"padding": "circular"}, {"tolerance": 0.5}],
    ids=str,
)
def test_other_pictures_and_ways(cell, small_weights, settings):
    cells = [cell(number, **settings) for number in (0, 1)]
    for together, each in zip(run_together(small_weights, cells), cells, strict=True):
        assert_same(together, by_itself(small_weights, each))


def test_one_compilation_a_scale_however_many_cells(cell, small_weights):
    unseen = {"size": 36, "smallest_size": 18}
    for first, new in ((1.0, 2), (4.0, 0)):
        cells = [cell(style_weight=first + i, **unseen) for i in range(3)]
        with counted() as compiled:
            results = run_together(small_weights, cells)
        assert len(results[0].scales) == 2
        assert sum(compiled.programs[name] for name in program.PROGRAMS) == new


def test_batches_with_other_layers_are_one_program_where_told(cell, small_weights):
    unseen = {"size": 44, "smallest_size": 44, "steps": 2}
    both = [cell(style_layers=of, **unseen) for of in (("relu1_1",), ("relu1_1", "relu2_1"))]
    layers = layers_of(each.settings for each in both)
    with counted() as compiled:
        for one in both:
            (result,) = run_together(small_weights, [one], layers=layers)
            assert_same(result, by_itself(small_weights, one))
    assert compiled.programs["batch_step"] == 1


def test_a_picture_that_diverges_is_run_again_and_harms_no_other(cell, small_weights):
    plain = {"optimizer": "sgd", "clamp": False}
    cells = [cell(learning_rate=1e-4, **plain), cell(learning_rate=1e6, **plain)]
    good, bad = run_together(small_weights, cells)
    assert_same(good, by_itself(small_weights, cells[0]))
    assert isinstance(bad, DivergedError)


def test_a_picture_that_is_run_again_goes_through_its_own_scales(cell, small_weights):
    """Those of a cell of a bucket are not what its content would be planned."""
    way = (Scale(20, 30, 21, 2), Scale(40, 60, 43, 2))
    bad = replace(cell(optimizer="sgd", clamp=False, learning_rate=1e6), way=way)
    seen = []
    run_together(small_weights, [bad], seen.append)
    assert {tuple(progress.scales) for progress in seen} == {way}
    (made,) = run_together(small_weights, [replace(cell(tolerance=1e-9), way=way)])
    assert [(s.height, s.width) for s in made.scales] == [(20, 30), (40, 60)]


def test_progress_has_every_picture(cell, small_weights):
    seen = []
    run_together(small_weights, [cell(), cell(1)], seen.append)
    assert [(p.scale, p.step, p.steps) for p in seen] == [
        (0, 1, 3),
        (0, 2, 3),
        (0, 3, 3),
        (1, 1, 2),
        (1, 2, 2),
    ]
    assert all(p.totals.shape == (2,) for p in seen)


def test_what_can_go_together():
    base = resolve(**SMALL)
    assert static_key(base) == static_key(replace(base, style_weight=9.0, seed=3))
    assert static_key(base) == static_key(replace(base, style_layers={"relu1_1": 3.0}))
    for change in ({"size": 64}, {"pooling": "average"}, {"optimizer": "lbfgs"}, {"steps": (1,)}):
        assert static_key(base) != static_key(replace(base, **change))


def test_layers_are_those_of_any(cell):
    cells = [cell(style_layers=("relu2_1",)), cell(style_layers=("relu1_1",), content_weight=0.0)]
    assert layers_of(each.settings for each in cells) == (["relu2_2"], ["relu1_1", "relu2_1"])


@pytest.mark.parametrize(("wanted", "devices"), [(1, 1), (7, 1), (7, 4), (100, 8)])
def test_batches_are_equal_and_a_multiple_of_the_devices(
    cell, small_weights, monkeypatch, wanted, devices
):
    monkeypatch.setattr("jaxstyle.memory.total_bytes", lambda: 40_000_000)
    size = batch_that_fits(small_weights, cell(), wanted, devices)
    assert size % devices == 0
    batches = -(-wanted // size)
    assert 0 <= batches * size - wanted < batches + devices * batches
    monkeypatch.setattr("jaxstyle.memory.total_bytes", lambda: None)
    assert batch_that_fits(small_weights, cell(), wanted, devices) >= wanted


MANY_DEVICES = """
import sys
import jax, numpy as np
from jaxstyle.batch import program
from jaxstyle.batch.together import Cell, run_together
from jaxstyle.image import Picture
from jaxstyle.parts import optimizer_of, rates_of, tuned_network
from jaxstyle.settings import resolve
from jaxstyle.formulation import objective_of
sys.path.insert(0, ".")
from bench.work import few_channels

def cell(number):
    keys = jax.random.split(jax.random.key(number))
    content, style = (np.asarray(jax.random.uniform(key, (32, 32, 3))) for key in keys)
    settings = resolve(size=32, smallest_size=16, steps=(3, 2), style_weight=number + 1.0,
        style_layers=("relu1_1", "relu2_1"), content_layers=("relu2_2",))
    return Cell(Picture(content), [style], settings)

devices = jax.local_devices()
cells = [cell(number) for number in range(8)]
alone = run_together(few_channels(), cells)
for count in (4, 8):
    mesh = program.mesh_of(devices[:count])
    spread = run_together(few_channels(), cells, mesh=mesh)
    for one, other in zip(alone, spread):
        np.testing.assert_allclose(one.image, other.image, atol=2e-4)

mesh = program.mesh_of(devices)
settings = cells[0].settings
network, optimizer = tuned_network(few_channels(), settings), optimizer_of(settings)
each = [objective_of(network, c.content.rgb, c.styles, c.settings) for c in cells]
scored = program.together(each, mesh)
rates = program.spread(program.stacked([rates_of(c.settings) for c in cells]), mesh)
state = program.state_shape(8, 32, 32, optimizer, mesh)
text = program.compile_batch(scored, rates, state, optimizer, mesh).compiled.as_text()
for gathering in ("all-gather", "all-to-all", "all-reduce", "collective-permute"):
    assert gathering not in text, gathering
assert "f32[1,32,32,3]" in text, "each device has one picture"
kernel = scored.network.convolutions["conv1_2"].kernel[...]
assert kernel.sharding.is_fully_replicated
print(len(devices))
"""


def test_several_devices_give_the_same_pictures_and_ask_each_other_nothing():
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", MANY_DEVICES], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "8"
