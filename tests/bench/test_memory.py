"""Tests of bench memory: the arithmetic, and one tiny measured case."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from bench import memory, work
from bench.child import call
from tests.bench import conftest

SHALLOW = {**conftest.SHALLOW, "precision": "float32"}


def test_prediction_and_measurement_are_compared_per_megapixel():
    row = memory.compared(500, predicted=1_000_000, measured=1_100_000)
    assert row["predicted_per_megapixel"] == 4_000_000
    assert row["measured_per_megapixel"] == 4_400_000
    assert row["measured_to_predicted"] == 1.1
    assert memory.compared(500, predicted=100, measured=89)["within_10_percent"] is False
    assert memory.compared(500, predicted=100, measured=91)["within_10_percent"] is True
    alone = memory.compared(500, predicted=1_000_000, measured=None)
    assert alone == {"predicted_per_megapixel": 4_000_000}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_the_peak_is_counted_from_where_it_was_settled():
    before = memory.settled_bytes()
    block = np.ones(4_000_000)  # 32 MB, touched
    assert memory.resident("VmRSS") - before > 0.9 * block.nbytes
    del block
    assert memory.peak_in_use() - before > 0.9 * 32_000_000
    memory.settled_bytes()
    assert memory.peak_in_use() - before < 0.5 * 32_000_000


def test_a_case_that_fails_is_a_row(monkeypatch):
    def answer(function, **options):
        if function == "bench.memory:platform":
            return "gpu"
        if options["size"] == 2048:
            raise RuntimeError("out of memory")
        return {"predicted": 10_000_000, "measured": 10_500_000}

    monkeypatch.setattr(memory, "call", answer)
    monkeypatch.setattr(work, "weights_of", lambda *_: None)
    rows = conftest.measured(memory, "--precision", "float32", quick=False)
    assert [row["size"] for row in rows] == [96, 96, 256, 256, 512, 512, 1024, 1024, 2048, 2048]
    assert [row.get("error") for row in rows[-3:]] == [None, "out of memory", "out of memory"]
    assert "| 256 | adam | | float32 | 10 | | | 10.5 |" in memory.table(rows)


@pytest.mark.slow
def test_a_case_is_predicted_to_take_layers_that_no_loss_needs():
    answer = memory.case(size=32, quick=True, weights=None, **SHALLOW)
    problem = work.problem(work.few_channels(), 32, 32, **SHALLOW)
    held = sum(leaf.nbytes for leaf in jax.tree.leaves((problem.objective, problem.state)))
    assert answer["predicted"] > held


def test_a_whole_command_is_predicted_and_measured_with_a_cold_and_a_warm_cache(monkeypatch):
    asked, answers = [], iter([("", 5), ("", 4), (json.dumps({"peak_bytes": 6}), 9)])

    def answer(command, environment):
        asked.append((command[3:], environment[memory.USERS_CACHE]))
        return next(answers)

    monkeypatch.setattr(memory, "finished", answer)
    found = memory.whole_command({"size": 32, "optimizer": "adam"}, None)
    assert found == {"predicted": 6, "cold": 5, "warm": 4, "measured": 5}
    assert [command[0] for command, _ in asked] == ["run"] * 3
    assert all("--size=32" in command for command, _ in asked)
    assert len({cache for _, cache in asked}) == 1 and "--plan" in asked[2][0]


def test_a_command_has_a_peak_or_says_why_not():
    said, peak = memory.finished([sys.executable, "-c", "print(bytes(50_000_000)[0])"], {})
    assert said == "0\n" and peak > 50_000_000
    with pytest.raises(RuntimeError, match="^no memory"):
        memory.finished([sys.executable, "-c", "import sys; sys.exit('no memory')"], {})


def test_a_child_answers_or_says_why_not():
    assert call("json:loads", s="[1, 2]") == [1, 2]
    assert call("os:getenv", {"ADDED": "here"}, key="ADDED") == "here"
    with pytest.raises(RuntimeError, match="JSONDecodeError"):
        call("json:loads", s="[")
