"""Tests of bench speed: cases, rows and failures."""

from dataclasses import replace
from functools import partial

import jax
import pytest

from bench import breakdown, speed, work
from jaxstyle.execution.arithmetic import step_flops
from tests.bench.conftest import SHALLOW, arguments_of, measured


@pytest.fixture(autouse=True)
def programs_are_kept(monkeypatch):
    """Keep the cached programs of other tests, which a benchmark would drop between cases."""
    monkeypatch.setattr(jax, "clear_caches", lambda: None)


@pytest.fixture
def shallow(monkeypatch):
    """Problems that compile quickly."""
    monkeypatch.setattr(work, "problem", partial(work.problem, **SHALLOW))
    monkeypatch.setattr(speed.timing, "PEAK_SECONDS", 0.001)


@pytest.mark.parametrize(
    ("platform", "first", "count"), [("cpu", "float32", 24), ("gpu", "bfloat16", 48)]
)
def test_all_cases_the_most_important_first(platform, first, count):
    found = speed.cases(arguments_of(speed, quick=False), platform)
    assert len(found) == len(set(found)) == count
    assert found[0] == speed.Case(256, 1, first, "adam")
    batches = {case.size for case in found if case.batch == 16}
    assert batches == ({256} if platform == "cpu" else {256, 512, 1024, 2048})


def test_only_the_cases_asked_for():
    only = "--sizes", 64, "--batches", 1, "--precisions", "auto"
    found = speed.cases(arguments_of(speed, *only, quick=False), "cpu")
    assert [str(case) for case in found] == [
        "64x64, batch 1, auto, adam",
        "64x64, batch 1, auto, lbfgs",
    ]


@pytest.mark.slow
def test_rows_of_a_trial(shallow):
    rows = measured(speed)
    peaks = {row["precision"]: row["gflops"] for row in rows if row["part"] == "peak"}
    steps = [row for row in rows if row["part"] == "step"]
    assert [row["batch"] for row in steps] == [1, 2]
    for row in steps:
        assert "error" not in row
        assert row["low"] <= row["ms"] <= row["high"]
        assert row["share"] == pytest.approx(row["gflops"] / peaks[row["precision"]])
        assert row["images_per_second"] == pytest.approx(1000 * row["batch"] / row["ms"])
    flops = steps[0]["gflops"] * steps[0]["ms"] * 1e6
    settings = speed.work.resolve(**SHALLOW)
    assert flops == pytest.approx(step_flops(16, 16, settings, work.FEW_CHANNELS))
    (parts,) = [row for row in rows if row["part"] == "breakdown"]
    assert sum(parts[part] for part in breakdown.PARTS) == pytest.approx(parts["step"])
    assert "| 16 | 2 | bfloat16 | adam |" in speed.table(rows)


def test_cases_left_when_time_is_over_are_rows(shallow, monkeypatch):
    monkeypatch.setattr(speed, "broken_down", lambda *_: {})
    monkeypatch.setattr(speed.timing, "matrix_peak", lambda name, sizes: 1.0)
    rows = measured(speed, "--seconds=-1")
    assert [row["error"] for row in rows if row["part"] == "step"] == ["no time left"] * 2
    assert "no time left" in speed.table(rows)


def test_auto_is_measured_against_what_it_computes_in(monkeypatch):
    rates = {"float32": 3.0, "bfloat16": 5.0}
    monkeypatch.setattr(speed.timing, "matrix_peak", lambda name, sizes: rates[name])
    case = speed.Case(16, 1, "auto", "adam")
    assert speed.peaks_of([case], ()) == {"auto": rates["float32"]}
    assert speed.peaks_of([replace(case, precision="float32")], ()) == {"float32": 3.0}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("RESOURCE_EXHAUSTED: 1 GiB\nand more"), "out of memory"),
        (MemoryError(), "out of memory"),
        (ValueError("one\ntwo"), "ValueError: one"),
    ],
)
def test_a_failure_is_a_row_whose_reason_is_one_line(error, said):
    def fail():
        raise error

    assert speed.attempted({"size": 1}, fail) == {"size": 1, "error": said}
