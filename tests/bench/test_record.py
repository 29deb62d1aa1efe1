"""Tests of records: complete, valid JSON, written atomically."""

import json
import math
import platform
from pathlib import Path

import pytest

from bench import record


def made(**arguments):
    return record.record("speed", arguments, [{"size": 16, "ms": 1.5}])


def test_a_record_says_what_was_measured_where_and_with_what(tmp_path):
    result = made(quick=True, rounds=3, seconds=math.inf, size=None)  # no limit, no value
    record.save(result, tmp_path / "new" / "a.json")
    assert record.load_all(tmp_path / "new") == [result]
    assert result["rows"] == [{"size": 16, "ms": 1.5}]
    assert result["arguments"] == {"quick": True, "rounds": 3}
    assert result["machine"]["cores"] >= 1
    assert result["machine"]["platform"] == "cpu"
    assert result["versions"]["python"] == platform.python_version()
    assert result["versions"].keys() >= {"jaxstyle", "jax", "jaxlib", "flax", "optax", "numpy"}
    assert record.default_path(result).name == "speed-cpu.json"


def test_a_record_names_neither_this_machine_nor_its_folders(tmp_path):
    files = {"json": tmp_path / "x.json", "weights": str(tmp_path / "x.h5")}
    result = made(**files, clips=[tmp_path / "a.mp4"], debug=False)
    assert result["arguments"]["clips"] == ["a.mp4"]
    text = json.dumps(result)
    assert str(tmp_path) not in text
    assert str(Path.home()) not in text
    assert platform.node() not in text or not platform.node()


def test_values_that_json_lacks_leave_the_old_record_in_place(tmp_path):
    path = tmp_path / "a.json"
    record.save({"rows": []}, path)
    with pytest.raises(ValueError, match="JSON"):
        record.save({"rows": [{"ms": math.nan}]}, path)
    assert record.load_all(tmp_path) == [{"rows": []}]
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_records_are_read_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a"):
        record.save({"name": name}, tmp_path / f"{name}.json")
    assert [each["name"] for each in record.load_all(tmp_path)] == ["a", "b"]


def test_outside_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "REPOSITORY", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert record.commit() == "unknown"


def test_changes_on_top_of_the_commit_are_told(monkeypatch):
    answers = {"rev-parse": "0123456789ab", "status": " M jaxstyle/optim/solve.py"}
    monkeypatch.setattr(record, "_git", lambda *arguments: answers[arguments[0]])
    assert record.commit() == "0123456789ab-dirty"
    answers["status"] = ""
    assert record.commit() == "0123456789ab"
