"""--profile DIR: a trace of the run."""

import gzip
import json
from pathlib import Path

import jax

from tests.cli import conftest as cli
from tests.cli.conftest import ONE_SCALE, OUT


def run(*arguments):
    return cli.run(*OUT, *ONE_SCALE, *arguments)


def test_it_is_written_and_the_user_told_where(folder, capsys):
    assert run("--profile", "trace") == 0
    line, _ = capsys.readouterr().err.splitlines()
    path, _, advice = line.partition(": ")
    assert "perfetto" in advice
    with gzip.open(path) as file:
        events = json.load(file)["traceEvents"]
    assert any("solver_" in str(event) for event in events)
    assert Path("out.png").exists()


def test_a_directory_that_is_there_will_do(folder):
    Path("trace").mkdir()
    assert run("--profile", "trace", "--quiet") == 0
    assert list(Path("trace").glob("plugins/profile/*/*.trace.json.gz"))


def test_where_none_can_be_written_nothing_is_done(folder, refused):
    for directory, said in (
        ("style.png", "is a file, and --profile needs a directory"),
        ("no/trace", "there is no directory"),
        ("out.png", "same name as another output"),
    ):
        refused(["run", *OUT, "--profile", directory], 1, said)


def test_a_trace_that_cannot_be_written_costs_the_trace_alone(folder, monkeypatch, capsys):
    stop = jax.profiler.stop_trace

    def full():
        stop()
        raise RuntimeError("No space left on device")

    monkeypatch.setattr(jax.profiler, "stop_trace", full)
    assert run("--profile", "trace", "--quiet") == 1
    said = "jaxstyle: trace: the trace cannot be written: No space left on device\n"
    assert capsys.readouterr().err == said
    assert cli.rgb_of("out.png").shape == (24, 32, 3)
