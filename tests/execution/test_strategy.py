"""Execution strategies: named by the settings, chosen by memory, refused if impossible."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.errors import SettingError
from jaxstyle.execution import footprint, strategy
from jaxstyle.execution.pyramid import Scale
from jaxstyle.execution.strategy import WHOLE, Strategy, asked_for, candidates
from jaxstyle.runs.stylize import plan, stylize
from jaxstyle.settings import resolve
from tests.networks import small_network

SHALLOW = {"content_layers": "relu2_1", "style_layers": ["relu1_1", "relu2_1"]}
CHECKPOINTED = Strategy(checkpointed=True)
STYLES = [np.zeros((40, 40, 3), np.float32)]


def scale(height, width):
    return Scale(height, width, max(height, width), 1)


def test_a_tile_is_auto_off_or_a_number():
    for value in ("auto", "off", 64, "64", 512.0, "32768"):
        kept = str(int(value)) if isinstance(value, float) else str(value)
        assert resolve(tile=value).tile == kept
        assert resolve(tile=value).tile_side == (int(kept) if kept.isdigit() else 0)


def test_invalid_tiles_are_refused():
    for value in (63, "63", "big", "", "Auto", 0, -64, True, None, 64.5, 32769, []):
        message = "^tile: must be auto, off, or from 64 to 32768 pixels"
        with pytest.raises(SettingError, match=message):
            resolve(tile=value)


def test_the_strategy_named_by_the_settings():
    assert asked_for(scale(75, 100), resolve()) is None
    assert asked_for(scale(75, 100), resolve(tile="off")) == WHOLE
    assert asked_for(scale(75, 100), resolve(tile=64)) == Strategy(tile=64)
    assert asked_for(scale(65, 20), resolve(tile=64)) == Strategy(tile=64)
    assert asked_for(scale(64, 64), resolve(tile=64)) == WHOLE
    assert asked_for(scale(75, 100), resolve(shard="space")) == Strategy(split=True)


def test_candidates_are_the_fastest_first(monkeypatch):
    monkeypatch.setattr(strategy, "checkpoints_help", lambda: True)
    settings = resolve()
    found = list(candidates(scale(900, 1024), settings))
    assert found == [WHOLE, CHECKPOINTED, Strategy(512), Strategy(256), Strategy(128)]
    works = [way.work(settings) for way in found]
    assert works == sorted(works)
    assert works[0] == 1 < works[1]


def test_an_accelerator_has_a_host_to_keep_pictures(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    found = list(candidates(scale(200, 300), resolve()))
    assert found[2:] == [Strategy(n, on_host=host) for host in (False, True) for n in (256, 128)]


def test_a_line_search_has_no_tiles():
    assert list(candidates(scale(900, 1024), resolve(optimizer="lbfgs-zoom"))) == [WHOLE]


def test_strategies_have_names():
    names = {
        WHOLE: "whole",
        CHECKPOINTED: "checkpointed",
        Strategy(512): "tiles of 512",
        Strategy(512, on_host=True): "tiles of 512, on the host",
        Strategy(split=True): "split over 1 devices",
    }
    assert {way: str(way) for way in names} == names


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"tile": 72}, "^tile: must be a multiple of 16 for these layers, not 72"),
        ({"tile": 64, "optimizer": "lbfgs-zoom"}, "^tile: does not go with lbfgs-zoom.*use lbfgs"),
        ({"shard": "space", "tile": 64}, "^shard: space does not go with tiles"),
        ({"shard": "space"}, "^shard: space needs several devices, and JAX finds one"),
    ],
)
def test_a_plan_refuses_impossible_strategies(settings, problem):
    content, styles = np.zeros((80, 80, 3), np.float32), STYLES
    with pytest.raises(SettingError, match=problem):
        plan(content, styles, resolve(**settings))
    assert plan(content, styles, resolve())


def test_shallow_layers_can_have_any_even_tile():
    strategy.check(resolve(tile=74, **SHALLOW))
    with pytest.raises(SettingError, match="multiple of 2 for"):
        strategy.check(resolve(tile=75, **SHALLOW))


PEAKS = {WHOLE: 1000, CHECKPOINTED: 600, Strategy(256): 300, Strategy(128): 200}


@pytest.fixture
def chosen(network, monkeypatch):
    """Return a function from available bytes to the chosen strategy and the compiled candidates."""
    monkeypatch.setattr(strategy, "checkpoints_help", lambda: True)
    monkeypatch.setattr(footprint, "run_peaks", lambda compiled, *_: [PEAKS[compiled[0]]])
    monkeypatch.setattr(footprint, "rough_bytes", lambda height, width, _: height * width / 90)

    def choose(there, **settings):
        tried = []

        def compile_scale(scale, network, styles, settings, regions, way):
            tried.append(way)
            return way

        monkeypatch.setattr(footprint, "compile_scale", compile_scale)
        monkeypatch.setattr(footprint, "device_bytes", lambda: there)
        settings = resolve(**settings)
        return footprint.way_of(scale(300, 300), network, STYLES, settings), tried

    return choose


@pytest.mark.parametrize(
    ("there", "tried"),
    [
        (1500, [WHOLE]),
        (900, [WHOLE, CHECKPOINTED]),
        (450, [WHOLE, CHECKPOINTED, Strategy(256)]),
        # Rough numbers say that nothing but small tiles can help: the others are not compiled.
        (240, [Strategy(128)]),
    ],
)
def test_the_fastest_strategy_that_fits_is_chosen(chosen, there, tried):
    assert chosen(there) == (tried[-1], tried)


def test_nothing_is_compiled_if_memory_is_plentiful(chosen):
    assert chosen(10**6) == (WHOLE, [])
    assert chosen(None) == (WHOLE, [])


def test_the_smallest_strategy_is_chosen_if_none_fits(chosen):
    assert chosen(10)[0] == Strategy(128)
    assert chosen(10, optimizer="lbfgs-zoom")[0] == CHECKPOINTED


def test_a_named_strategy_is_not_overridden(chosen):
    assert chosen(10, tile="off") == (WHOLE, [])
    assert chosen(10**6, tile=64) == (Strategy(64), [])


def test_a_run_takes_tiles_where_memory_asks_for_them(small_weights, picture, monkeypatch):
    monkeypatch.setattr(footprint, "device_bytes", lambda: 1000)
    pictures = np.asarray(picture(0, 90, 140)), np.asarray(picture(1, 40, 40))
    layers = {"content_layers": "relu1_1", "style_layers": "relu1_1"}
    options = {"size": 140, "smallest_size": 64, "steps": 1, **layers}
    result = stylize(*pictures, weights_file=small_weights, **options)
    assert [each.way for each in result.scales] == ["whole", "tiles of 128"]
    assert [each["way"] for each in result.report()["scales"]] == ["whole", "tiles of 128"]


def test_checkpoints_change_no_feature_and_no_gradient(float64, picture):
    layers, image = ["relu1_1", "conv2_2"], picture(0, 37, 50).astype(jnp.float64)

    def total(network, image):
        return sum(jnp.sum(jnp.sin(x)) for x in network(image, layers).values())

    plain = small_network(jnp.float64, padding="reflect", pooling="average")
    found = []
    for network in (plain, plain.with_checkpoints()):
        gradient = jax.value_and_grad(lambda image, n=network: total(n, image))
        kept_less = "prevent_cse" in str(jax.make_jaxpr(gradient)(image))
        assert kept_less == (network is not plain)
        found.append(jax.jit(gradient)(image))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-13)
    largest = float(jnp.max(jnp.abs(found[0][1])))
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-13 * largest)
    assert not plain.checkpointed
