"""A cache keeps what was used last, and no more than it may."""

import threading

import pytest

from jaxstyle.machine.kept import Kept


@pytest.fixture
def made():
    """What a cache had to make, in order."""
    return []


def letters(made, kept, names):
    """What a cache gives for each of several names: so many letters as each stands for."""

    def make(name):
        made.append(name)
        return int(name) * "x"

    return [kept.get(name, lambda name=name: make(name)) for name in names]


def test_what_was_used_longest_ago_is_dropped(made):
    kept = Kept(2, 100, len)
    assert letters(made, kept, "12131") == ["x", "xx", "x", "xxx", "x"]
    assert made == ["1", "2", "3"]
    letters(made, kept, "2")
    assert made == ["1", "2", "3", "2"]
    assert len(kept) == 2


def test_no_more_bytes_are_kept_than_allowed(made):
    kept = Kept(100, 10, len)
    letters(made, kept, "456")
    assert kept.bytes == 6
    letters(made, kept, "263")
    assert (kept.bytes, len(kept)) == (9, 2)


def test_a_value_that_is_larger_than_allowed_is_kept_alone(made):
    kept = Kept(100, 5, len)
    letters(made, kept, "1988")
    assert (made, len(kept)) == (["1", "9", "8"], 1)


def test_others_are_found_while_one_is_made():
    kept, begun, go_on = Kept(9, 99, len), threading.Event(), threading.Event()

    def slowly():
        begun.set()
        assert go_on.wait(10)
        return "slow"

    kept.get(1, lambda: "quick")
    other = threading.Thread(target=kept.get, args=(2, slowly))
    other.start()
    assert begun.wait(10)
    assert kept.get(1, lambda: pytest.fail("made again")) == "quick"
    go_on.set()
    other.join()
    assert kept.get(2, lambda: pytest.fail("made again")) == "slow"


def test_a_failure_is_not_kept():
    kept = Kept(9, 99, len)
    with pytest.raises(ZeroDivisionError):
        kept.get(1, lambda: str(1 // 0))
    assert kept.get(1, lambda: "now") == "now"


def test_some_values_can_be_dropped(made):
    kept = Kept(9, 99, len)
    letters(made, kept, "123")
    kept.drop(lambda name: name < "3")
    letters(made, kept, "13")
    assert made == ["1", "2", "3", "1"]
    kept.drop()
    assert len(kept) == 0
