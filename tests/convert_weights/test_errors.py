"""Text from outside, as messages and terminals get it."""

import pickle

import pytest

from jaxstyle import errors
from jaxstyle.errors import JaxstyleError, WeightsError, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a plain message: 3 x 3", "a plain message: 3 x 3"),
        ("été 写真 🎨", "été 写真 🎨"),
        ("two\nlines\r\n\tand\u2028more ", "two lines and more"),
        ("\x1b[31mred\x1b]0;title\x07", "?[31mred?]0;title?"),
        ("\x9b31mred", "?31mred"),
        ("gpj\u202e.exe", "gpj?.exe"),
        ("zero\u200bwidth\0", "zero?width?"),
        ("\udcff.png", "?.png"),
        ("", ""),
    ],
)
def test_text_from_outside_is_one_line_without_escapes(text, shown):
    assert printable(text) == shown


def subclasses(error):
    return [error, *(c for e in error.__subclasses__() for c in subclasses(e))]


def test_the_message_of_every_error_is_printable():
    text = "a\nname\x1b[2J"
    plain = [e for e in subclasses(JaxstyleError) if e.__init__ is JaxstyleError.__init__]
    assert {WeightsError, errors.ImageError, errors.StorageError} <= set(plain)
    assert {str(error(text)) for error in plain} == {"a name?[2J"}
    setting = errors.SettingError("size", text)
    assert (str(setting), setting.problem) == ("size: a name?[2J", "a name?[2J")


def test_errors_survive_the_way_between_processes():
    error = errors.SettingError("size", "is too small")
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found), found.name) == (type(error), str(error), "size")


def test_a_very_long_name_does_not_fill_the_screen():
    said = str(JaxstyleError(f"{'x' * 100_000}: is not there: choose another"))
    assert len(said) == 2000
    assert said.endswith("xxx: is not there: choose another")
