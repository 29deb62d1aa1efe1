"""Numbers as people read them."""

from jaxstyle.machine.words import about, clock, count_of, in_bytes
from tests.cases import for_each


@for_each(
    ("said", "text"),
    [
        (count_of(1, "step"), "1 step"),
        (count_of(0, "step"), "0 steps"),
        (count_of(2, "picture"), "2 pictures"),
        (clock(7.4), "0:07"),
        (clock(754), "12:34"),
        (clock(3723), "1:02:03"),
        (about(None), "not known"),
        (about(0.4), "under 1 s"),
        (about(62), "about 62 s"),
        (about(720), "about 12 min"),
        (about(3 * 3600), "about 3 h"),
        (in_bytes(680_400_000), "680 MB"),
        (in_bytes(2_440_000_000), "2.4 GB"),
    ],
)
def test_numbers_in_words(said, text):
    assert said == text
