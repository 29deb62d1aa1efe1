"""Strategies are named by the settings, or chosen by memory."""

import jax
import numpy as np
import pytest

from jaxstyle.errors import SettingError
from jaxstyle.execution import choice
from jaxstyle.execution.choice import candidates, choose, choose_for_score, named_by
from jaxstyle.execution.plan import Scale
from jaxstyle.execution.sharded import Sharded
from jaxstyle.execution.strategy import WHOLE, Checkpointed, Strategy
from jaxstyle.execution.tiles.tiled import Tiled
from jaxstyle.runs.stylize import stylize
from jaxstyle.settings import resolve


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


@pytest.mark.parametrize(
    ("settings", "sides", "styles", "expected"),
    [
        ({}, (75, 100), [], None),
        ({"tile": "off"}, (75, 100), [], WHOLE),
        ({"tile": 64}, (75, 100), [], Tiled(64)),
        ({"tile": 64}, (65, 20), [], Tiled(64)),
        ({"tile": 64}, (64, 64), [(64, 20)], WHOLE),
        ({"tile": 64}, (64, 64), [(64, 20), (20, 65)], Tiled(64)),
        ({"shard": "space"}, (75, 100), [], Sharded()),
    ],
)
def test_the_settings_name_a_strategy_or_none(settings, sides, styles, expected):
    assert named_by(resolve(**settings), scale(*sides), styles) == expected


def test_candidates_come_fastest_first(monkeypatch):
    monkeypatch.setattr(choice, "checkpoints_help", lambda: True)
    found = list(candidates(scale(900, 1024), resolve()))
    assert found == [WHOLE, Checkpointed(), Tiled(512), Tiled(256), Tiled(128)]


def test_an_accelerator_can_keep_pictures_on_the_host(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    found = list(candidates(scale(200, 300), resolve()))
    assert found[2:] == [Tiled(side, on_host) for on_host in (False, True) for side in (256, 128)]


def test_a_line_search_has_no_tiles():
    assert list(candidates(scale(900, 1024), resolve(optimizer="lbfgs-zoom"))) == [WHOLE]


@pytest.fixture
def available(monkeypatch):
    """A function that sets the available bytes; a step takes roughly a byte for 90 pixels."""
    monkeypatch.setattr(choice, "checkpoints_help", lambda: True)
    monkeypatch.setattr(choice, "bytes_before", lambda *_: 0)
    monkeypatch.setattr(choice, "rough_bytes", lambda height, width, _: height * width / 90)
    return lambda there: monkeypatch.setattr(choice, "device_bytes", lambda: there)


PEAKS = {WHOLE: 1000, Checkpointed(): 600, Tiled(256): 300, Tiled(128): 200}


@pytest.fixture
def chosen(network, available, monkeypatch):
    """A function from available bytes to the chosen strategy and the compiled candidates."""
    tried = []
    for kind in (Strategy, Tiled):
        monkeypatch.setattr(kind, "footprint", lambda self, *_: tried.append(self) or self)
    monkeypatch.setattr(choice, "run_peaks", lambda compiled, _: [PEAKS[compiled[0]]])

    def chosen(there, **settings):
        available(there)
        styles = [np.zeros((40, 40, 3), np.float32)]
        return choose(scale(300, 300), network, styles, resolve(**settings)), tried

    return chosen


@pytest.mark.parametrize(
    ("there", "tried"),
    [
        (1500, [WHOLE]),
        (900, [WHOLE, Checkpointed()]),
        (550, [WHOLE, Checkpointed(), Tiled(256)]),
        # Rough numbers say that nothing but small tiles can help: the others are not compiled.
        (260, [Tiled(128)]),
    ],
)
def test_the_fastest_strategy_that_fits_is_chosen(chosen, there, tried):
    assert chosen(there) == (tried[-1], tried)


@pytest.mark.parametrize("there", [10**6, None])
def test_nothing_is_compiled_if_memory_is_plentiful_or_unknown(chosen, there):
    assert chosen(there) == (WHOLE, [])


def test_the_smallest_strategy_is_chosen_if_none_fits(chosen):
    assert chosen(10)[0] == Tiled(128)
    assert chosen(10, optimizer="lbfgs-zoom")[0] == Checkpointed()


def test_a_named_strategy_is_not_overridden(chosen):
    assert chosen(10, tile="off") == (WHOLE, [])
    assert chosen(10**6, tile=64) == (Tiled(64), [])


SMALL, LARGE = (30, 30), (300, 300)


@pytest.mark.parametrize(
    ("there", "sides", "styles", "settings", "expected"),
    [
        (1250, LARGE, [], {}, WHOLE),
        (1249, LARGE, [], {}, Tiled(512)),
        (1249, SMALL, [SMALL, LARGE], {}, Tiled(512)),  # the largest picture counts
        (None, LARGE, [], {}, WHOLE),
        (10, LARGE, [], {"tile": "off"}, WHOLE),
        (10**6, LARGE, [], {"tile": 64}, Tiled(64)),
        (10**6, LARGE, [], {"shard": "space"}, Sharded()),
        (10, LARGE, [], {"optimizer": "lbfgs-zoom"}, WHOLE),
        (10, (300, 304), [], {"padding": "circular"}, WHOLE),  # 300 is no multiple of 16
        (10, (304, 304), [], {"padding": "circular"}, Tiled(512)),
    ],
)
def test_large_pictures_are_scored_in_tiles(available, there, sides, styles, settings, expected):
    available(there)
    assert choose_for_score(scale(*sides), styles, resolve(**settings)) == expected


def test_a_run_takes_tiles_where_memory_is_scarce(small_weights, picture, monkeypatch):
    monkeypatch.setattr(choice, "device_bytes", lambda: 1000)
    pictures = np.asarray(picture(0, 90, 140)), np.asarray(picture(1, 40, 40))
    layers = {"content_layers": "relu1_1", "style_layers": "relu1_1"}
    options = {"size": 140, "smallest_size": 64, "steps": 1, **layers}
    result = stylize(*pictures, weights_file=small_weights, **options)
    expected = ["whole", "tiles of 128"]
    assert [scale.strategy for scale in result.scales] == expected
    assert [scale["strategy"] for scale in result.report()["scales"]] == expected
