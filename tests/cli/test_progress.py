"""The progress bar: silent off a terminal, and in letters that the terminal has."""

import io
import sys

import jax.numpy as jnp
import pytest

from jaxstyle.cli.progress import progress_bar
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
