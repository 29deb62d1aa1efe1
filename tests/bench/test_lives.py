"""A process that makes pictures of many sizes does not grow without bound."""

import pytest

from bench import lives
from bench.child import call


def test_the_table_tells_what_is_bounded():
    rows = [{"runs": 30, "resident": 700_000_000, "maps": 4000, "bounded": True}]
    assert "| 30 | 700 | 4000 | yes |" in lives.table(rows)


@pytest.mark.slow
def test_many_sizes_take_no_more_than_a_few():
    given = {"smallest": 48, "steps": 1, "quick": True, "weights": None}
    rows = call("bench.lives:live", runs=40, sizes=20, **given)
    assert [row["runs"] for row in rows] == [*range(4, 41, 4)]
    assert all(row["bounded"] for row in rows)
    half, end = rows[4], rows[-1]
    assert end["maps"] <= half["maps"] + 500
    assert end["resident"] <= half["resident"] + 150_000_000
