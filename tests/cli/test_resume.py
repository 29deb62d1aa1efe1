"""--checkpoint-every and --resume: nothing is lost, and nothing is left behind."""

import os
import signal
from pathlib import Path

import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.errors import CheckpointError
from jaxstyle.optim import solve
from jaxstyle.runs import checkpoint
from tests.cli import conftest as cli
from tests.cli.conftest import KEPT, PAIR, SIGNALS, TWO_SCALES, files_in, json_of, names_in

ALWAYS = ["--checkpoint-every", "1e-9"]


def run(*flags, output="out.png"):
    return cli.run(*PAIR, "-o", output, *TWO_SCALES, *flags)


def pixels(path="out.png"):
    """Pixels alone: what is beside them names the file."""
    return images.read(path).rgb.tobytes()


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


@pytest.fixture
def kept(folder, ended, capsys):
    """The checkpoint of a run that was ended after two steps."""
    ended(2)
    assert run("--resume") == 143
    ended(0)
    capsys.readouterr()
    return KEPT


@pytest.fixture
def full_disk(monkeypatch):
    def full(directory, tree):
        raise CheckpointError(f"{directory}: cannot be written: No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)


@pytest.fixture(scope="module")
def made():
    """A place for the pixels of a run that nothing happened to, which is made once."""
    return []


@pytest.fixture
def untouched(folder, made):
    """The pixels of a run that nothing happened to."""
    if not made:
        assert run("--quiet", output="untouched.png") == 0
        made.append(pixels("untouched.png"))
        Path("untouched.png").unlink()
    return made[0]


@SIGNALS
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
    assert KEPT.is_dir() and not Path("out.png").exists()
    assert run("--resume") == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"{KEPT}: continuing from step {place}"
    assert said[1].startswith("out.png: 64x48, ")
    assert pixels() == untouched
    assert names_in() == ["content.png", "out.png", "style.png"]


@SIGNALS
def test_without_the_flags_it_is_the_picture_that_is_saved(
    folder, ended, capsys, number, status, word
):
    ended(4, number)
    assert run() == status
    saved = "saved the picture so far (scale 2/2, step 1/2) as out-interrupted.png"
    assert capsys.readouterr().err == f"jaxstyle: {word}: {saved}\n"
    assert names_in() == ["content.png", "out-interrupted.png", "style.png"]


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
    assert len(saved) == 4
    assert run("--resume", *ALWAYS) == 0
    assert "continuing from step 1 of scale 2" in capsys.readouterr().err
    assert pixels() == untouched
    assert not KEPT.exists()


def test_without_a_checkpoint_it_starts_from_the_beginning_and_says_so(untouched, capsys):
    assert run("--resume") == 0
    line = capsys.readouterr().err.splitlines()[0]
    assert line == f"{KEPT}: no checkpoint: starting from the beginning"
    assert pixels() == untouched
    assert not KEPT.exists()


def test_a_run_ended_again_and_again_makes_what_one_run_makes(folder, ended):
    def previews():
        return {path.name: path.read_bytes() for path in folder.glob("out-*.png")}

    def run_with(name, *flags):
        extras = "--save-every", "2", "--seed", "3", "--timelapse", f"{name}.webp"
        return run(*extras, "--report", f"{name}.json", *flags)

    assert run_with("one") == 0
    whole, seen = pixels(), previews()
    assert len(seen) == 2
    for name in ("out.png", *seen):
        Path(name).unlink()
    for after in (1, 1, 2):
        ended(after)
        assert run_with("two", "--resume") == 143
        assert not Path("out.png").exists()
        ended(0)
    assert run_with("two", "--resume") == 0
    assert pixels() == whole and previews() == seen
    assert Path("two.webp").read_bytes() == Path("one.webp").read_bytes()
    assert json_of("two.json")["losses"] == json_of("one.json")["losses"]
    assert [scale["steps"] for scale in json_of("two.json")["scales"]] == [3, 2]


def test_textures_go_on_too(folder, ended):
    flags = "--shape", "48x32", "--smallest-size", "32", "--steps", "3,2", "--style-layers"
    command = ["texture", "style.png", *flags, "relu1_1", "--periodic", "--quiet"]
    assert main([*command, "-o", "untouched.png"]) == 0
    ended(2)
    assert main([*command, "-o", "out.png", "--resume"]) == 143
    ended(0)
    assert main([*command, "-o", "out.png", "--resume"]) == 0
    assert Path("out.png").read_bytes() == Path("untouched.png").read_bytes()
    assert not KEPT.exists()


def test_another_run_is_not_gone_on_with(kept, capsys, picture):
    before = files_in(kept)
    cli.save("style.png", picture(7, 40, 40))
    assert run("--resume", "--style-weight", "7", "--steps", "3,3") == 1
    assert capsys.readouterr().err == (
        f"jaxstyle: {kept}: is of a run that differs in --steps, --style-weight, style picture 1: "
        "repeat its arguments, or run without --resume to start from the beginning\n"
    )
    assert files_in(kept) == before


def test_what_does_not_matter_may_change(kept):
    assert run("--resume", "--original-colors", "--bits", "16", "--report", "r.json") == 0
    assert cli.recipe_of("out.png")["bits"] == 16


def test_a_damaged_checkpoint_is_one_line(kept, capsys):
    tree = kept / checkpoint.FILE
    tree.write_bytes(tree.read_bytes()[:1000])
    assert run("--resume") == 1
    line = capsys.readouterr().err
    assert line.startswith(f"jaxstyle: {kept}: the checkpoint is damaged (")
    assert line.endswith("): delete it, or run without --resume\n")
    assert not Path("out.png").exists()


def test_what_another_program_kept_there_is_not_gone_on_with(folder, capsys):
    of_ours = {"made_by": {}, "run": [], "outputs": {}}
    for tree in ({"something": "else"}, {"made_by": 7}, of_ours):
        checkpoint.save(KEPT, tree)
        assert run("--resume") == 1
        assert "checkpoint: is damaged, or of another program (" in capsys.readouterr().err


def test_starting_afresh_replaces_an_earlier_run_and_says_so(untouched, ended, capsys):
    ended(2)
    assert run("--seed", "9", "--init-noise", "0.5", "--resume") == 143
    ended(0)
    capsys.readouterr()
    assert run(*ALWAYS) == 0
    line = capsys.readouterr().err.splitlines()[0]
    assert line == f"note: {KEPT} has an earlier run: starting over (--resume would continue it)"
    assert pixels() == untouched
    assert not KEPT.exists()


def test_a_name_that_is_too_long_for_more_has_a_checkpoint_too(folder, ended):
    name = f"{'x' * 251}.png"
    ended(2)
    assert run("--resume", "--save-every", "1", output=name) == 143
    ended(0)
    assert run("--resume", output=name) == 0
    assert [len(each) for each in names_in() if each.startswith("x")] == [255] * 3


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(untouched, full_disk, capsys):
    assert run(*ALWAYS) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[:-1] == [f"note: no checkpoint: {KEPT}: cannot be written: No space left on device"]
    assert pixels() == untouched


def test_where_nothing_can_be_kept_the_picture_so_far_is_saved(folder, ended, full_disk, capsys):
    ended(2)
    assert run("--resume") == 143
    line = capsys.readouterr().err.splitlines()[-1]
    saved = "saved the picture so far (scale 1/2, step 2/3) as out-interrupted.png"
    assert line == f"jaxstyle: terminated: {saved}"


BAD_ARGUMENTS = [
    ("--checkpoint-every 0", 2, "must be above 0, not 0"),
    ("--checkpoint-every nan", 2, "must be above 0, not nan"),
    ("--checkpoint-every soon", 2, "'soon' is not a number"),
    ("--resume -o file.png", 1, "file.png.checkpoint: is a file, and checkpoints"),
    ("--resume -o out.png --report out.png.checkpoint", 1, "same name"),
]


def test_bad_input_is_one_line_and_harms_nothing(folder, refused):
    Path("file.png.checkpoint").write_text("")
    for flags, status, said in BAD_ARGUMENTS:
        refused(f"run content.png style.png -o out.png {flags}", status, said)
