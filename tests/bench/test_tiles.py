"""Tests of bench tiles and bench split, on small pictures."""

import json
import subprocess
import sys
import time
from argparse import Namespace

import pytest

from bench import split, tiles
from bench.child import ROOT
from jaxstyle.errors import UsageError
from jaxstyle.execution.strategy import WHOLE, Strategy
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

    def case_of(loaded, sides, way, precision):
        timed.append((sides, way))
        return NoSteps()

    monkeypatch.setattr(tiles, "call", call)
    if not real:
        monkeypatch.setattr(tiles, "case_of", case_of)
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
    assert real or timed == [
        ((96, 128), Strategy(64)),
        ((96, 96), Strategy(64)),
        ((96, 128), WHOLE),
    ]
    (row,) = rows[3:]
    assert (row["width"], row["height"]) == (128, 96)
    for name in ("seconds", "growth", "processor_growth", "cost", "processor_cost"):
        assert row[name] > 0
    shown = tiles.table(rows)
    assert "| 128 | 96 | checkpointed | 3 | 2 | 163 | |" in shown


def test_splitting_needs_several_devices():
    with pytest.raises(UsageError, match="several devices"):
        split.measure(Namespace(quick=True, weights=None, size=None), lambda line: None)


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
