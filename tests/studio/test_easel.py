"""HTML of what browsers are shown."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from jaxstyle.studio import easel
from jaxstyle.studio.view import MOST_POINTS, Cell, Course, View, jpeg

PICTURE = jpeg(np.zeros((30, 40, 3), np.float32))
RUNNING = View(
    "running", "A painting", "step 1", PICTURE, PICTURE, "A painting", 0.25,
    {"total": (10.0, 5.0, 2.0), "style": (9.0, 4.0, 0.0)}, (1,),
)  # fmt: skip
HOSTILE = '<script>alert("x")</script>'


class Tags(HTMLParser):
    """Collects tags and attributes, and checks that every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


def test_a_running_picture_has_a_bar_and_curves():
    tags = Tags(easel.drawn(RUNNING))
    assert [image["alt"] for image in tags.all("img")] == ["A painting"]
    (bar,) = (a for a in tags.all("div") if a.get("role") == "progressbar")
    assert bar["aria-valuenow"] == "25"
    assert len(tags.all("polyline")) == 2
    assert len(tags.all("line")) == 1
    assert not tags.all("input")


def test_a_finished_picture_is_compared_with_the_photo():
    tags = Tags(easel.drawn(replace(RUNNING, state="done")))
    assert {image["alt"] for image in tags.all("img")} == {"A painting", "The photo"}
    (slider,) = tags.all("input")
    assert slider["aria-label"] == "Show from the left: The photo"


def test_before_the_first_step_the_photo_is_shown():
    tags = Tags(easel.drawn(replace(RUNNING, picture=b"", curves={})))
    assert [image["alt"] for image in tags.all("img")] == ["The photo"]


def test_a_failure_is_an_alert():
    tags = Tags(easel.drawn(View("failed", text="too large")))
    assert any(attrs.get("role") == "alert" for attrs in tags.all("p"))


def test_text_from_outside_is_escaped():
    hostile = replace(
        RUNNING, state="done", title=HOSTILE, alt=HOSTILE, text=HOSTILE, notes=(HOSTILE,)
    )
    grid = View("done", cells=(Cell(HOSTILE, PICTURE, HOSTILE),), columns=1)
    for view in (hostile, grid):
        assert not Tags(easel.drawn(view)).all("script")


def test_finished_cells_can_be_chosen():
    cells = (Cell("strength 0.3", PICTURE, "a-2"), Cell("strength 0.5"))
    buttons = Tags(easel.drawn(View("running", cells=cells, columns=2))).all("button")
    assert [button.get("data-name") for button in buttons] == ["a-2", None]
    assert "disabled" in buttons[1]


@pytest.mark.parametrize("values", [(1.0, 1.0), (5.0, 0.0), (1e20, 1e-20)])
def test_curves_stay_in_the_drawing(values):
    drawn = easel.curve(View("running", curves={"total": values}))
    points = re.search(r'points="([^"]*)"', drawn)[1].split()
    assert len(points) == 2
    for point in points:
        x, y = map(float, point.split(","))
        assert 0 <= x <= easel.CURVE_WIDTH and 0 <= y <= easel.CURVE_HEIGHT


def test_long_curves_are_thinned_to_the_last_point():
    course = Course()
    for step in range(5000):
        course.add(SimpleNamespace(scale=step // 4000, total=5000.0 - step, terms={}))
    shown = course.shown()
    assert len(shown["curves"]["total"]) <= MOST_POINTS + 2
    assert shown["curves"]["total"][-1] == 1
    assert shown["curves"].keys() == {"total"}
    assert shown["starts"] == (4000 // (1 + 5000 // MOST_POINTS),)
