"""The arithmetic of progress reports."""

import pytest

from jaxstyle.execution.plan import Scale
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.optim.solve import Course, Hyperparameters, Reached, State
from jaxstyle.runs.result import Progress

SCALES = [Scale(10, 10, 10, 100), Scale(20, 20, 20, 50)]  # of 30000 pixels times steps


def progress(scale, step, seconds):
    state = State(None, None, None, None, None, None)
    reached = Reached(Hyperparameters(), state, (Course(step, total=1.5),), seconds)
    return Progress(SCALES, scale, reached, WHOLE, [False], seconds)


def test_work_is_pixels_times_steps():
    assert progress(0, 50, 1.0).share == pytest.approx(5000 / 30000)
    assert progress(1, 25, 1.0).share == pytest.approx(20000 / 30000)
    assert progress(1, 50, 1.0).share == 1


def test_time_left_scales_with_the_pixels_to_come():
    assert progress(0, 50, 5.0).seconds_left == pytest.approx(5 + 20)
    assert progress(1, 25, 10.0).seconds_left == pytest.approx(10)
