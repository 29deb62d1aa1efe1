"""Tests of bench compile: the tables' arithmetic, and the measurements of one process."""

from argparse import Namespace

import pytest

from bench import compile as bench_compile
from bench import worker
from bench.compile import break_even

SHALLOW = {"content_layers": "relu1_1", "style_layers": "relu1_1", "precision": "float32"}
OPTIONS = {"quick": True, "weights": None, "settings": SHALLOW}

STAGES = {"prepare": 1.0, "trace": 2.0, "lower": 3.0, "compile": 4.0, "first_step": 0.5}


def arguments(**given):
    defaults = {"quick": True, "weights": None, "size": 512, "repeats": 3, "seconds": 60.0}
    return Namespace(**{**defaults, "optimizer": "adam", "precision": "auto", **given})


@pytest.fixture
def answers(monkeypatch):
    """Canned results in place of processes; every call is recorded."""
    asked = []

    def ask(task, **options):
        asked.append((task, options))
        return {
            "stages": [{"size": size, **STAGES, "step": 0.1} for size in options.get("sizes", ())],
            "start": {"weights": 0.1, "first_step": 1.0, "from_process_start": 2.0},
            "counts": [
                {"run": "a whole run", "solver": 2, "expected": 2, "other": 5},
                {"run": "other steps", "solver": 1, "expected": 0, "other": 0},
            ],
            "imports": {"jax": 0.5, "jaxstyle": 0.2},
            "eager": {"size": 16, "first_step": 3.0, "step": 1.1},
        }[task]

    monkeypatch.setattr(bench_compile, "ask", ask)
    return asked


def test_compiling_pays_once_the_steps_have_saved_what_it_took():
    compiled = {"trace": 1, "lower": 1, "compile": 7, "first_step": 1, "step": 1}
    # 10 + (n - 1) against 4 + 3 (n - 1): equal at n = 4.
    assert break_even(compiled, {"first_step": 4, "step": 3}) == 4
    assert break_even(compiled, {"first_step": 11, "step": 3}) == 1
    assert break_even(compiled, {"first_step": 4, "step": 1}) is None


def test_every_part_has_rows(answers):
    rows = bench_compile.measure(arguments(), lambda line: None)
    assert list(dict.fromkeys(row["part"] for row in rows)) == list(bench_compile.PARTS)
    scales = [row for row in rows if row["part"] == "scale"]
    assert [row["scale"] for row in scales] == ["16", "32", "sum"]
    assert [row["steps"] for row in scales] == [100, 60, 160]
    assert scales[0]["run"] == pytest.approx(9.9)
    assert scales[0]["first"] == scales[0]["first_warm"] == 10.5
    assert scales[2]["compile"] == 8
    table = bench_compile.table(rows)
    assert "| sum | 2 | 4 |" in table
    assert "unexpected count" in table


def test_the_cache_is_filled_by_one_process_and_used_by_the_next(answers):
    bench_compile.measure(arguments(repeats=2, quick=False), lambda line: None)
    caches = [options["cache"] for task, options in answers if task == "stages"]
    assert caches[0] == caches[1] != caches[2] == caches[3]
    sizes = [options["sizes"] for task, options in answers if task == "stages"]
    assert sizes[0] == [128, 256, 512]


def test_more_compilations_than_expected_are_an_error(answers):
    rows = bench_compile.measure(arguments(), lambda line: None)
    errors = {row["run"]: "error" in row for row in rows if row["part"] == "count"}
    assert errors == {"a whole run": False, "other steps": True}


def test_what_fails_or_comes_too_late_is_a_row(answers, monkeypatch):
    def fail(*_):
        raise RuntimeError("no memory")

    monkeypatch.setitem(bench_compile.PARTS, "count", fail)
    rows = bench_compile.measure(arguments(), lambda line: None)
    assert {"part": "count", "error": "no memory"} in rows
    assert rows[-1]["part"] == "eager"
    late = bench_compile.measure(arguments(seconds=-1.0), lambda line: None)
    assert {row["error"] for row in late} == {"no time left"}
    assert "no time left" in bench_compile.table(late)


@pytest.mark.slow
def test_a_process_answers_or_says_why_not():
    assert bench_compile.ask("imports").keys() == {"jax", "jaxstyle"}
    with pytest.raises(RuntimeError, match="no_such_task"):
        bench_compile.ask("no_such_task")


@pytest.fixture
def no_cache(monkeypatch):
    from jaxstyle.execution import compilation

    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr(compilation, "persist", lambda directory: None)


@pytest.mark.slow
def test_stages_of_a_scale(no_cache):
    (row,) = worker.stages(sizes=[16], cache="", steps=2, **OPTIONS)
    assert row.keys() == {"size", *worker.SPANS, "step"}
    assert all(seconds > 0 for seconds in row.values())


@pytest.mark.slow
def test_the_first_step_of_a_process(no_cache):
    row = worker.start(size=16, cache="", began=0.0, **OPTIONS)
    assert 0 < row["weights"] < row["first_step"] < row["from_process_start"]


@pytest.mark.slow
def test_a_step_operation_by_operation():
    row = worker.eager(size=16, rounds=1, **OPTIONS)
    assert row["first_step"] > 0
    assert row["step"] > 0


@pytest.mark.slow
def test_the_solver_is_compiled_once_a_scale_and_never_again():
    rows = worker.counts(size=40, smallest_size=20, **OPTIONS)  # sizes that no other test compiles
    assert [row["solver"] for row in rows] == [row["expected"] for row in rows]
    assert rows[0]["expected"] == 2
    assert len(rows) == 7
