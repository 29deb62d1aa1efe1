"""A standard error that breaks: no run ends because of it."""

import errno
import io
import sys

import pytest

from jaxstyle.machine.command_line import Lenient
from tests.cli.conftest import OUT, TWO_SCALES, rgb_of, run


class Broken(io.StringIO):
    """A terminal that is gone."""

    def write(self, text):
        raise OSError(errno.EIO, "Input/output error")

    def flush(self):
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("stream", ["broken", "closed"])
def test_what_cannot_be_written_is_dropped(stream):
    below = Broken()
    if stream == "closed":
        below = io.StringIO()
        below.close()
    print("a line", file=Lenient(below), flush=True)


def test_all_else_is_that_of_the_stream():
    below = io.StringIO()
    stream = Lenient(below)
    assert stream.write("a line") == 6
    assert (stream.getvalue(), stream.isatty()) == ("a line", False)


def test_a_run_whose_terminal_is_gone_makes_its_picture(folder, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Lenient(Broken()))
    assert run(*OUT, *TWO_SCALES, "--checkpoint-every", "1e-9") == 0
    assert rgb_of("out.png").shape == (48, 64, 3)
