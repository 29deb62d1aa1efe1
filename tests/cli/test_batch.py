"""The batch command: its arguments, files and messages."""

import errno
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jaxstyle.__main__ import main
from jaxstyle.batch import retry, storage
from jaxstyle.batch.worker import Read
from jaxstyle.cli.batch_files import LARGE
from tests.cli.conftest import ONE_SCALE, SIGNALS, recipe_of, rgb_of, run, save
from tests.processes import SMALL_COMMAND, process_environment

ALL = ["--contents", "photos", "--styles", "styles"]
EVERY_PAIR = [f"p{i}__s{j}.png" for i in range(3) for j in range(2)]


@pytest.fixture
def photos(folder, picture):
    """Write two folders of pictures and make their parent the current folder."""
    for name, count in (("photos", 3), ("styles", 2)):
        (folder / name).mkdir()
        for index in range(count):
            save(f"{name}/{name[0]}{index}.png", picture(10 * count + index, 24, 32))
    return folder


def batch(*arguments, out="out"):
    return main(["batch", "-o", out, *ONE_SCALE, *arguments])


def pictures_of(out="out"):
    return sorted(path.name for path in Path(out).glob("*.png"))


def log_of(out="out"):
    return [json.loads(line) for line in Path(out, "log.jsonl").read_text().splitlines()]


def sheet_of(out="out"):
    return Path(out, "index.html").read_text()


def test_folders_make_every_pair_once_with_a_log_and_a_sheet(photos, capsys):
    of_no_other_test = "--epsilon", "2e-8"
    assert batch(*ALL, *of_no_other_test, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    counted = [told[name] for name in ("made", "found", "failed", "compilations")]
    assert counted == [6, 0, 0, 1]
    assert 0 <= told["waited_share"] < 1
    assert 0 < told["stepping_share"] <= 1
    assert pictures_of() == EVERY_PAIR
    assert sorted(line["output"] for line in log_of()) == EVERY_PAIR
    assert {line["status"] for line in log_of()} == {"done"}
    assert all(name in sheet_of() for name in EVERY_PAIR)
    assert "http" not in re.sub(r"http-equiv", "", sheet_of())
    assert batch(*ALL, *of_no_other_test) == 0
    assert re.match(
        r"out: 0 made, 6 found, \d+ s; 0 compilations of steps, 0 of targets; 0% of the time in",
        capsys.readouterr().err.splitlines()[-1],
    )
    assert batch(*ALL, *of_no_other_test, "--json") == 0
    assert json.loads(capsys.readouterr().out)["found"] == 6


def test_zip_pairs_those_in_the_same_place(photos):
    (photos / "list.txt").write_text("photos/p0.png\nphotos/p2.png\n")
    assert batch("--contents", "list.txt", "--styles", "styles", "--pairs", "zip") == 0
    assert pictures_of() == ["p0__s0.png", "p2__s1.png"]


def test_rows_of_a_manifest_have_settings_of_their_own(photos):
    rows = "content,style,output,style_weight\nphotos/p1.png,styles/s0.png,weak.png,0.1\n,,,9\n"
    (photos / "rows.csv").write_text(rows)
    given = "--manifest", "rows.csv", "--contents", "photos/p0.png", "--styles", "styles"
    assert batch(*given) == 0
    assert pictures_of() == ["p0__s0.png", "p0__s1.png", "weak.png"]
    assert recipe_of("out/weak.png")["settings"]["style_weight"] == 0.1


def test_a_picture_of_a_batch_can_be_made_again_by_run(photos):
    assert batch("--contents", "photos/p0.png", "--styles", "styles/s1.png") == 0
    assert run("--from", "out/p0__s1.png", "-o", "again.png") == 0
    np.testing.assert_allclose(rgb_of("out/p0__s1.png"), rgb_of("again.png"), atol=1.01 / 255)


def test_the_sheet_shows_small_pictures_of_what_browsers_cannot(photos, picture):
    save("photos/p3.tif", picture(7, 24, 32))
    given = "--contents", "photos/p3.tif", "--styles", "styles/s0.png", "--format", "tif"
    assert batch(*given, "--bits", "16") == 0
    small = [path.name for path in Path("out").glob(".thumbnail-*.jpg")]
    assert len(small) == 2
    assert all(name in sheet_of() for name in small)


def test_the_sheet_shows_small_pictures_of_large_sources(photos):
    noise = np.random.default_rng(0).uniform(size=(500, 600, 3)).astype(np.float32)
    for name in ("photos/p0.jpg", "styles/s3.png"):
        save(name, noise)
        assert Path(name).stat().st_size > LARGE
    assert batch("--contents", "photos/p*", "--styles", "styles/s[13]*") == 0
    shown, linked = (set(re.findall(f'{key}="([^"]+)"', sheet_of())) for key in ("src", "href"))
    small = {path.name for path in Path("out").glob(".thumbnail-*.jpg")}
    large = {"../photos/p0.jpg", "../styles/s3.png"}
    assert len(small) == 2 and small <= shown
    assert large <= linked and not large & shown
    assert "../photos/p1.png" in shown
    assert all(Path("out", name).stat().st_size < LARGE / 4 for name in small)


def test_small_pictures_are_those_of_the_pictures_that_are_there(photos, picture):
    save("photos/p3.tif", picture(7, 24, 32))
    given = "--contents", "photos/p3.tif", "--styles", "styles/s0.png", "--format", "tif"

    def small():
        return {path.read_bytes() for path in Path("out").glob(".thumbnail-*.jpg")}

    assert batch(*given) == 0
    before = small()
    save("photos/p3.tif", 1 - picture(7, 24, 32))
    assert batch(*given, "--force", "--style-weight", "0") == 0
    assert len(small()) == 2 and not small() & before


def test_a_bad_picture_fails_alone(photos, capsys):
    (photos / "photos/p1.png").write_bytes(b"not a picture")
    assert batch(*ALL) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "2 of 6 could not be made (all in log.jsonl); the first: p1__s0.png: " in error
    assert "p1.png: is a text file, not a readable" in error
    assert len(pictures_of()) == 4
    assert "failed" in sheet_of()


def test_the_plan_makes_nothing(photos, capsys):
    given = *ALL, "--batch-size", "2", "--plan"
    assert batch(*given) == 0
    printed = capsys.readouterr().out
    assert re.search(r"32x24\s+6\s+3\s+2\s+1\s", printed)
    assert "6 pictures, 1 compilation, " in printed
    assert batch(*given, "--json") == 0
    assert json.loads(capsys.readouterr().out)["groups"][0]["pictures"] == 6
    assert not Path("out").exists()


def test_patterns_that_the_shell_has_expanded_are_several_pictures(photos):
    contents = ["--contents", "photos/p0.png", "photos/p2.png", "--contents", "photos/p1.png"]
    assert batch(*contents, "--styles", "styles/s1.png", "styles/s0.png", "--pairs", "product") == 0
    assert pictures_of() == EVERY_PAIR
    styles = ["--styles", "styles", "styles/s0.png"]  # a folder and a picture: three
    assert batch("--contents", "photos", *styles, "--pairs", "zip", out="zipped") == 0
    assert pictures_of("zipped") == ["p0__s0.png", "p1__s1.png", "p2__s0.png"]
    Path("jobs.csv").write_text("style\nstyles/s0.png\n")
    assert batch("--manifest", "jobs.csv", *contents[:3], out="listed") == 0
    assert pictures_of("listed") == ["p0__s0.png", "p2__s0.png"]


PAIRS = "--contents photos --styles styles"
BAD_ARGUMENTS = [
    ("", 2, "--contents and --styles, or --manifest"),
    ("--contents empty --styles styles", 1, "empty: "),
    ("--contents nowhere --styles styles", 1, "nowhere: "),
    ("--contents photos/*.jpg --styles styles", 1, "photos/*.jpg: "),
    (f"{PAIRS} --pairs zip", 1, "there are 3 contents and 2 styles"),
    ("--manifest column.csv", 1, "unknown column 'stile': did you mean style"),
    ("--manifest value.csv", 1, "value.csv: row 2: style_weight"),
    ("--manifest twice.csv", 1, "rows 1 and 2 have the same output, a.png"),
    (f"{PAIRS} --batch-size 0", 2, "least 1"),
    (f"{PAIRS} --worker-resources CPU=1", 2, "--worker-resources needs --cluster"),
    (f"{PAIRS} --cluster auto --worker-resources GPU", 2, "must be NAME=N, such as GPU=1"),
    (f"{PAIRS} --cluster auto --worker-resources CPU=1.5", 2, "share from 0.0001 to 1"),
    (f"{PAIRS} --cluster auto --worker-resources CPU=1,CPU=2", 2, "names CPU twice"),
    *(
        (f"{PAIRS} --cluster={text} --quiet", 2, "--cluster: must be auto or HOST:PORT, not")
        for text in ("", "here", "a:99999", ":1", "ray://a:10001", "AUTO")
    ),
    (f"{PAIRS} --cluster auto --wait 9", 2, "--wait needs --worker-resources"),
    (f"{PAIRS} --cluster auto --retries -1", 2, "--retries: must be 0 or more, not -1"),
    (f"{PAIRS} --format jpg --bits 16", 1, "JPEG does not support 16 bits"),
    (f"{PAIRS} --checkpoint-every 9 -o memory://o", 2, "folder on this machine"),
    (f"{PAIRS} -o photos", 1, "in the output folder"),
    (f"{PAIRS} -o a-file --quiet", 1, "jaxstyle: a-file: "),
    (f"{PAIRS} -o foreign --quiet", 2, "index.html: exists and was not made by a batch"),
]


def test_bad_input_is_one_line_and_harms_nothing(photos, refused):
    for name in ("empty", "foreign"):
        (photos / name).mkdir()
    Path("foreign", "index.html").write_text("mine")
    Path("a-file").write_text("")
    row, other = (f"photos/p{index}.png,styles/s0.png" for index in (0, 1))
    Path("column.csv").write_text("content,stile\na.png,b.png\n")
    Path("value.csv").write_text(f"content,style,style_weight\n{row},1\n{other},x\n")
    Path("twice.csv").write_text(f"content,style,output\n{row},a.png\n{other},a.png\n")
    for given, status, said in BAD_ARGUMENTS:
        refused(["batch", "-o", "out", *ONE_SCALE, *given.split()], status, said)
    assert batch(*ALL, "--force", out="foreign") == 0


TWO = "--contents photos/p[01]* --styles styles/s0.png"
OTHER_WAYS = {
    "a weight": (f"{TWO} --style-weight 50", "p0__s0.png (and 1 more) was made with style_weight"),
    "a preset": (f"{TWO} --preset gatys-2017", "not gatys-2017"),
    "the bits": (f"{TWO} --bits 16", "out: was made with bits 8, not 16: give another folder"),
    "the network": (f"{TWO} --weights other.h5", "out: was made with weights "),
    "other photos of the same names": (
        "--contents others --styles styles/s0.png",
        "p0__s0.png (and 1 more) was made with content ../photos/p0.png, not ../others/p0.png: ",
    ),
    "other styles of the same name": (
        "--contents photos/p0.png --styles others/s0.png",
        "made with styles ../styles/s0.png, not ../others/s0.png",
    ),
    "a manifest": ("--manifest rows.csv", "p1__s0.png was made with style_weight"),
    "a manifest of other names": (
        "--manifest names.csv",
        "p0__s0.png was made with content ../photos/p0.png, not ../photos/p1.png",
    ),
}


def test_what_would_be_made_otherwise_is_not_replaced(photos, refused, picture, weights_path):
    for name in ("others/p0.png", "others/p1.png", "others/s0.png"):
        Path("others").mkdir(exist_ok=True)
        save(name, picture(99, 24, 32))
    Path("other.h5").write_bytes(Path(weights_path).read_bytes())
    row = "photos/p1.png,styles/s0.png"
    Path("rows.csv").write_text(f"content,style,style_weight\n{row},50\n")
    Path("names.csv").write_text(f"content,style,output\n{row},p0__s0.png\n")
    assert batch(*TWO.split()) == 0
    for given, said in OTHER_WAYS.values():
        error = refused(["batch", "-o", "out", *ONE_SCALE, "--quiet", *given.split()], 2, said)
        assert "another folder, or --force" in error
    save("photos/p1.png", picture(98, 24, 32))
    said = "p1__s0.png was made from photos/p1.png, which has changed since: "
    refused(["batch", "-o", "out", *ONE_SCALE, "--quiet", *TWO.split()], 2, said)
    Path("out/p1__s0.png").unlink()  # as one who wants just this one again would do
    assert batch(*TWO.split()) == 0


def test_more_pictures_go_on_where_the_others_are(photos, capsys):
    assert batch("--contents", "photos/p0.png", "--styles", "styles/s0.png") == 0
    (photos / "photos/p2.png").rename("later.png")
    (photos / "photos/p2.png").write_text("no picture")
    for made, found, failed in ((3, 1, 2), (0, 4, 2), (2, 4, 0)):
        capsys.readouterr()
        assert batch(*ALL, "--json") == bool(failed)
        told = json.loads(capsys.readouterr().out)
        assert [told[name] for name in ("made", "found", "failed")] == [made, found, failed]
        if not made:
            (photos / "later.png").replace("photos/p2.png")


def test_a_picture_of_the_name_of_another_joins_it(photos, picture, capsys):
    alone = "--styles", "styles/s0.png", "--json"
    assert batch("--contents", "photos/p0.png", *alone) == 0
    save("photos/p0.jpg", picture(77, 24, 32))
    before = Path("out/p0__s0.png").read_bytes()
    assert batch("--contents", "photos/p0.*", *alone) == 0
    assert pictures_of() == ["p0-jpg__s0.png", "p0-png__s0.png", "p0__s0.png"]
    assert Path("out/p0__s0.png").read_bytes() == before


def test_a_forced_batch_that_was_interrupted_goes_on_without_force(photos, monkeypatch, capsys):
    alone = "--batch-size", "1"
    assert batch(*ALL, *alone) == 0
    other = *ALL, *alone, "--style-weight", "50"
    asked, is_worth_it = [], Read.is_worth_it

    def interrupted(read):
        asked.append(read)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return is_worth_it(read)

    with monkeypatch.context() as patch:
        patch.setattr(Read, "is_worth_it", interrupted)
        assert batch(*other, "--force") == 130
    made = [
        name for name in EVERY_PAIR if recipe_of(f"out/{name}")["settings"]["style_weight"] == 50
    ]
    assert 0 < len(made) < 6
    capsys.readouterr()
    assert batch(*other, "--json") == 0
    assert json.loads(capsys.readouterr().out)["found"] == len(made)
    assert all(recipe_of(f"out/{n}")["settings"]["style_weight"] == 50 for n in EVERY_PAIR)


def test_after_a_forced_batch_that_made_nothing_the_old_one_is_still_done(
    photos, monkeypatch, capsys
):
    def interrupted(read):
        raise KeyboardInterrupt

    assert batch(*ALL) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Read, "is_worth_it", interrupted)
        assert batch(*ALL, "--style-weight", "50", "--force") == 130
    capsys.readouterr()
    assert batch(*ALL, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["made"], told["found"]) == (0, 6)


@pytest.fixture
def full_disk(monkeypatch):
    """A function that makes the disk full, for files of these names, from the n-th on."""
    write_whole = storage.write_whole

    def fill(pattern, after=0, error=errno.ENOSPC):
        found = []

        def limited(path, data):
            found.extend([path] if re.search(pattern, path) else [])
            if found[after:] and path in found[after:]:
                raise OSError(error, os.strerror(error))
            write_whole(path, data)

        monkeypatch.setattr(storage, "write_whole", limited)

    return fill


def test_a_full_disk_keeps_what_was_made_and_the_same_command_goes_on(photos, full_disk, capsys):
    full_disk("png$", after=3)
    given = *ALL, "--batch-size", "2"
    assert batch(*given) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(
        r"jaxstyle: out/\S+: cannot be written: No space left on device: run the same command "
        "again to continue from here",
        error,
    )
    made = pictures_of()
    assert len(made) == 3
    failed = [line["output"] for line in log_of() if line["status"] == "failed"]
    assert failed and not set(failed) & set(made)
    before = {name: Path("out", name).stat().st_mtime_ns for name in made}
    full_disk("^$")
    capsys.readouterr()
    assert batch(*given, "--json") == 0
    assert json.loads(capsys.readouterr().out)["made"] == 3
    assert {name: Path("out", name).stat().st_mtime_ns for name in made} == before
    assert not list(Path("out").glob(".jaxstyle-*"))


def test_one_picture_that_cannot_be_written_fails_alone(photos, full_disk, capsys):
    full_disk("p1__s0.png", error=errno.EFBIG)
    assert batch(*ALL) == 1
    said = "1 of 6 could not be made (all in log.jsonl); the first: p1__s0.png: out/p1__s0.png: "
    assert f"{said}cannot be written: File too large" in capsys.readouterr().err
    assert len(pictures_of()) == 5


def test_pictures_are_known_by_what_they_say_where_the_log_cannot_be_written(
    photos, monkeypatch, capsys, refused
):
    def full(path, line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(storage, "_append", full)
        assert batch(*ALL) == 1
        assert "out/log.jsonl: cannot be written: No space left" in capsys.readouterr().err
    assert pictures_of() == EVERY_PAIR
    assert not Path("out/log.jsonl").exists()
    again = ["batch", "-o", "out", *ONE_SCALE, *ALL, "--quiet"]
    refused([*again, "--style-weight", "50"], 2, "made with style_weight")
    assert batch(*ALL, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["made"], told["found"]) == (0, 6)


def test_damaged_files_of_a_batch_are_named(photos, refused, capsys):
    assert batch(*ALL) == 0
    log = Path("out/log.jsonl")
    first, *lines = log.read_text().splitlines(keepends=True)
    log.write_text(
        "".join(['{"output": 7}\n', first[:40], "\n", "[" * 9999, "\n", *lines, lines[0][:9]])
    )
    capsys.readouterr()
    assert batch(*ALL) == 0
    told = capsys.readouterr().err
    assert (
        "note: out/log.jsonl: is damaged, and repaired: line 1: " in told and " and 2 more" in told
    )
    assert "0 made, 6 found" in told and len(log_of()) == 6
    for damage in ("", "{", "[" * 99999, '"a"', "{}\0", '{"bits": NaN}'):
        Path("out/batch.json").write_text(damage)
        again = ["batch", "-o", "out", *ONE_SCALE, *ALL, "--quiet"]
        assert "--force" in refused(again, 1, "out/batch.json: is damaged (")


OWN = [".lock", "log.jsonl", "batch.json", "index.html", ".checkpoints"]


@pytest.mark.parametrize("what", ["link", "hard", "dangling", "pipe", "other"])
def test_what_has_the_names_of_our_files_is_not_followed(photos, refused, what):
    mine, given = Path("mine"), ["batch", "-o", "out", *ONE_SCALE, *ALL, "--quiet"]
    for name in OWN:
        place = Path("out", name)
        place.parent.mkdir(exist_ok=True)
        if what == "pipe":
            os.mkfifo(place)
        elif what == "other" and name == ".checkpoints":
            place.write_text("mine")
        elif what == "other":
            place.mkdir()
        elif what == "hard":
            if name == ".checkpoints":
                continue
            mine.write_text("precious")
            os.link(mine, place)
        else:
            if what == "link":
                mine.write_text("precious")
            place.symlink_to(mine.absolute())
        for force in ([], ["--force"]):
            refused([*given, *force], 1, f"{place}: is ")
        assert mine.exists() == (what in ("link", "hard"))
        place.rmdir() if place.is_dir() and what == "other" else place.unlink()


def test_a_link_in_place_of_a_picture_is_not_followed(photos, capsys):
    Path("mine").write_text("precious")
    Path("out").mkdir()
    for name, target in (("p0__s0.png", "mine"), ("p1__s0.png", "nowhere")):
        Path("out", name).symlink_to(Path(target).absolute())
    assert batch(*ALL, "--force") == 1
    error = capsys.readouterr().err
    assert "2 of 6 could not be made" in error and "p0__s0.png: is a symbolic link" in error
    assert Path("mine").read_text() == "precious" and not Path("nowhere").exists()


def test_names_cannot_command_the_terminal_or_the_page(photos, picture, capsys):
    hostile = "a\x1b[31m\n<script>&\u202e.png"
    for name in ("photos", "styles"):
        save(f"{name}/{hostile}", picture(3, 24, 32))
    Path("photos", f"b{hostile}").write_text("no picture")
    assert batch(*ALL) == 1
    assert batch(*ALL, "--style-weight", "50") == 2
    assert batch(*ALL, "--plan") == 0
    printed = capsys.readouterr()
    for text in (printed.out, printed.err, Path("out/log.jsonl").read_text(), sheet_of()):
        assert not [line for line in text.splitlines() if not line.isprintable()]
    assert "<script" not in sheet_of()
    assert len(log_of()) == len(pictures_of()) + 3 == 15


def test_results_are_not_contents_of_the_next_run(photos):
    given = "--contents", "photos/**/*.png", "--styles", "styles/s0.png"
    for _ in range(2):
        assert batch(*given, out="photos/made") == 0
    assert pictures_of("photos/made") == [f"p{i}__s0.png" for i in range(3)]


@pytest.fixture
def ended(monkeypatch):
    """Return a function that makes the next batch send itself a signal at its n-th report."""
    run_together = retry.run_together

    def end(at, number):
        def told(loaded, cells, hooks, **shared):
            reports = []

            def report(progress, saved):
                hooks.report(progress, saved)
                reports.append(progress)
                if len(reports) == at:
                    os.kill(os.getpid(), number)

            return run_together(loaded, cells, replace(hooks, report=report), **shared)

        monkeypatch.setattr(retry, "run_together", told if at else run_together)

    return end


@SIGNALS
def test_an_interrupted_batch_is_resumed(photos, capsys, ended, number, status, word):
    given = *ALL, "--steps", "5", "--batch-size", "8"
    assert batch(*given, out="whole") == 0
    ended(2, number)
    assert batch(*given) == status
    again = f"jaxstyle: {word}: run the same command again to continue from here\n"
    assert capsys.readouterr().err.endswith(again)
    assert list(Path("out/.checkpoints").iterdir())
    ended(0, number)
    assert batch(*given) == 0
    assert not Path("out/.checkpoints").exists()
    for name in EVERY_PAIR:
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()


def started(folder, *more, out="out"):
    """Start a batch in a process of its own."""
    given = ["batch", *ALL, "-o", out, "--batch-size", "8", *ONE_SCALE, *more]
    return subprocess.Popen(
        [sys.executable, "-c", SMALL_COMMAND, *given],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env=process_environment(XDG_CACHE_HOME=str(folder / "cache")),
    )


def ended_with(*statuses, of):
    """Wait until processes have ended, check how, and return what they said."""
    said = [process.communicate()[1] for process in of]
    assert tuple(process.returncode for process in of) == statuses, said
    return said


def wait_for(path, seconds=90):
    """Wait until a file exists."""
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_do_not_share_a_folder(photos):
    both = [started(photos) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    statuses = sorted(process.returncode for process in both)
    assert statuses in ([0, 0], [0, 1]), said
    if statuses == [0, 1]:
        assert any("another process" in text for text in said)
    assert pictures_of() == EVERY_PAIR
