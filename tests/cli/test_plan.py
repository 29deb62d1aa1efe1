"""--plan, and what is said where memory is too small."""

import json
from dataclasses import replace

import jax
import pytest

from jaxstyle.__main__ import main
from jaxstyle.cli import plan
from jaxstyle.execution import memory
from jaxstyle.execution.estimate import Estimate, ScaleEstimate
from jaxstyle.execution.memory import out_of_memory
from jaxstyle.optim import solve
from tests.cli import conftest as cli
from tests.cli.conftest import PAIR, TWO_SCALES, names_in, rgb_of

EXHAUSTED = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
BROKEN = jax.errors.JaxRuntimeError("INTERNAL: something else")


def run(*arguments):
    return cli.run(*PAIR, *arguments)


def test_the_plan_is_a_table_and_makes_no_file(folder, capsys, monkeypatch):
    monkeypatch.setattr(solve, "minimize", None)  # never reached
    assert run("--plan", *TWO_SCALES) == 0
    printed = capsys.readouterr()
    header, coarse, fine, summary, verdict = printed.out.splitlines()
    assert header.split()[:3] == ["size", "style", "steps"]
    assert coarse.split()[:3] == ["32x24", "32x32", "3"]
    assert fine.split()[:3] == ["64x48", "64x64", "2"]
    assert summary.startswith("2 compilations, 5 steps: ")
    assert verdict.startswith("fits: needs about ")
    assert printed.err.count("\n") == 1
    assert names_in() == PAIR


@pytest.fixture
def planned(folder, monkeypatch):
    """A function that makes up what a run will take."""

    def make_up(**changes):
        scale = ScaleEstimate(48, 64, ((64, 64), (32, 32)), 20, 2e9, 3_000_000, 1.5, 60.0)
        made_up = replace(Estimate((scale,), 5_000_000_000, ()), **changes)
        monkeypatch.setattr(plan, "estimate", lambda *arguments: made_up)

    return make_up


def test_the_plan_for_machines(planned, capsys):
    planned()
    assert run("--plan", "--json", "-o", "out.png") == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert record["scales"][0]["styles"] == [[64, 64], [32, 32]]
    assert record["fits"] is True and record["seconds"] == 61.5
    assert printed.err == ""
    assert names_in() == PAIR


def test_the_plan_for_people(planned, capsys):
    planned()
    assert run("--plan", "--quiet") == 0
    header, row, summary, verdict = capsys.readouterr().out.splitlines()
    assert row.startswith("64x48  64x64 and 1 more     20  ")
    assert row.endswith("2.0    3 MB        1.5 s  about 60 s")
    assert summary.startswith("1 compilation, 20 steps: about 62 s, 2 s of it compiling")
    assert verdict == "fits: needs about 3 MB of memory of 5.0 GB"


TOO_LITTLE = "does not fit: needs about 3 MB of memory, 2 MB are available: "


@pytest.mark.parametrize(
    ("available", "remedies", "said"),
    [
        (2_000_000, [{"size": 48}], f"{TOO_LITTLE}--size 48 would fit"),
        (
            2_000_000,
            [{"size": 48, "size_rule": "shortest"}, {"optimizer": "adam"}],
            f"{TOO_LITTLE}--size 48 --size-rule shortest or --optimizer adam would fit",
        ),
        (
            2_000_000,
            [],
            f"{TOO_LITTLE}no setting would make it fit: use a machine with more memory",
        ),
        (None, [], "needs about 3 MB of memory; how much is available is not known"),
    ],
    ids=["a smaller size", "one of two remedies", "nothing", "what is not known is not promised"],
)
def test_what_would_fit_is_said(planned, capsys, available, remedies, said):
    planned(available_bytes=available, remedies=tuple(remedies))
    assert run("--plan") == 0
    assert capsys.readouterr().out.splitlines()[-1] == said


def test_a_texture_is_told_the_shape_that_fits(planned, capsys):
    planned(available_bytes=2_000_000, remedies=({"size": 48},))
    assert main(["texture", "style.png", "--plan", "--shape", "96x64"]) == 0
    assert capsys.readouterr().out.endswith(": --shape 48x32 would fit\n")


def test_a_run_that_cannot_fit_is_refused_before_it_starts(folder, capsys, monkeypatch):
    monkeypatch.setattr(solve, "minimize", None)  # never reached
    monkeypatch.setattr(memory, "bytes_before", lambda *_: 0)
    monkeypatch.setattr(memory, "_accelerator_bytes", lambda: 500_000)
    assert run("-o", "out.png", *TWO_SCALES) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("jaxstyle: out of memory: 64x48 needs about ")
    assert printed.err.endswith(" would fit\n") and "--size " in printed.err
    assert printed.err.count("\n") == 1 and printed.out == ""
    assert names_in() == PAIR


def test_errors_of_python_and_jax_alone_are_of_memory():
    assert out_of_memory(MemoryError())
    assert not out_of_memory(ValueError("RESOURCE_EXHAUSTED"))


def test_memory_that_gives_out_is_one_line_and_saves_the_picture(folder, capsys, monkeypatch):
    minimize = solve.minimize

    def exhausted(program, scored, begin, *arguments, **options):
        if begin.state.image.shape[1] == 64:
            raise EXHAUSTED
        yield from minimize(program, scored, begin, *arguments, **options)

    monkeypatch.setattr(solve, "minimize", exhausted)
    monkeypatch.setattr(memory, "bytes_before", lambda *_: 0)
    assert run("-o", "out.png", *TWO_SCALES) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("jaxstyle: out of memory: 64x48 needs about ")
    assert "--size 48 would fit: saved the picture so far (scale 1/2, step 3/3)" in line
    assert rgb_of("out-interrupted.png").shape == (48, 64, 3)


def test_no_size_is_advised_where_the_picture_takes_the_least_part(folder, capsys, monkeypatch):
    def fail(*arguments, **options):
        raise EXHAUSTED

    monkeypatch.setattr(solve, "minimize", fail)
    assert run("-o", "out.png", *TWO_SCALES) == 1
    line = capsys.readouterr().err
    assert "no setting would make it fit (even the smallest needs " in line
    assert "--size" not in line


@pytest.mark.parametrize(
    ("stage", "error", "start", "said"),
    [
        ("compile", EXHAUSTED, "out of memory: 64x48 needs about ", "--size 48 would fit"),
        ("minimize", BROKEN, "unexpected JaxRuntimeError: INTERNAL: something else", ""),
    ],
    ids=["a compiler out of memory", "not memory"],
)
def test_failures_of_the_device_are_explained(
    folder, capsys, monkeypatch, stage, error, start, said
):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(solve.Program if stage == "compile" else solve, stage, fail)
    monkeypatch.setattr(memory, "bytes_before", lambda *_: 0)
    assert run("-o", "out.png", *TWO_SCALES) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"jaxstyle: {start}") and said in line
