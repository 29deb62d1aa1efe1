"""Tests of bench tiles and bench split, on small pictures."""

import json
import subprocess
import sys
import time

import pytest

from bench import split, tiles
from bench.child import ROOT
from jaxstyle.errors import UsageError
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.execution.tiles.tiled import Tiled
from tests.bench.conftest import measured
from tests.processes import process_environment


class NoSteps:
    """A stub of a case whose steps take a millisecond."""

    def step(self):
        time.sleep(0.001)


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_tiles_are_measured_beside_the_whole(monkeypatch, real):
    asked, timed = [], []

    def call(function, **options):
        asked.append((function, options["way"]))
        return {"predicted": 3_000_000, "measured": 2_000_000, "seconds": 0.1}

    def step_of(loaded, sides, strategy, precision):
        timed.append((sides, strategy))
        return lambda: time.sleep(0.001)

    monkeypatch.setattr(tiles, "call", call)
    if not real:
        monkeypatch.setattr(tiles, "step_of", step_of)
    rows = measured(tiles)
    ways = ["whole", "checkpointed", "tiles"]
    assert asked == [("bench.tiles:memory_case", way) for way in ways]
    tiled = [((96, 128), Tiled(64)), ((96, 96), Tiled(64))]
    assert real or timed == [*tiled, ((96, 128), WHOLE)]
    (row,) = rows[3:]
    assert (row["width"], row["height"]) == (128, 96)
    for name in ("seconds", "growth", "processor_growth", "cost", "processor_cost"):
        assert row[name] > 0
    assert "| 128 | 96 | checkpointed | 3 | 2 | 163 | |" in tiles.table(rows)


def test_splitting_needs_several_devices():
    with pytest.raises(UsageError, match="several devices"):
        measured(split)


@pytest.mark.slow
def test_a_split_picture_takes_less_of_each_device(tmp_path):
    path = tmp_path / "split.json"
    command = [sys.executable, "-m", "bench", "split", "--quick", "--json", str(path)]
    environment = process_environment(devices=4)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(path.read_text())["rows"]
    assert row["devices"] == 4 and row["share"] < 0.6
    assert row["loss_apart"] < 1e-5 and row["image_apart"] < 1e-2
