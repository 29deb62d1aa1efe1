"""Text to values."""

import argparse
import re
import typing

import pytest

from jaxstyle.cli.flags import argument
from jaxstyle.presets import PRESETS
from jaxstyle.settings import Settings, resolve
from jaxstyle.settings.text import number, reader, truth, whole_number, written
from tests.cases import for_each


@for_each(
    ("hint", "text", "value"),
    [
        (int, "12", 12),
        (int, "-3", -3),
        (int, "1e3", 1000),
        (int, "12345678901234567890", 12345678901234567890),
        (float, "1e-3", 0.001),
        (float | None, "2", 2.0),
        (int | None, "2", 2),
        (float | None, "", None),
        (str, "a, b", "a, b"),
        (typing.Literal["a", "b"] | typing.Literal["c"], "d", "d"),
        (tuple[int, ...], "1, 2,,3", (1, 2, 3)),
        (tuple[float, ...], "", ()),
        (dict[str, float], "relu1_1 = 2, relu2_1", {"relu1_1": 2.0, "relu2_1": 1.0}),
        (bool, "TRUE", True),
        (bool, "no", False),
    ],
)
def test_text_becomes_the_value_of_its_type(hint, text, value):
    read = reader(hint)(text)
    assert (type(read), read) == (type(value), value)


@for_each(
    ("read", "text", "problem"),
    [
        (whole_number, "1.5", "'1.5' is not a whole number"),
        (whole_number, "inf", "'inf' is not a whole number"),
        (whole_number, "nan", "'nan' is not a whole number"),
        (whole_number, "", "'' is not a whole number"),
        (number, "much", "'much' is not a number"),
        (truth, "maybe", "'maybe' is neither true nor false"),
        (reader(tuple[int, ...]), "1,x", "'x' is not a whole number"),
        (reader(dict[str, float]), "relu1_1=x", "'x' is not a number"),
    ],
)
def test_unreadable_text_is_refused_in_one_line_by_flags_too(read, text, problem):
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        read(text)
    with pytest.raises(argparse.ArgumentTypeError, match=f"^{re.escape(problem)}$"):
        argument(read)(text)


@for_each("name", PRESETS)
def test_every_value_is_read_as_it_is_written(name):
    settings = resolve(name)
    for field, hint in typing.get_type_hints(Settings).items():
        value = getattr(settings, field)
        assert reader(hint)(written(value)) == value, field


@for_each(
    ("value", "text"),
    [
        (None, ""),
        ((), ""),
        (True, "yes"),
        (False, "no"),
        (12345678901234567890, "12345678901234567890"),
        (1e6, "1e+06"),
        (1 / 3, "0.3333333333333333"),
        ((40, 26), "40,26"),
        ({"relu1_1": 20.0, "relu2_1": 1.0}, "relu1_1=20,relu2_1"),
        ("a, b", "a, b"),
    ],
)
def test_values_as_flags_take_them(value, text):
    assert written(value) == text


def test_there_is_a_reader_for_every_setting():
    for hint in typing.get_type_hints(Settings).values():
        assert callable(reader(hint))
