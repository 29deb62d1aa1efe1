"""--plan, and what is said where memory is too small."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import pytest
from PIL import Image

from jaxstyle.__main__ import main
from jaxstyle.cli import plan
from jaxstyle.cli.memory import out_of_memory
from jaxstyle.execution import memory
from jaxstyle.execution.estimate import Estimate, ScaleEstimate
from jaxstyle.optim import solve
from tests.cli.conftest import TWO_SCALES


@pytest.fixture
def limit(monkeypatch):
    """A function that gives the device so many bytes."""

    def set_to(count):
        monkeypatch.setattr(memory, "_accelerator_bytes", lambda: count)

    return set_to


def run(*arguments):
    return main(["run", "content.png", "style.png", *arguments])


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
    assert sorted(p.name for p in folder.iterdir()) == ["content.png", "style.png"]


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
    assert not Path("out.png").exists()


def test_the_plan_for_people(planned, capsys):
    planned()
    assert run("--plan", "--quiet") == 0
    header, row, summary, verdict = capsys.readouterr().out.splitlines()
    assert row.startswith("64x48  64x64 and 1 more     20  ")
    assert row.endswith("2.0    3 MB        1.5 s  about 60 s")
    assert summary.startswith("1 compilation, 20 steps: about 62 s, 2 s of it compiling")
    assert verdict == "fits: needs about 3 MB of memory of 5.0 GB"


@pytest.mark.parametrize(
    ("remedies", "said"),
    [
        (({"size": 48},), "--size 48 would fit"),
        (
            ({"size": 48, "size_rule": "shortest"}, {"optimizer": "adam"}),
            "--size 48 --size-rule shortest or --optimizer adam would fit",
        ),
        ((), "no setting would make it fit: use a machine with more memory"),
    ],
)
def test_what_would_fit_is_said(planned, capsys, remedies, said):
    planned(available_bytes=2_000_000, remedies=remedies)
    assert run("--plan") == 0
    verdict = capsys.readouterr().out.splitlines()[-1]
    start = "does not fit: needs about 3 MB of memory, 2 MB are available: "
    assert verdict == start + said


def test_memory_that_is_not_known_is_not_promised(planned, capsys):
    planned(available_bytes=None)
    assert run("--plan") == 0
    assert "how much is available is not known" in capsys.readouterr().out


def test_a_texture_is_told_the_shape_that_fits(planned, capsys):
    planned(available_bytes=2_000_000, remedies=({"size": 48},))
    assert main(["texture", "style.png", "--plan", "--shape", "96x64"]) == 0
    assert capsys.readouterr().out.endswith(": --shape 48x32 would fit\n")


def test_a_run_that_cannot_fit_is_refused_before_it_starts(folder, capsys, limit, monkeypatch):
    monkeypatch.setattr(solve, "minimize", None)  # never reached
    limit(700_000)
    assert run("-o", "out.png", *TWO_SCALES) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("jaxstyle: out of memory: 64x48 needs about ")
    assert printed.err.endswith(" would fit\n") and "--size " in printed.err
    assert printed.err.count("\n") == 1 and printed.out == ""
    assert sorted(p.name for p in folder.iterdir()) == ["content.png", "style.png"]


EXHAUSTED = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (EXHAUSTED, True),
        (MemoryError(), True),
        (jax.errors.JaxRuntimeError("INTERNAL: something else"), False),
        (ValueError("RESOURCE_EXHAUSTED"), False),
    ],
)
def test_memory_is_told_from_other_failures(error, is_memory):
    assert out_of_memory(error) is is_memory


@pytest.mark.parametrize(("there", "given_back"), [(2 * 10**9, True), (10**12, False)])
def test_freed_memory_is_kept_only_where_there_is_plenty(folder, monkeypatch, there, given_back):
    asked = []
    monkeypatch.setattr("jaxstyle.network.machine.give_memory_back", lambda: asked.append(True))
    monkeypatch.setattr(memory, "total_bytes", lambda: there)
    monkeypatch.setattr("jaxstyle.cli.memory._rough_bytes", lambda *_: 9 * 10**8)
    assert run("-o", "out.png", *TWO_SCALES) == 0
    assert bool(asked) is given_back


def test_memory_that_gives_out_is_one_line_and_saves_the_picture(folder, capsys, monkeypatch):
    minimize = solve.minimize

    def exhausted(program, scored, rates, state, *arguments, **options):
        if state.image.shape[1] == 64:
            raise EXHAUSTED
        yield from minimize(program, scored, rates, state, *arguments, **options)

    monkeypatch.setattr(solve, "minimize", exhausted)
    assert run("-o", "out.png", *TWO_SCALES) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("jaxstyle: out of memory: 64x48 needs about ")
    assert "--size 48 would fit: saved the picture so far (scale 1/2, step 3/3)" in line
    with Image.open("out.png") as image:
        assert image.size == (64, 48)


def test_a_compiler_out_of_memory_is_explained_too(folder, capsys, monkeypatch):
    def exhausted(*arguments):
        raise EXHAUSTED

    monkeypatch.setattr(solve, "compile_program", exhausted)
    assert run("-o", "out.png", *TWO_SCALES) == 1
    line = capsys.readouterr().err
    assert line.startswith("jaxstyle: out of memory: 64x48 needs about ")
    assert "--size 48 would fit" in line


def test_other_failures_of_the_device_are_not_called_memory(folder, capsys, monkeypatch):
    def broken(*arguments, **options):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(solve, "minimize", broken)
    assert run("-o", "out.png", *TWO_SCALES) == 1
    assert "unexpected JaxRuntimeError: INTERNAL: something else" in capsys.readouterr().err
