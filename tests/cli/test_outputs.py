"""Output files: nothing that was there is replaced unasked, and no result is lost."""

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.cli import outputs
from jaxstyle.cli.outputs import check_distinct, rescued
from jaxstyle.images import ImageError, Picture, full_size, timelapse
from jaxstyle.optim import solve
from jaxstyle.runs import checkpoint, preprocessing
from tests.cli.conftest import (
    KEPT,
    ONE_SCALE,
    OUT,
    PAIR,
    TWO_SCALES,
    names_in,
    recipe_of,
    rgb_of,
    run,
    save,
)

QUIET = [*TWO_SCALES, "--quiet"]
OLD = b"a finished picture"


@pytest.fixture
def elsewhere(tmp_path_factory, monkeypatch):
    """The folder for temporary files."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def broken(monkeypatch):
    """A function that has a run fail after so many reports, or be interrupted."""
    minimize = solve.minimize

    def breaks(after, error):
        left = [after]

        def watched(*arguments, **options):
            for report in minimize(*arguments, **options):
                left[0] -= 1
                if left[0] < 0:
                    raise error
                yield report

        monkeypatch.setattr(solve, "minimize", watched)

    return breaks


@pytest.fixture
def full_disk(monkeypatch):
    """A function that fills the disk for files of some names in the current folder."""
    full = []

    def fill(*words):
        full[:] = words

    def refuse(path):
        if Path(path).parent.resolve() == Path.cwd() and any(w in Path(path).name for w in full):
            raise ImageError(f"{path}: cannot be written: {os.strerror(errno.ENOSPC)}")

    write, write_text, animate = images.write, images.write_text, timelapse.write_timelapse
    maps, tree = full_size.write_maps, checkpoint.save
    for module, name, function in (
        (images, "write", write),
        (images, "write_text", write_text),
        (timelapse, "write_timelapse", animate),
        (full_size, "write_maps", maps),
        (checkpoint, "save", tree),
    ):

        def wrapped(path, *arguments, function=function, **options):
            refuse(path)
            return function(path, *arguments, **options)

        monkeypatch.setattr(module, name, wrapped)
    return fill


# --- an interrupted or failed run -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), 130),
        (solve.DivergedError("not finite"), 1),
        (MemoryError("out of memory"), 1),
    ],
    ids=["interrupted", "diverged", "memory"],
)
def test_the_picture_so_far_is_saved_beside_a_finished_one(folder, broken, error, status, capsys):
    Path("out.png").write_bytes(OLD)
    for name in ("out-interrupted.png", "out-interrupted-2.png"):
        broken(4, error)
        assert run(*OUT, *QUIET) == status
        line = capsys.readouterr().err
        assert f"saved the picture so far (scale 2/2, step 1/2) as {name}\n" in line
        assert rgb_of(name).shape == (48, 64, 3)
        text = json.loads(images.read_description(name))
        assert text["interrupted"] == {"scale": 2, "scales": 2, "step": 1, "steps": 2}
        assert text["jaxstyle"]["content"] == "content.png"
    assert Path("out.png").read_bytes() == OLD


def test_before_the_first_step_there_is_nothing_to_save(folder, broken, capsys):
    Path("out.png").write_bytes(OLD)
    broken(0, KeyboardInterrupt())
    assert run(*OUT, *QUIET) == 130
    assert capsys.readouterr().err == "jaxstyle: interrupted: there is nothing to save yet\n"
    assert names_in() == ["content.png", "out.png", "style.png"]
    assert Path("out.png").read_bytes() == OLD


def test_an_interrupted_picture_can_be_repeated_as_a_whole(folder, broken):
    broken(4, KeyboardInterrupt())
    assert run(*OUT, *QUIET) == 130
    broken(99, KeyboardInterrupt())
    assert run("--from", "out-interrupted.png", "--quiet", "-o", "whole.png") == 0
    assert "interrupted" not in json.loads(images.read_description("whole.png"))


def test_texture_and_reconstruct_save_beside_too(folder, broken, capsys):
    layers = ["--style-layers", "relu1_1", "--size", "32", "--smallest-size", "32"]
    for command in (
        ["texture", "style.png", "--steps", "3"],
        ["reconstruct", "content.png", "--steps", "1", "--content-layers", "relu1_1"],
    ):
        Path("out.png").write_bytes(OLD)
        broken(1, KeyboardInterrupt())
        assert main([*command, *layers, "-o", "out.png", "--quiet"]) == 130
        assert " as out-interrupted.png\n" in capsys.readouterr().err
        assert "interrupted" in json.loads(images.read_description("out-interrupted.png"))
        assert Path("out.png").read_bytes() == OLD
        Path("out-interrupted.png").unlink()


def test_without_memory_for_the_last_processing_the_picture_is_saved_as_it_is(
    folder, broken, monkeypatch
):
    def no_memory(*arguments):
        raise MemoryError

    broken(2, KeyboardInterrupt())
    monkeypatch.setattr(preprocessing, "finished", no_memory)
    assert run(*OUT, *QUIET) == 130
    assert rgb_of("out-interrupted.png").shape == (24, 32, 3)


@pytest.mark.parametrize("flags", [[], ["--resume"]], ids=["picture", "checkpoint"])
def test_a_scale_that_cannot_be_compiled_costs_no_step_before_it(
    folder, monkeypatch, flags, capsys
):
    compile_program = solve.Program.compile

    def exhausted(program, objective, rates, state):
        if state.image.shape[1] == 64:
            raise MemoryError("no memory")
        return compile_program(program, objective, rates, state)

    with monkeypatch.context() as patch:
        patch.setattr(solve.Program, "compile", exhausted)
        assert run(*OUT, *QUIET, *flags) == 1
    said = capsys.readouterr().err
    assert "saved the picture so far (scale 1/2, step 3/3) as out-interrupted.png" in said
    assert ("saved a checkpoint (step 3 of scale 1) in" in said) == bool(flags)
    assert run(*OUT, *QUIET, *flags) == 0
    assert run(*PAIR, "-o", "whole.png", *QUIET) == 0
    assert rgb_of("out.png").tobytes() == rgb_of("whole.png").tobytes()


def test_a_run_that_had_nothing_new_to_save_says_how_to_go_on(folder, broken, capsys):
    broken(2, KeyboardInterrupt())
    checkpoints = [*QUIET, "--checkpoint-every", "1e-9"]
    assert run(*OUT, *checkpoints) == 130
    before = {path: path.read_bytes() for path in KEPT.iterdir()}
    broken(0, KeyboardInterrupt())
    assert run(*OUT, *checkpoints, "--resume") == 130
    assert capsys.readouterr().err.endswith(f": continue from {KEPT} with --resume\n")
    assert {path: path.read_bytes() for path in KEPT.iterdir()} == before


# --- names ----------------------------------------------------------------------------------------


def test_repeating_a_run_again_replaces_nothing(folder, capsys):
    assert run(*OUT, *ONE_SCALE, "--quiet") == 0
    assert run("--from", "out.png", "--quiet") == 0
    first = Path("out-again.png").read_bytes()
    assert run("--from", "out.png", "--style-weight", "20") == 0
    assert capsys.readouterr().err.startswith("out-again-2.png: 32x24, ")
    assert recipe_of("out-again-2.png")["settings"]["style_weight"] == 20
    assert Path("out-again.png").read_bytes() == first
    for name in ("out-large.png", "out-large-2.png"):
        assert run("--upscale", "out.png", "--steps", "0", "--quiet") == 0
        assert rgb_of(name).shape == (48, 64, 3)


def test_what_is_named_with_o_is_replaced(folder):
    for name in ("out.png", "again.png"):
        Path(name).write_bytes(OLD)
    assert run(*OUT, *ONE_SCALE, "--quiet") == 0
    assert run("--from", "out.png", "-o", "again.png", "--quiet") == 0
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes() != OLD


def test_a_name_that_is_taken_while_the_run_works_is_left_alone(folder, monkeypatch):
    assert run(*OUT, *ONE_SCALE, "--quiet") == 0
    minimize = solve.minimize

    def overtaken(*arguments, **options):
        Path("out-again.png").write_bytes(OLD)
        return minimize(*arguments, **options)

    monkeypatch.setattr(solve, "minimize", overtaken)
    assert run("--from", "out.png", "--quiet") == 0
    assert Path("out-again.png").read_bytes() == OLD
    assert Path("out-again-2.png").read_bytes() == Path("out.png").read_bytes()


def test_previews_replace_neither_inputs_nor_outputs(folder, picture):
    save("o-00002.png", picture(0, 48, 64))
    save("o-00004.png", picture(1, 40, 40))
    before = {name: Path(name).read_bytes() for name in ("o-00002.png", "o-00004.png")}
    assert run(*before, "-o", "o.png", "--save-every", "1", *QUIET) == 0
    assert {name: Path(name).read_bytes() for name in before} == before
    assert rgb_of("o-00002-2.png").shape == (24, 32, 3)
    assert rgb_of("o-00004-2.png").shape == (48, 64, 3)


def test_previews_leave_the_names_of_other_outputs(folder):
    named = ["--timelapse", "o-00002.webp", "--report", "o-00003.webp"]
    assert run(*PAIR, "-o", "o.webp", *named, "--save-every", "1", *QUIET) == 0
    made = {f"o-0000{number}.webp" for number in range(1, 6)} | {"o-00002-2.webp", "o-00003-2.webp"}
    assert made < set(names_in())
    assert json.loads(Path("o-00003.webp").read_text())["picture"]["width"] == 64


def test_an_input_by_another_name_is_not_overwritten(folder, refused):
    os.link("content.png", "link.png")
    Path("symbolic.png").symlink_to("style.png")
    for name in ("link.png", "symbolic.png", "../" + Path.cwd().name + "/content.png"):
        refused(["run", *PAIR, "-o", name, *QUIET], 1, f"{name}: is read by this run")
    refused(
        ["run", *PAIR, "-o", "missing/../content.png", *QUIET],
        1,
        f"missing/../content.png: there is no directory {Path.cwd()}/missing/..: create it first",
    )
    check_distinct([Path("new.png"), Path("other.png")], [Path("content.png")])


# --- failures of the last save --------------------------------------------------------------------


def test_a_picture_that_cannot_be_written_is_saved_elsewhere(folder, full_disk, elsewhere, capsys):
    Path("out.png").write_bytes(OLD)
    full_disk("out.png")
    assert run(*OUT, *TWO_SCALES, "--report", "r.json", "--json") == 1
    printed = capsys.readouterr()
    (made,) = elsewhere.glob("*/*")
    assert printed.err == (
        f"jaxstyle: out.png: cannot be written: No space left on device: saved the picture as "
        f"{made} instead\n"
    )
    assert recipe_of(made)["content"] == "content.png"
    assert rgb_of(made).shape == (48, 64, 3)
    assert json.loads(printed.out) == json.loads(Path("r.json").read_text())
    assert Path("out.png").read_bytes() == OLD


def test_a_run_goes_on_to_its_picture_where_only_that_had_no_space(
    folder, elsewhere, monkeypatch, capsys
):
    write = images.write

    def full(path, *arguments, **options):
        if str(path) == "out.png":
            raise ImageError("out.png: cannot be written: No space left on device")
        write(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(images, "write", full)
        assert run(*OUT, *QUIET, "--resume") == 1
    said = f": saved a checkpoint (step 2 of scale 2) in {KEPT}: continue with --resume\n"
    assert capsys.readouterr().err.endswith(said)
    assert run(*OUT, *QUIET, "--resume") == 0
    (made,) = elsewhere.glob("*/*")
    assert rgb_of("out.png").tobytes() == rgb_of(made).tobytes()
    assert not KEPT.exists()


def test_each_file_is_written_though_another_fails(folder, full_disk, capsys):
    full_disk("t.webp")
    files = ["--timelapse", "t.webp", "--report", "r.json"]
    assert run(*OUT, *TWO_SCALES, *files) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("out.png: 64x48, ")
    assert said[1:] == ["jaxstyle: t.webp: cannot be written: No space left on device"]
    assert names_in() == ["content.png", "out.png", "r.json", "style.png"]


PHOTO = ["photo", *OUT, *ONE_SCALE, "--quiet"]


def test_a_failing_map_costs_the_map_alone(folder, full_disk, capsys):
    full_disk("map.npz")
    assert main([*PHOTO, "--affine-map", "map.npz", "--full-size"]) == 1
    assert "map.npz: cannot be written: No space" in capsys.readouterr().err
    assert rgb_of("out.png").shape == (48, 64, 3)


def test_without_memory_for_full_size_the_small_result_is_saved(folder, monkeypatch, capsys):
    def no_memory(*arguments):
        raise MemoryError("no memory")

    Path("out.png").write_bytes(OLD)
    monkeypatch.setattr(full_size, "applied_at", no_memory)
    assert main([*PHOTO, "--full-size"]) == 1
    assert "saved the picture so far (scale 1/1, step 2/2) as out-" in capsys.readouterr().err
    assert rgb_of("out-interrupted.png").shape == (24, 32, 3)
    assert Path("out.png").read_bytes() == OLD


def test_a_baseline_is_saved_elsewhere_too(folder, full_disk, elsewhere, capsys):
    full_disk("out.png")
    assert main(["photo", *OUT, "--method", "histogram", "--quiet"]) == 1
    (made,) = elsewhere.glob("*/*")
    assert capsys.readouterr().err.endswith(f": saved the picture as {made} instead\n")


def test_the_next_folder_is_tried_where_one_is_full(tmp_path, elsewhere, monkeypatch, picture):
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setattr(outputs, "cache_directory", lambda: cache)
    write, small = images.write, Picture(picture(0, 8, 8))

    def full(path, *arguments, **options):
        if not path.is_relative_to(cache):
            raise ImageError("full")
        write(path, *arguments, **options)

    monkeypatch.setattr(images, "write", full)
    said = rescued(Path("out.jpg"), small, 8, "{}")
    (made,) = cache.glob("*/out.jpg")
    assert said == f"saved the picture as {made} instead"
    assert list(elsewhere.iterdir()) == []
    monkeypatch.setattr(outputs, "cache_directory", None)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "none")
    assert rescued(Path("out.jpg"), small, 8, "{}") == "the picture is lost"


def test_what_its_format_cannot_hold_becomes_a_png(elsewhere, picture):
    said = rescued(Path("out.jpg"), Picture(picture(0, 8, 8)), 8, "x" * 100_000)
    (made,) = elsewhere.glob("*/*")
    assert made.name == "out.png" and str(made) in said


# --- files of the program's own -------------------------------------------------------------------


def test_what_a_killed_run_left_behind_is_removed(folder):
    old = Path(".jaxstyle-elsewhere-1-0123456789abcdef.tmp")
    old.touch()
    os.utime(old, (0, 0))
    assert run(*OUT, *ONE_SCALE, "--quiet") == 0
    assert names_in() == ["content.png", "out.png", "style.png"]


def test_a_checkpoint_folder_that_is_a_link_is_refused(folder, refused):
    Path("theirs").mkdir()
    Path("theirs", checkpoint.FILE).write_bytes(OLD)
    for target in ("theirs", "nowhere"):
        KEPT.unlink(missing_ok=True)
        KEPT.symlink_to(target)
        refused(["run", *OUT, *QUIET, "--resume"], 1, f"{KEPT}: is a symbolic link")
    assert Path("theirs", checkpoint.FILE).read_bytes() == OLD


def test_the_format_of_standard_output_is_not_known(folder, refused):
    refused(["run", *PAIR, "-o", "/dev/stdout", *QUIET], 1, "/dev/stdout: has no extension")
