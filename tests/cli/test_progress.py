"""The arithmetic of the progress bar, and its silence off a terminal."""

import io
import sys

import jax.numpy as jnp
import pytest

from jaxstyle.cli.progress import done_share, progress_bar, seconds_left
from jaxstyle.execution.plan import Scale
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.optim.solve import Course, Hyperparameters, Reached, State
from jaxstyle.runs.result import Progress

SCALES = [Scale(10, 10, 10, 100), Scale(20, 20, 20, 50)]


def progress(scale, step, seconds):
    zero = jnp.zeros(())
    state = State(zero, (), zero, zero, zero, zero)
    reached = Reached(Hyperparameters(zero), state, (Course(step, total=1.5),), seconds)
    return Progress(SCALES, scale, reached, WHOLE, [False], seconds)


def test_work_is_pixels_times_steps():
    assert done_share(SCALES, 0, 50) == pytest.approx(5000 / 30000)
    assert done_share(SCALES, 1, 25) == pytest.approx(20000 / 30000)
    assert done_share(SCALES, 1, 50) == 1


def test_time_left_scales_with_the_pixels_to_come():
    assert seconds_left(progress(0, 50, 5.0)) == pytest.approx(5 + 20)
    assert seconds_left(progress(1, 25, 10.0)) == pytest.approx(10)


def test_off_a_terminal_nothing_is_printed(capsys):
    with progress_bar() as bar:
        bar(progress(0, 1, 0.1))
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_on_a_terminal_something_moves_in_letters_that_it_has(monkeypatch, encoding):
    class Terminal(io.TextIOWrapper):
        def isatty(self):
            return True

    written = io.BytesIO()
    monkeypatch.setattr("sys.stderr", Terminal(written, encoding=encoding))
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar() as bar:
        bar(progress(0, 1, 0.1))
    sys.stderr.flush()
    text = written.getvalue().decode(encoding)
    assert "step 1/" in text and "\\u" not in text
