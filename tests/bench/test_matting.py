"""Tests of bench matting, by a trial run."""

import json

import pytest

from bench import matting
from bench.__main__ import main

pytest.importorskip("pymatting")


@pytest.mark.slow
def test_the_command_measures_both_ways_and_they_agree(monkeypatch, tmp_path, capsys):
    """Run the command with --quick, from its arguments to record and table."""
    asked, path = [], tmp_path / "record.json"
    monkeypatch.setattr(matting, "call", lambda *function, **options: asked.append(options))
    assert main(["matting", "--quick", "--json", str(path)]) == 0
    (row,) = json.loads(path.read_text())["rows"]
    assert matting.table([row]) in capsys.readouterr().out
    assert "| 32 x 24 |" in matting.table([row])
    assert [each["way"] for each in asked] == ["windows", "matrix"]
    assert row["apart"] < 1e-4
    assert row["ratio"] == pytest.approx(row["matrix_median"] / row["windows_median"])
    for way in matting.WAYS:
        assert 0 < row[f"{way}_low"] <= row[f"{way}_median"] <= row[f"{way}_high"]
        assert row[f"{way}_prepare"] > 0
        assert row[f"{way}_bytes"] is None


def test_gradients_of_both_ways_are_the_same():
    photo, image = (matting.work.picture(seed, 12, 10) for seed in range(2))
    (_, ours), (_, theirs) = (way(photo, image)() for way in matting.WAYS.values())
    assert abs(ours.reshape(-1, 3) - theirs).max() < 1e-4 * abs(theirs).max()


@pytest.mark.slow
def test_the_matrix_takes_memory():
    taken = matting.peak("matrix", 128, 128)
    assert taken is None or taken > 128 * 128 * 25 * 8
