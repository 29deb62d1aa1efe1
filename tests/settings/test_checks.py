"""Every setting refuses what cannot be meant in one line that names it, and nothing else."""

import dataclasses
import itertools
import math
import random
import re
from functools import partial

import numpy as np

from jaxstyle.errors import SettingError
from jaxstyle.settings import Settings, resolve
from jaxstyle.settings.checks import CLEANERS, bounds_of
from tests.cases import for_each
from tests.settings.refusals import refusal

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
CHOICES = {name: f.metadata["choices"] for name, f in FIELDS.items() if f.metadata["choices"]}
TRUTHS = [
    *("normalize_gradients", "sum_styles", "original_colors", "pooling_scale", "clamp", "carry"),
    "opponent_colors",
    *("keep_best", "refine", "style_colors"),
]

NUMBERS = {  # lowest and highest of what will do, and what is just outside
    "size": (1, 32768, 0, 32769),
    "smallest_size": (1, 32768, 0, 32769),
    "scale_factor": (1.1, 100, 1.09, 100.1),
    "strength": (0, 1, -0.1, 1.1),
    "pyramid_levels": (1, 16, 0, 17),
    "content_weight": (0, 1e15, -1e-9, 1.1e15),
    "style_weight": (0, 1e15, -1e-9, 1.1e15),
    "tv_weight": (0, 1e15, -1e-9, 1.1e15),
    "network_white": (1, 65535, 0.9, 65536),
    "init_noise": (0, 1, -0.1, 1.1),
    "noise_level": (0, 100, -0.1, 101),
    "seed": (0, 2**32 - 1, -1, 2**32),
    "learning_rate": (1e-12, 1e6, 0, 1e6 + 1),
    "learning_rate_decay": (1e-12, 1, 0, 1.001),
    "epsilon": (1e-30, 1, 0, 1.1),
    "momentum": (0, 0.9999, -0.1, 1),
    "history": (1, 10_000, 0, 10_001),
    "white": (1, 65535, 0, 65536),
    "average": (0, 0.9999, -0.1, 1),
    "tolerance": (0, 1, -0.1, 1.1),
    "auto_masks": (0, 16, -1, 17),
    "smooth_radius": (0, 100, -1, 101),
    "smooth_edge": (1e-12, 10, 0, 10.1),
}
OPTIONAL = {"learning_rate", "history"}
LISTS = {
    "steps": (0, 1_000_000, -1, 1_000_001),
    "style_scale": (1e-4, 100, 9e-5, 100.1),
    "content_factors": (0, 1e15, -1e-9, 1.1e15),
    "betas": (0, 0.999999, -0.1, 1),
    "style_blend": (0, 1e6, -0.1, 1.1e6),
    "photorealism_weight": (0, 1e15, -1e-9, 1.1e15),
    "network_mean": (0, 1, -0.1, 1.1),
}
LENGTHS = {"betas": 2, "network_mean": 3}
LAYERS = ["content_layers", "style_layers"]
PATHS = ["fine_style", "init"]
MASKS = ["content_mask", "style_mask"]


def taken(name, value):
    """What becomes of a value of a setting."""
    return getattr(resolve(**{name: value}), name)


refused = partial(refusal, taken)


def test_every_field_is_checked_and_none_is_left_out_here():
    assert set(FIELDS) == {"preset", *CLEANERS, *CHOICES}
    in_test_ways = ["tile"]
    covered = [*TRUTHS, *NUMBERS, *LISTS, *LAYERS, *PATHS, *MASKS, *in_test_ways]
    assert sorted(covered) == sorted(CLEANERS)


@for_each("name", NUMBERS)
def test_numbers_have_bounds_and_may_be_texts(name):
    low, high, below, beyond = NUMBERS[name]
    for value in (low, high):
        found = taken(name, value)
        assert found == taken(name, repr(value)) == value
        assert type(found) is type(FIELDS[name].default if name not in OPTIONAL else found)
    for value in (below, beyond):
        bounds = rf"must be (at least|above) .* and at most .*, not {re.escape(repr(value))}"
        assert re.search(bounds, refused(name, value))


def test_bounds_can_be_read():
    known = NUMBERS | LISTS
    for name in FIELDS:
        bounds = bounds_of(name)
        assert (bounds is not None) == (name in known), name
        if bounds:
            low, high, below, beyond = known[name]
            assert bounds.low == (below if bounds.above else low), name
            assert bounds.high == high < beyond
            assert bounds.whole == ("int" in str(FIELDS[name].type)), name


@for_each("name", NUMBERS)
def test_values_that_are_no_numbers_are_refused(name):
    for value in [math.nan, math.inf, -math.inf, 10**400, "", [], [1], {}, b"one"]:
        refused(name, value)
    for value in ("much", True, False, *([] if name in OPTIONAL else [None])):
        assert f"must be a number, not {value!r}" in refused(name, value)
    if name in OPTIONAL:
        assert taken(name, None) is None


@for_each("name", ["size", "smallest_size", "seed", "history"])
def test_whole_numbers_are_whole(name):
    assert "must be a whole number, not 2.5" in refused(name, 2.5)
    found = taken(name, 64.0)
    assert (type(found), found) == (int, 64)


@for_each("name", LISTS)
def test_lists_of_numbers_have_bounds(name):
    low, high, below, beyond = LISTS[name]
    length = LENGTHS.get(name, 2)
    for value in (low, high):
        if (name, value) != ("style_blend", 0):
            assert taken(name, [value] * length) == (value,) * length
    for value in (below, beyond, math.nan, math.inf, "x", None, True, [1]):
        refused(name, [value] * length)
        refused(name, [high] * (length - 1) + [value])


@for_each(
    ("name", "value", "problem"),
    [
        ("steps", [], "at least one number"),
        ("steps", [3, 2.5], "whole number"),
        ("style_scale", (), "at least one number"),
        ("betas", 0.9, "needs two numbers"),
        ("betas", (), "needs two numbers"),
        ("betas", (0.9, 0.99, 0.999), "needs two numbers"),
        ("network_mean", 0.5, "needs three numbers"),
        ("network_mean", (0.5, 0.5), "needs three numbers"),
        ("network_mean", (0.5,) * 4, "needs three numbers"),
        ("style_blend", (0, 0, 0), "above zero"),
    ],
)
def test_lists_of_the_wrong_length_are_refused(name, value, problem):
    assert problem in refused(name, value)


def test_lists_that_may_be_empty():
    for name in ("style_blend", "network_mean"):
        assert taken(name, []) == ()


@for_each("name", TRUTHS)
def test_truths_are_true_or_false(name):
    for value in (0, 1, "true", "no", None, [], 1.0):
        assert "must be true or false" in refused(name, value)


def test_choices_are_chosen_from():
    for name, choices in CHOICES.items():
        for value in ("", "wrong", None, 0, True, [], ["max"], {}, math.nan):
            assert f"is not one of {choices[0]}, " in refused(name, value)
        for choice in choices:
            assert taken(name, choice) == choice


def test_layers_are_layers_with_shares():
    problems = {
        "at least one layer": [[], {}],
        "no layer 'rellu4_2'.* did you mean relu4_2": ["rellu4_2", ["rellu4_2"], {"rellu4_2": 1}],
        "names relu1_1 twice": [["relu1_1", "block1_conv1"]],
        "at least 0 and at most": [{"relu1_1": -1}, {"relu1_1": math.nan}, {"relu1_1": 1e16}],
        "must be a number": [{"relu1_1": None}, {"relu1_1": "x"}, {"relu1_1": True}],
        "must be a layer name, a list": [None, 5, True, [1], [None], [["relu1_1"]], {1: 2}, b"x"],
    }
    for problem, values in problems.items():
        for name, value in itertools.product(LAYERS, values):
            assert re.search(problem, refused(name, value))


def test_paths_are_texts():
    for name in PATHS:
        for value in (None, 5, True, [], ["a.png"], b"a.png", {}):
            refused(name, value)
    assert "content, noise, colors or the path" in refused("init", "")


def test_a_preset_is_a_name():
    for value in ("", "zzzz", "Default", "default ", "x\ny", "\0", "-"):
        assert "is not known" in refused("preset", value)


@for_each("name", [*CLEANERS, *CHOICES])
def test_refusals_of_arrays_are_one_line(name):
    refused(name, np.zeros((3, 3)))


GARBAGE = [
    *(None, True, 0, -1, 2.5, 1e300, math.nan, -math.inf, 10**400, "", "x", "nan", "1", "\n", "\0"),
    *(b"ab", [], [1], ["x"], [[1]], [None], (), (1, 2, 3), {}, {"relu1_1": 1}, {1: 2}, {"x": None}),
    *(set(), frozenset({1}), object(), 1j, range(3), len, int, np.float32(2), np.array(1.0)),
]


@for_each("name", [*CLEANERS, *CHOICES])
def test_any_value_is_refused_or_survives_a_round_trip(name):
    """Whatever is taken is settled: what it became is taken again as it is."""
    dice = random.Random(name)
    mixtures = [[dice.choice(GARBAGE) for _ in range(dice.randint(1, 4))] for _ in range(20)]
    for value in [*GARBAGE, *mixtures, *map(tuple, mixtures)]:
        try:
            settings = resolve(**{name: value})
        except SettingError as refusal:
            assert str(refusal).isprintable(), value
            assert refusal.name == name
        else:
            assert resolve(**settings.to_dict()) == settings, value
