"""Tests of bench watching, by a trial run."""

from bench import watching
from tests.bench.conftest import measured


def test_a_run_is_timed_alone_and_watched():
    (row,) = measured(watching)
    assert (row["size"], row["steps"]) == (32, 3)
    assert row["ratio"] == row["watched"] / row["alone"]
    assert row["updates"] > 0
    assert "| 32 | 3 |" in watching.table([row])
