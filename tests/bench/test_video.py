"""Tests of bench video, by a trial run."""

import pytest

from bench import video
from tests.bench.conftest import measured


def test_a_clip_is_compared_with_its_frames_alone(tmp_path):
    (row,) = measured(video, "--no-long", "--pictures", tmp_path)
    assert (row["frames"], row["sides"], row["compilations"]) == (3, "32x32", 1)
    assert 0 < row["held"] < row["alone"]
    assert row["steadier"] == row["alone"] / row["held"]
    assert row["cost"] == row["later"] / row["whole"]
    assert [path.name for path in tmp_path.iterdir()] == ["seeded.png"]
    assert "| seeded | 32x32 | 3 |" in video.table([row])


@pytest.mark.slow
def test_drift_and_memory_of_long_clips_are_measured():
    _, standing, *lengths = measured(video)
    assert (standing["frames"], abs(standing["drift"]) < 30) == (3, True)
    assert 0.5 < standing["contrast"] < 2
    assert [row["frames"] for row in lengths] == [2, 3]
    assert all(row["peak"] > 50 for row in lengths)
