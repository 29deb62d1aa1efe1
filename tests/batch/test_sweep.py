"""The cells of a sweep, and their grouping into batches."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from jaxstyle.batch import sweep as sweeps
from jaxstyle.batch.sweep import batches, batches_of, short, sweep_of
from jaxstyle.errors import SettingError
from jaxstyle.images import Picture
from jaxstyle.runs.inputs import Inputs
from jaxstyle.settings import resolve

NOISE = {"init": "noise"}
THIRTY_TWO = tuple(map(float, range(32)))


def labels(sweep):
    return [row.label for row in sweep.rows], [column.label for column in sweep.columns]


def test_rows_have_growing_sets_of_style_layers_as_in_the_paper():
    given = {"style_weight": (1e3, 1e4), "style_layers": {"relu3_1": 2, "relu1_1": 1, "relu2_1": 5}}
    sweep = sweep_of(["style.png"], given)
    assert labels(sweep) == (
        ["relu1_1", "relu1_1 … relu2_1", "relu1_1 … relu3_1"],
        ["style weight 1e3", "style weight 1e4"],
    )
    assert [(cell.row, cell.column) for cell in sweep.cells] == [
        *((0, 0), (0, 1)),
        *((1, 0), (1, 1)),
        *((2, 0), (2, 1)),
    ]
    assert [cell.settings.style_layers for cell in sweep.cells[::2]] == [
        {"relu1_1": 1},
        {"relu1_1": 1, "relu2_1": 5},
        {"relu1_1": 1, "relu2_1": 5, "relu3_1": 2},
    ]
    assert [cell.settings.style_weight for cell in sweep.cells[:2]] == [1e3, 1e4]


def test_a_preset_has_its_own_layers_and_shares():
    sweep = sweep_of(["style.png"], {"preset": "gatys-2016", "style_weight": (1e8, 1e9)})
    assert len(sweep.cells) == 10
    assert sweep.cells[-1].settings == replace(resolve("gatys-2016"), style_weight=1e9)


def test_only_swept_settings_differ():
    given = {"size": 64, "steps": (3,), "tv_weight": (7.0,)}
    sweep = sweep_of(["a.png", "b.png"], {**given, "style_weight": (2.0,)}, "none")
    (cell,) = sweep.cells
    assert cell.settings == sweep.settings
    assert cell.settings == resolve(size=64, steps=3, tv_weight=7, style_weight=2)
    assert cell.styles == (0, 1)
    assert labels(sweep) == ([""], ["style weight 2"])
    assert sweep.name(cell) == "style weight 2"


def test_without_lists_there_is_one_column():
    sweep = sweep_of(["style.png"], {})
    assert labels(sweep)[1] == [""]
    assert len(sweep.cells) == 5
    assert sweep.name(sweep.cells[0]) == "relu1_1"


def test_two_lists_of_weights_are_columns_and_rows():
    sweep = sweep_of(["style.png"], {"content_weight": (1.0, 10.0), "style_weight": (5.0, 50.0)})
    assert labels(sweep) == (
        ["content weight 1", "content weight 10"],
        ["style weight 5", "style weight 50"],
    )
    weights = [(cell.settings.content_weight, cell.settings.style_weight) for cell in sweep.cells]
    assert weights == [(1, 5), (1, 50), (10, 5), (10, 50)]


def test_content_weights_can_be_the_columns():
    sweep = sweep_of(["style.png"], {"content_weight": (1.0, 10.0), "style_weight": (5.0,)})
    assert labels(sweep)[1] == ["content weight 1", "content weight 10"]
    assert sweep.name(sweep.cells[0]) == "relu1_1, content weight 1"
    assert sweep.cells[0].settings.style_weight == 5


def test_several_tv_weights_are_rows():
    for rows in (None, "tv-weight"):
        given = {"tv_weight": (0.0, 25.0), "style_weight": (1.0, 2.0)}
        sweep = sweep_of(["style.png"], given, rows)
        assert labels(sweep)[0] == ["tv weight 0", "tv weight 25"]
        assert [cell.settings.tv_weight for cell in sweep.cells] == [0, 0, 25, 25]


def test_rows_of_styles_have_one_each():
    given = {"style_scale": (1.0, 0.5, 2.0), "style_weight": (1.0, 2.0)}
    sweep = sweep_of(["a/wave.jpg", "b/wave.jpg", "the_scream.png"], given, "styles")
    assert labels(sweep)[0] == ["a wave", "b wave", "the scream"]
    assert [cell.styles for cell in sweep.cells[::2]] == [(0,), (1,), (2,)]
    assert [cell.settings.style_scale for cell in sweep.cells[::2]] == [(1.0,), (0.5,), (2.0,)]


@pytest.mark.parametrize(("given", "seeds"), [((4, 2), [4, 2]), ((3,), [7, 8, 9])])
def test_rows_of_seeds(given, seeds):
    for rows in (None, "seeds"):
        first = {"seed": 7} if len(given) == 1 else {}
        sweep = sweep_of(["style.png"], NOISE | first, rows, given)
        assert [cell.settings.seed for cell in sweep.cells] == seeds
        assert labels(sweep)[0] == [f"seed {seed}" for seed in seeds]


@pytest.mark.parametrize(
    ("given", "rows", "seeds", "problem"),
    [
        (NOISE | {"seed": 7}, None, (4, 2), "seed: has no effect with a list of --seeds"),
        ({"style_weight": ()}, None, None, "style_weight: needs at least one number"),
        ({"style_weight": (1.0, -1.0)}, None, None, "style_weight: must be at least 0 .* not -1.0"),
        ({"tv_weight": (1.0, np.nan)}, None, None, "tv_weight: must be at least 0 .* not nan"),
        ({"content_weight": (1e3, 2.0, 1e3)}, None, None, "content_weight: contains 1e3 twice"),
        ({}, "tv-weight", None, "rows: tv-weight needs a list: --tv-weight 1,10,100"),
        ({}, "content-weight", None, "rows: content-weight needs a list"),
        ({}, "seeds", None, "seeds: and --rows seeds need each other"),
        (NOISE, "styles", (1, 2), "seeds: and --rows seeds need each other"),
        ({}, None, (1, 2), "seeds: would all give the same picture: add"),
        (NOISE, None, (1, 1), "seeds: contains 1 twice"),
        (NOISE, None, (0,), "seeds: must be from 1 to 1024, not 0"),
        (NOISE, None, (10**9,), "seeds: must be from 1 to 1024"),
        (NOISE, None, (-1, 1), "seed: must be at least 0"),
        ({"style_blend": (1.0,)}, "styles", None, "style_blend: has no effect"),
        ({"style_scale": (1.0, 2.0, 3.0)}, "styles", None, "style_scale: has 3 scales for 2 style"),
        ({"tv_weight": (1.0, 2.0)}, "none", None, "tv_weight: has 2 values, but is neither"),
        (
            {"content_weight": (1.0, 2.0), "style_weight": (1.0, 2.0)},
            "styles",
            None,
            "content_weight: has 2 values, but is neither the rows nor the columns",
        ),
        (
            {"content_weight": THIRTY_TWO, "style_weight": (*THIRTY_TWO, 0.5)},
            None,
            None,
            "rows: and columns make 32 x 33 cells: the most is 1024",
        ),
        ({"size": 0}, None, None, "size: must be at least 1"),
    ],
)
def test_invalid_sweeps_are_refused(given, rows, seeds, problem):
    with pytest.raises(SettingError, match=f"^{problem}") as error:
        sweep_of(["a.png", "b.png"], given, rows, seeds)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (1.0, "1"), (0.001, "1e-3"), (1e15, "1e15"), (12345.0, "12345"), (0.1, "0.1")],
)
def test_numbers_are_short(number, text):
    assert short(number) == text
    assert float(text) == number


def test_batches_have_one_size_and_leave_nothing_out():
    for count, most, devices in product([1, 2, 7, 12, 30], [1, 3, 8, 40], [1, 4]):
        at_once, case = most * devices, (count, most, devices)
        found = batches(count, at_once, devices)
        (size,) = {len(batch) for batch in found}
        assert size % devices == 0, case
        assert size <= at_once, case
        assert {index for batch in found for index in batch} == set(range(count)), case
        assert len(found) == -(-count // at_once), case


@pytest.fixture
def cells(picture):
    """Return a function that makes a cell for each of the given settings."""
    content, style = Picture(np.asarray(picture(0, 24, 32))), np.asarray(picture(1, 24, 24))

    def make(given, each):
        return [Inputs(content, [style], resolve(**{**given, **own})) for own in each]

    return make


def indices(parts):
    return [part.cells for part in parts]


def test_batches_are_of_one_size(cells, small_weights, monkeypatch):
    monkeypatch.setattr(sweeps, "batch_that_fits", lambda *arguments: 2)
    layers = [("relu1_1",), ("relu1_1", "relu2_1")]
    each = [{"style_layers": of, "style_weight": w} for of in layers for w in (1.0, 2.0, 3.0)]
    work = batches_of(small_weights, cells({"size": 32}, each), devices=1)
    assert [len(part.cells) for part in work] == [2, 2, 2]
    assert sorted(index for part in work for index in part.cells) == list(range(6))
    assert all(part.layers == (["relu4_2"], ["relu1_1", "relu2_1"]) for part in work)


def test_cells_of_different_scales_are_not_batched(cells, small_weights):
    given = {"size": 32, "smallest_size": 4, "content_layers": "relu1_1"}
    each = [{"style_layers": of} for of in ("relu1_1", "relu4_1")]
    assert indices(batches_of(small_weights, cells(given, each), devices=1)) == [[0], [1]]


def test_cells_are_spread_over_no_more_devices_than_there_are_cells(cells, small_weights):
    each = [{"style_weight": w} for w in (1.0, 2.0, 3.0)]
    given = {"size": 32, "style_layers": "relu1_1", "content_layers": "relu1_1"}
    assert indices(batches_of(small_weights, cells(given, each), devices=8)) == [[0, 1, 2]]
    assert indices(batches_of(small_weights, cells(given, each), devices=2)) == [[0, 1, 2, 0]]


def test_runs_that_find_their_own_regions_are_alone(cells, small_weights):
    each = [{"style_weight": w} for w in (1.0, 2.0)]
    given = {"size": 32, "auto_masks": 2, "style_layers": "relu1_1"}
    assert indices(batches_of(small_weights, cells(given, each), devices=8)) == [[0], [1]]
