"""A part of what `tests.images.fuzz` does at length."""

import pytest

from tests.images import fuzz


@pytest.mark.slow
def test_damaged_pictures_are_read_or_refused_in_one_line_in_time_and_memory():
    assert list(fuzz.problems(1000, seed=1)) == []


def test_problems_are_found(monkeypatch):
    """The driver itself: a child that is killed, one that is slow, one that writes."""
    monkeypatch.setattr(fuzz, "_COMMAND", [fuzz.sys.executable, "-c", FAULTY])
    found = list(fuzz.problems(4))
    assert found[0].startswith("0: ended with status ")
    assert found[1] == "2 (png): 7.0 s"
    assert len(found) == 2


FAULTY = """
import json, os, sys
first = int(sys.argv[3])
print(json.dumps({"begun": first}), flush=True)
if not first:
    os.abort()
print(json.dumps({"index": 2, "name": "png", "problem": "7.0 s"}), flush=True)
"""
