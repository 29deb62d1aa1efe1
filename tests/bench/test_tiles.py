"""The benchmarks of large pictures, on small ones."""

import json
import os
import subprocess
import sys
from argparse import Namespace

import pytest

from bench import split, tiles
from bench.child import ROOT
from jaxstyle.cli.failures import UsageError


def test_tiles_are_measured_beside_the_whole(monkeypatch):
    asked = []

    def call(function, **options):
        asked.append((function, options["way"]))
        return {"predicted": 3_000_000, "measured": 2_000_000, "seconds": 0.1}

    monkeypatch.setattr(tiles, "call", call)
    given = Namespace(
        quick=True,
        way=None,
        weights=None,
        tile=64,
        rounds=1,
        precision="auto",
        memory_until=None,
        time_until=0,
    )
    rows = tiles.measure(given, lambda line: None)
    ways = ["whole", "checkpointed", "tiles"]
    assert asked == [("bench.tiles:memory_case", way) for way in ways]
    (timed,) = rows[3:]
    assert (timed["width"], timed["height"]) == (128, 96)
    for name in ("seconds", "growth", "processor_growth", "cost", "processor_cost"):
        assert timed[name] > 0
    shown = tiles.table(rows)
    assert "| 128 | 96 | checkpointed | 3 | 2 | 163 | |" in shown


def test_splitting_needs_several_devices():
    with pytest.raises(UsageError, match="several devices"):
        split.measure(Namespace(quick=True, weights=None, size=None), lambda line: None)


def test_a_split_picture_takes_less_of_each_device(tmp_path):
    flags = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    path = tmp_path / "split.json"
    command = [sys.executable, "-m", "bench", "split", "--quick", "--json", str(path)]
    environment = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(path.read_text())["rows"]
    assert row["devices"] == 4 and row["share"] < 0.6
    assert row["loss_apart"] < 1e-5 and row["image_apart"] < 1e-2
