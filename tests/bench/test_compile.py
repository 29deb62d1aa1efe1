"""Tests of bench compile: the tables' arithmetic, and the measurements of one process."""

import pytest

from bench import compile as bench_compile
from bench import worker
from bench.compile import break_even
from tests.bench.conftest import SHALLOW, measured

OPTIONS = {"quick": True, "weights": None, "settings": {**SHALLOW, "precision": "float32"}}
STAGES = {"prepare": 1.0, "trace": 2.0, "lower": 3.0, "compile": 4.0, "first_step": 0.5}
ANSWERS = {
    "start": {"weights": 0.1, "first_step": 1.0, "from_process_start": 2.0},
    "counts": [
        {"run": "a whole run", "solver": 2, "expected": 2, "other": 5},
        {"run": "other steps", "solver": 1, "expected": 0, "other": 0},
    ],
    "imports": {"jax": 0.5, "jaxstyle": 0.2},
    "eager": {"size": 16, "first_step": 3.0, "step": 1.1},
}


@pytest.fixture
def asked(monkeypatch):
    """Canned results in place of processes; every call is recorded."""
    asked = []

    def ask(task, **options):
        asked.append((task, options))
        if task == "stages":
            return [{"size": size, **STAGES, "step": 0.1} for size in options["sizes"]]
        return ANSWERS[task]

    monkeypatch.setattr(bench_compile, "ask", ask)
    return asked


@pytest.mark.parametrize(
    ("first_step", "step", "expected"), [(4, 3, 4), (11, 3, 1), (4, 1, None)], ids=str
)
def test_compiling_pays_once_the_steps_have_saved_what_it_took(first_step, step, expected):
    """10 + (n - 1) seconds compiled: against 4 + 3 (n - 1) it is equal at n = 4."""
    compiled = {"trace": 1, "lower": 1, "compile": 7, "first_step": 1, "step": 1}
    assert break_even(compiled, {"first_step": first_step, "step": step}) == expected


def test_every_part_has_rows_and_unexpected_compilations_are_an_error(asked):
    rows = measured(bench_compile)
    assert list(dict.fromkeys(row["part"] for row in rows)) == list(bench_compile.PARTS)
    scales = [row for row in rows if row["part"] == "scale"]
    assert [(row["scale"], row["steps"]) for row in scales] == [
        ("16", 40),
        ("32", 26),
        ("sum", 66),
    ]
    assert scales[0]["run"] == pytest.approx(3.9)
    assert scales[0]["first"] == scales[0]["first_warm"] == 10.5
    assert scales[2]["compile"] == 8
    errors = {row["run"]: "error" in row for row in rows if row["part"] == "count"}
    assert errors == {"a whole run": False, "other steps": True}
    table = bench_compile.table(rows)
    assert "| sum | 2 | 4 |" in table and "unexpected count" in table


def test_the_cache_is_filled_by_one_process_and_used_by_the_next(asked):
    measured(bench_compile, "--repeats", 2, "--size", 512, quick=False)
    caches = [options["cache"] for task, options in asked if task == "stages"]
    assert caches[0] == caches[1] != caches[2] == caches[3]
    assert asked[0][1]["sizes"] == [256, 512]


def test_what_fails_or_comes_too_late_is_a_row(asked, monkeypatch):
    def fail(*_):
        raise RuntimeError("no memory")

    monkeypatch.setitem(bench_compile.PARTS, "count", fail)
    rows = measured(bench_compile)
    assert {"part": "count", "error": "no memory"} in rows
    assert rows[-1]["part"] == "eager"
    late = measured(bench_compile, "--seconds=-1")
    assert {row["error"] for row in late} == {"no time left"}
    assert "no time left" in bench_compile.table(late)


@pytest.mark.slow
def test_a_process_answers_or_says_why_not():
    assert bench_compile.ask("imports").keys() == {"jax", "jaxstyle"}
    with pytest.raises(RuntimeError, match="no_such_task"):
        bench_compile.ask("no_such_task")


@pytest.mark.slow
def test_each_part_is_measured(monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr("jaxstyle.execution.compilation.persist", lambda directory: None)
    (scale,) = worker.stages(sizes=[16], cache="", steps=2, **OPTIONS)
    assert scale.keys() == {"size", *worker.SPANS, "step"}
    assert all(seconds > 0 for seconds in scale.values())
    start = worker.start(size=16, cache="", began=0.0, **OPTIONS)
    assert 0 < start["weights"] < start["first_step"] < start["from_process_start"]
    eager = worker.eager(size=16, rounds=1, **OPTIONS)
    assert eager["first_step"] > 0 and eager["step"] > 0


@pytest.mark.slow
def test_the_solver_is_compiled_once_a_scale_and_never_again():
    rows = worker.counts(size=40, smallest_size=20, **OPTIONS)  # sizes that no other test compiles
    assert [row["solver"] for row in rows] == [row["expected"] for row in rows]
    assert rows[0]["expected"] == 2
    assert len(rows) == 7
