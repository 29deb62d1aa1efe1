"""The benchmark of batches on a cluster, from its arguments to its record."""

import json

import pytest

from bench.__main__ import main

pytest.importorskip("ray")


@pytest.mark.slow
def test_a_quick_run_has_a_row_for_everything(tmp_path, weights_path, capsys):
    path = tmp_path / "cluster.json"
    layers = "--settings=--style-layers relu1_1 --content-layers relu1_1"
    given = ["--quick", "--json", str(path), "--weights", str(weights_path), layers]
    assert main(["cluster", *given]) == 0
    one, two, overhead, manifest = json.loads(path.read_text())["rows"]
    assert one["ratio"] == 1 and two["per_hour"] == two["ratio"] * one["per_hour"]
    assert (one["count"], overhead["count"], manifest["count"]) == (4, 100, 200)
    assert all(row["seconds"] > 0 for row in (one, two, overhead, manifest))
    assert "batch --cluster, workers: 2" in capsys.readouterr().out
