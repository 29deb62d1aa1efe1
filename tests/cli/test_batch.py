"""The batch command: its arguments, files and messages."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jaxstyle.__main__ import main
from jaxstyle.batch import hosts, retry
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


def test_a_bad_picture_fails_alone(photos, capsys):
    (photos / "photos/p1.png").write_bytes(b"not a picture")
    assert batch(*ALL) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "2 of 6 could not be made (all in log.jsonl); the first: p1__s0.png: " in error
    assert "p1.png: not a readable" in error
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
    (f"{PAIRS} --num-hosts 2", 2, "--coordinator and --host-id"),
    (f"{PAIRS} --format jpg --bits 16", 1, "JPEG does not support 16 bits"),
    (f"{PAIRS} --checkpoint-every 9 -o memory://o", 2, "folder on this machine"),
    (f"{PAIRS} -o photos", 1, "in the output folder"),
    (f"{PAIRS} -o a-file --quiet", 1, "jaxstyle: a-file: "),
    (f"{PAIRS} -o foreign --quiet", 1, "index.html: exists and was not made by a batch"),
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


def test_a_lost_host_is_named(photos, capsys, monkeypatch):
    monkeypatch.setattr(hosts.Presence, "wait_for_others", lambda *arguments: ["#2"])
    assert batch(*ALL) == 1
    assert "lost #2: run the same command again" in capsys.readouterr().err


def started(folder, *more, out="out"):
    """Start a batch in a process of its own."""
    impatient = "from jaxstyle.batch import hosts\nhosts.SILENCE = 6.0\n"
    given = ["batch", *ALL, "-o", out, "--batch-size", "8", *ONE_SCALE, *more]
    return subprocess.Popen(
        [sys.executable, "-c", impatient + SMALL_COMMAND, *given],
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


@pytest.fixture
def three_hosts(photos):
    """A function that starts three processes that work on one batch."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = f"127.0.0.1:{probe.getsockname()[1]}"
    place = "--coordinator", free, "--num-hosts", "3", "--batch-size", "1"
    return lambda *more: [started(photos, *place, "--host-id", f"{i}", *more) for i in range(3)]


@pytest.mark.slow
def test_three_hosts_share_a_batch(three_hosts):
    ended_with(0, 0, 0, of=three_hosts())
    assert pictures_of() == EVERY_PAIR
    assert len(log_of()) == 6
    assert len({line["host"] for line in log_of()}) == 3


@pytest.mark.slow
def test_a_lost_host_is_named_and_a_rerun_completes_the_batch(photos, three_hosts):
    steps = "--steps", "300"
    processes = three_hosts(*steps)
    wait_for(photos / "out" / ".host-2-of-3.json")
    processes[2].kill()
    said = ended_with(1, 0, -signal.SIGKILL, of=processes)
    assert re.search(r"lost .*#2: run the same command again", said[0]), said[0]
    assert len(pictures_of()) < 6
    ended_with(0, of=[started(photos, *steps)])
    assert pictures_of() == EVERY_PAIR
