"""Tests of timing in alternation, spreads and peaks."""

import pytest

from bench import timing


def test_cases_take_turns_and_the_warmup_does_not_count():
    calls, lines = [], []
    cases = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    seconds = timing.interleaved(cases, rounds=3, warmup=2, show=lines.append)
    assert calls == ["a", "b"] * 5
    assert {name: len(each) for name, each in seconds.items()} == {"a": 3, "b": 3}
    assert all(s >= 0 for each in seconds.values() for s in each)
    assert len(lines) == 3


def test_spread_is_the_median_and_the_outer_tenths():
    assert timing.spread(range(11)) == {"median": 5, "low": 1, "high": 9, "rounds": 11}


@pytest.mark.parametrize("dtype", ["float32", "tf32", "bfloat16"])
def test_peak_is_of_the_fastest_product(dtype, monkeypatch):
    rates = {("float32", 8): 1.0, ("float32", 16): 3.0, ("bfloat16", 16): 5.0}
    asked = []

    def rate(of, result, side, device):
        asked.append(of)
        return rates.get((result, side), 0.5)

    monkeypatch.setattr(timing, "_product_rate", rate)
    assert timing.matrix_peak(dtype, sizes=(8, 16)) == (5.0 if dtype == "bfloat16" else 3.0)
    assert set(asked) == {dtype}


def test_products_are_really_computed(monkeypatch):
    monkeypatch.setattr(timing, "PEAK_SECONDS", 0.001)
    assert timing.matrix_peak("float32", sizes=(16,)) > 0
