"""--checkpoint-every and --resume: nothing is lost, and nothing is left behind."""

import json
import os
import signal
from pathlib import Path

import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.errors import CheckpointError
from jaxstyle.optim import solve
from jaxstyle.runs import checkpoint
from tests.cli.conftest import TWO_SCALES, files_in, save

KEPT = Path("out.png.checkpoint")
ALWAYS = ["--checkpoint-every", "1e-9"]


def run(*flags, output="out.png"):
    return main(["run", "content.png", "style.png", "-o", output, *TWO_SCALES, *map(str, flags)])


@pytest.fixture
def ended(monkeypatch):
    """A function that has a run ended by a signal once it has taken so many steps."""
    minimize = solve.minimize

    def end(after, number=signal.SIGTERM):
        left = [after]

        def watched(*arguments, **options):
            for report in minimize(*arguments, **options):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), number)
                yield report

        monkeypatch.setattr(solve, "minimize", watched)

    return end


@pytest.fixture(scope="module")
def made():
    """A place for the pixels of a run that nothing happened to, which is made once."""
    return []


@pytest.fixture
def untouched(folder, made):
    """The pixels of a run that nothing happened to."""
    if not made:
        assert run("--quiet", output="untouched.png") == 0
        made.append(read("untouched.png"))
        Path("untouched.png").unlink()
    return made[0]


def read(path):
    """Pixels: what is beside them names the file."""
    return images.read(path).rgb.tobytes()


def newest():
    """The number of the newest checkpoint that is whole, or 0."""
    names = [path.name for path in KEPT.glob("*") if "." not in path.name]
    return max((int(name.partition("-")[0]) for name in names), default=0)


STOPS = [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]


@pytest.mark.parametrize(("number", "status", "word"), STOPS)
@pytest.mark.parametrize("flag", ["--resume", "--checkpoint-every=1000"])
@pytest.mark.parametrize(("after", "place"), [(2, "2 of scale 1"), (4, "1 of scale 2")])
def test_a_run_that_is_ended_is_kept(
    untouched, ended, capsys, number, status, word, flag, after, place
):
    ended(after, number)
    assert run(flag) == status
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        f"jaxstyle: {word}: saved a checkpoint (step {place}) in {KEPT}: continue with --resume"
    )
    assert not Path("out.png").exists()
    assert KEPT.is_dir()
    assert run("--resume") == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"{KEPT}: continuing from step {place}"
    assert said[1].startswith("out.png: 64x48, ")
    assert read("out.png") == untouched
    assert {path.name for path in Path().iterdir()} == {*("content.png", "style.png", "out.png")}


@pytest.mark.parametrize(("number", "status", "word"), STOPS)
def test_without_the_flags_it_is_the_picture_that_is_saved(
    folder, ended, capsys, number, status, word
):
    ended(4, number)
    assert run() == status
    line = f"jaxstyle: {word}: saved the picture so far (scale 2/2, step 1/2) as out.png\n"
    assert capsys.readouterr().err == line
    assert not KEPT.exists()


def test_it_may_be_ended_again_and_again(untouched, ended):
    for after in (1, 1, 2):
        ended(after)
        assert run("--resume", "--quiet") == 143
        assert not Path("out.png").exists()
        ended(0)
    assert run("--resume", "--quiet") == 0
    assert read("out.png") == untouched


def test_what_is_kept_by_the_clock_is_gone_on_with(untouched, monkeypatch, capsys):
    """As after kill -9: what the process does last is to write a checkpoint."""
    save, saved = checkpoint.save, []

    def killed(directory, tree):
        save(directory, tree)
        saved.append(tree)
        if len(saved) == 4:
            raise SystemExit("killed")

    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="killed"):
        patch.setattr(checkpoint, "save", killed)
        run(*ALWAYS)
    assert newest() == 4
    assert run("--resume", *ALWAYS) == 0
    assert "continuing from step 1 of scale 2" in capsys.readouterr().err
    assert read("out.png") == untouched
    assert not KEPT.exists()


def test_without_a_checkpoint_it_starts_from_the_beginning_and_says_so(untouched, capsys):
    assert run("--resume") == 0
    line = capsys.readouterr().err.splitlines()[0]
    assert line == f"{KEPT}: no checkpoint: starting from the beginning"
    assert read("out.png") == untouched
    assert not KEPT.exists()


def test_previews_timelapse_and_report_are_those_of_one_run(folder, ended, capsys):
    extras = "--save-every", "2", "--seed", "3"
    assert run(*extras, "--timelapse", "one.webp", "--report", "one.json") == 0
    previews = {path.name: path.read_bytes() for path in folder.glob("out-*.png")}
    assert len(previews) == 2
    for name in previews:
        Path(name).unlink()
    for after in (1, 2):
        ended(after)
        assert run(*extras, "--timelapse", "two.webp", "--report", "two.json", "--resume") == 143
        ended(0)
    assert run(*extras, "--timelapse", "two.webp", "--report", "two.json", "--resume") == 0
    assert {path.name: path.read_bytes() for path in folder.glob("out-*.png")} == previews
    assert Path("two.webp").read_bytes() == Path("one.webp").read_bytes()
    one, two = (json.loads(Path(name).read_text()) for name in ("one.json", "two.json"))
    assert two["losses"] == one["losses"]
    assert [scale["steps"] for scale in two["scales"]] == [3, 2]


def test_textures_go_on_too(folder, ended, capsys):
    flags = "--shape", "48x32", "--smallest-size", "32", "--steps", "3,2", "--style-layers"
    command = ["texture", "style.png", *flags, "relu1_1", "--periodic", "--quiet"]
    assert main([*command, "-o", "untouched.png"]) == 0
    ended(2)
    assert main([*command, "-o", "out.png", "--resume"]) == 143
    ended(0)
    assert main([*command, "-o", "out.png", "--resume"]) == 0
    assert Path("out.png").read_bytes() == Path("untouched.png").read_bytes()
    assert not KEPT.exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--style-weight", "8"], "--style-weight"),
        (["--seed", "1", "--steps", "3,3"], "--steps, --seed"),
        (["content.png"], "the content picture"),
        (["style.png"], "style picture 1"),
    ],
)
def test_another_run_is_not_gone_on_with(folder, ended, capsys, picture, change, named):
    ended(2)
    assert run("--resume") == 143
    before = files_in(KEPT)
    for path in (path for path in change if path.endswith(".png")):
        save(path, picture(7, 40, 40))
    capsys.readouterr()
    assert run("--resume", *(flag for flag in change if not flag.endswith(".png"))) == 1
    assert capsys.readouterr().err == (
        f"jaxstyle: {KEPT}: is of a run that differs in {named}: repeat its arguments, or run "
        "without --resume to start from the beginning\n"
    )
    assert files_in(KEPT) == before


def test_what_does_not_matter_may_change(folder, ended):
    ended(2)
    assert run("--resume", "--quiet") == 143
    ended(0)
    assert run("--resume", "--original-colors", "--bits", "16", "--report", "r.json") == 0
    assert json.loads(images.read_description("out.png"))["jaxstyle"]["bits"] == 16


def test_a_damaged_checkpoint_is_one_line(folder, ended, capsys):
    ended(2)
    assert run("--resume") == 143
    kept = next(KEPT.rglob("tree.npz"))
    kept.write_bytes(kept.read_bytes()[:1000])
    capsys.readouterr()
    assert run("--resume") == 1
    line = capsys.readouterr().err
    assert line.startswith(f"jaxstyle: {KEPT}: the checkpoint is damaged (")
    assert line.endswith("): delete it, or run without --resume\n")
    assert not Path("out.png").exists()


def test_what_another_program_kept_there_is_not_gone_on_with(folder, capsys):
    checkpoint.save(KEPT, {"something": "else"})
    assert run("--resume") == 1
    assert "is of a run that differs in " in capsys.readouterr().err


def test_starting_afresh_replaces_an_earlier_run_and_says_so(untouched, ended, capsys):
    ended(2)
    assert run("--seed", "9", "--init-noise", "0.5", "--resume") == 143
    ended(0)
    capsys.readouterr()
    assert run(*ALWAYS) == 0
    line = capsys.readouterr().err.splitlines()[0]
    assert line == (f"note: {KEPT} has an earlier run: starting over (--resume would continue it)")
    assert read("out.png") == untouched
    assert not KEPT.exists()


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(untouched, monkeypatch, capsys):
    def full(directory, tree):
        raise CheckpointError(f"{directory}: cannot be written: No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    assert run(*ALWAYS) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[:-1] == [f"note: no checkpoint: {KEPT}: cannot be written: No space left on device"]
    assert read("out.png") == untouched


def test_where_nothing_can_be_kept_the_picture_so_far_is_saved(folder, ended, monkeypatch, capsys):
    def full(directory, tree):
        raise CheckpointError(f"{directory}: cannot be written: No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    ended(2)
    assert run("--resume") == 143
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "jaxstyle: terminated: saved the picture so far (scale 1/2, step 2/3) as out.png"


BAD_ARGUMENTS = [
    (["--checkpoint-every", "0"], 2, "must be above 0, not 0"),
    (["--checkpoint-every", "nan"], 2, "must be above 0, not nan"),
    (["--checkpoint-every", "soon"], 2, "'soon' is not a number"),
    (["--resume", "-o", "file.png"], 1, "file.png.checkpoint: is a file, and checkpoints"),
    (["--resume", "-o", "out.png", "--report", "out.png.checkpoint"], 1, "same name"),
]


def test_bad_input_is_one_line_and_harms_nothing(folder, refused):
    Path("file.png.checkpoint").write_text("")
    for flags, status, said in BAD_ARGUMENTS:
        refused(["run", "content.png", "style.png", "-o", "out.png", *flags], status, said)
