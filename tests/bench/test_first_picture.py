"""Tests of bench first-picture: cold and warm caches take turns, every phase is there."""

import pytest

from bench import child, first_picture
from tests.bench.conftest import measured


def test_a_cold_process_is_followed_by_a_warm_one_with_its_caches(monkeypatch, tmp_path):
    caches = []

    def call(function, environment, **options):
        caches.append(environment["XDG_CACHE_HOME"])
        taken = [9.0, 1.0, 5.0, 3.0, 7.0, 2.0][len(caches) - 1]
        return {**dict.fromkeys(first_picture.PHASES, 0.5), "whole": taken, "programs": 3}

    weights = tmp_path / "weights.h5"
    weights.write_bytes(b"not read here")
    monkeypatch.setattr(child, "call", call)
    cold, warm = measured(first_picture, "--weights", weights, quick=False)
    assert caches[0] == caches[1] != caches[2] == caches[3] != caches[4] == caches[5]
    assert (cold["caches"], cold["whole"]) == ("cold", 7)
    assert (warm["caches"], warm["whole"]) == ("warm", 2)
    table = first_picture.table([cold, warm])
    assert "| cold | 0.5 |" in table and "| 7 |" in table


@pytest.mark.slow
def test_every_phase_is_measured():
    cold, warm = measured(first_picture)
    for row in (cold, warm):
        assert min(row[phase] for phase in first_picture.PHASES) >= 0
        assert row["whole"] > row["import"] > 0 and row["steps"] > 0 < row["save"]
    assert cold["programs"] == warm["programs"] > 0
