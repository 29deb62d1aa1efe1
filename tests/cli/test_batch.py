"""The batch command: its arguments, files and messages."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.__main__ import main
from jaxstyle.batch import batched, hosts
from jaxstyle.cli.batch_files import LARGE
from tests.cli.conftest import ONE_SCALE, save
from tests.processes import SMALL_COMMAND, process_environment

ALL = ["--contents", "photos", "--styles", "styles"]


@pytest.fixture
def photos(folder, picture):
    """Write two folders of pictures and make their parent the current folder."""
    for name, count in (("photos", 3), ("styles", 2)):
        (folder / name).mkdir()
        for index in range(count):
            save(f"{name}/{name[0]}{index}.png", picture(10 * count + index, 24, 32))
    return folder


def batch(*arguments, out="out"):
    where = [] if "-o" in arguments else ["-o", out]
    return main(["batch", *where, *ONE_SCALE, *arguments])


def pictures_of(folder, out="out"):
    return sorted(path.name for path in (folder / out).glob("*.png"))


def test_folders_make_every_pair_with_a_log_and_a_sheet(photos, capsys):
    of_no_other_test = "--epsilon", "2e-8"
    assert batch(*ALL, *of_no_other_test) == 0
    expected = [f"p{i}__s{j}.png" for i in range(3) for j in range(2)]
    assert pictures_of(photos) == expected
    lines = [json.loads(line) for line in (photos / "out/log.jsonl").read_text().splitlines()]
    assert sorted(line["output"] for line in lines) == expected
    assert {line["status"] for line in lines} == {"done"}
    page = (photos / "out/index.html").read_text()
    assert all(name in page for name in expected)
    assert "http" not in re.sub(r"http-equiv", "", page)
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.match(
        r"out: 6 made, \d+ s; 1 compilation of steps, \d of targets; \d+% of the time in steps",
        said,
    )


def test_zip_pairs_and_a_manifest_with_settings_of_its_own(photos):
    (photos / "list.txt").write_text("photos/p0.png\nphotos/p2.png\n")
    assert batch("--contents", "list.txt", "--styles", "styles", "--pairs", "zip", out="zip") == 0
    assert pictures_of(photos, "zip") == ["p0__s0.png", "p2__s1.png"]
    rows = "content,style,output,style_weight\nphotos/p1.png,styles/s0.png,weak.png,0.1\n,,,9\n"
    (photos / "rows.csv").write_text(rows)
    given = "--manifest", "rows.csv", "--contents", "photos/p0.png", "--styles", "styles"
    assert batch(*given, out="rows") == 0
    assert pictures_of(photos, "rows") == ["p0__s0.png", "p0__s1.png", "weak.png"]
    told = json.loads(images.read_description(photos / "rows/weak.png"))["jaxstyle"]
    assert told["settings"]["style_weight"] == 0.1


def test_a_picture_of_a_batch_can_be_made_again_by_run(photos):
    assert batch("--contents", "photos/p0.png", "--styles", "styles/s1.png") == 0
    assert main(["run", "--from", "out/p0__s1.png", "-o", "again.png"]) == 0
    made, again = images.read("out/p0__s1.png").rgb, images.read("again.png").rgb
    np.testing.assert_allclose(made, again, atol=1.01 / 255)


def test_the_sheet_shows_small_pictures_of_what_browsers_cannot(photos, picture):
    save("photos/p3.tif", picture(7, 24, 32))
    given = "--contents", "photos/p3.tif", "--styles", "styles/s0.png", "--format", "tif"
    assert batch(*given, "--bits", "16") == 0
    page = (photos / "out/index.html").read_text()
    small = sorted(path.name for path in (photos / "out").glob(".thumbnail-*.jpg"))
    assert len(small) == 2
    assert all(name in page for name in small)


def test_the_sheet_shows_small_pictures_of_large_sources(photos):
    noise = np.random.default_rng(0).uniform(size=(500, 600, 3)).astype(np.float32)
    for name in ("photos/p0.jpg", "styles/s3.png"):
        save(name, noise)
        assert Path(name).stat().st_size > LARGE
    given = "--contents", "photos/p*", "--styles", "styles/s[13]*"
    assert batch(*given) == 0
    page = (photos / "out/index.html").read_text()
    shown, linked = (set(re.findall(f'{key}="([^"]+)"', page)) for key in ("src", "href"))
    small = {path.name for path in (photos / "out").glob(".thumbnail-*.jpg")}
    large = {"../photos/p0.jpg", "../styles/s3.png"}
    assert len(small) == 2 and small <= shown
    assert large <= linked and not large & shown
    assert "../photos/p1.png" in shown
    assert all((photos / "out" / name).stat().st_size < LARGE / 4 for name in small)


def test_a_bad_picture_fails_alone(photos, capsys):
    (photos / "photos/p1.png").write_bytes(b"not a picture")
    assert batch(*ALL) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "2 of 6 could not be made (all in log.jsonl); the first: p1__s0.png: " in error
    assert "p1.png: not a readable" in error
    assert len(pictures_of(photos)) == 4
    assert "failed" in (photos / "out/index.html").read_text()


def test_json_is_the_summary(photos, capsys):
    assert batch(*ALL, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["made"], told["found"], told["failed"]) == (6, 0, 0)
    assert 0 <= told["waited_share"] < 1
    assert 0 < told["stepping_share"] <= 1
    assert batch(*ALL, "--json") == 0
    assert json.loads(capsys.readouterr().out)["found"] == 6


def test_the_plan_makes_nothing(photos, capsys):
    given = *ALL, "--batch-size", "2"
    assert batch(*given, "--plan") == 0
    printed = capsys.readouterr().out
    assert not (photos / "out").exists()
    assert re.search(r"32x24\s+6\s+3\s+2\s+1\s", printed)
    assert "6 pictures, 1 compilation, " in printed
    assert batch(*given, "--plan", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["groups"][0]["pictures"] == 6


BAD_ARGUMENTS = [
    ([], 2, "--contents and --styles, or --manifest"),
    (["--contents", "empty", "--styles", "styles"], 1, "empty: "),
    (["--contents", "nowhere", "--styles", "styles"], 1, "nowhere: "),
    (["--contents", "photos/*.jpg", "--styles", "styles"], 1, "photos/*.jpg: "),
    ([*ALL, "--pairs", "zip"], 1, "there are 3 contents and 2 styles"),
    (["--manifest", "column.csv"], 1, "unknown column 'stile': the nearest is style"),
    (["--manifest", "value.csv"], 1, "value.csv: row 2: style_weight"),
    (["--manifest", "twice.csv"], 1, "rows 1 and 2 have the same output, a.png"),
    ([*ALL, "--batch-size", "0"], 2, "least 1"),
    ([*ALL, "--num-hosts", "2"], 2, "--coordinator and --host-id"),
    ([*ALL, "--format", "jpg", "--bits", "16"], 1, "JPEG does not support 16 bits"),
    ([*ALL, "--checkpoint-every", "9", "-o", "memory://o"], 2, "folder on this machine"),
    ([*ALL, "-o", "photos"], 1, "in the output folder"),
]


def test_bad_input_is_one_line_and_harms_nothing(photos, refused):
    (photos / "empty").mkdir()
    Path("column.csv").write_text("content,stile\na.png,b.png\n")
    first, second = (f"photos/p{index}.png,styles/s0.png" for index in (0, 1))
    Path("value.csv").write_text(f"content,style,style_weight\n{first},1\n{first},x\n")
    Path("twice.csv").write_text(f"content,style,output\n{first},a.png\n{second},a.png\n")
    for given, status, said in BAD_ARGUMENTS:
        where = [] if "-o" in given else ["-o", "out"]
        refused(["batch", *where, *given, *ONE_SCALE], status, said)


def test_a_folder_that_cannot_be_written(photos, capsys):
    (photos / "out").write_text("a file")
    assert batch(*ALL) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("jaxstyle: out: ")


def test_results_are_not_contents_of_the_next_run(photos):
    given = "--contents", "photos/**/*.png", "--styles", "styles/s0.png", "-o", "photos/made"
    assert batch(*given) == 0
    assert batch(*given) == 0
    assert pictures_of(photos / "photos", "made") == [f"p{i}__s0.png" for i in range(3)]


def test_a_folder_with_foreign_files_is_left_alone(photos, capsys):
    (photos / "out").mkdir()
    (photos / "out" / "index.html").write_text("mine")
    assert batch(*ALL) == 1
    error = capsys.readouterr().err
    assert "index.html: exists and was not made by a batch" in error
    assert (photos / "out" / "index.html").read_text() == "mine"
    assert batch(*ALL, "--force") == 0


@pytest.fixture
def ended(monkeypatch):
    """Return a function that makes the next batch send itself a signal at its n-th report."""
    run_together = batched.run_together

    def end(at, number):
        def told(loaded, cells, callback, *others, **more):
            reports = []

            def report(progress):
                callback(progress)
                reports.append(progress)
                if len(reports) == at:
                    os.kill(os.getpid(), number)

            return run_together(loaded, cells, report, *others, **more)

        monkeypatch.setattr(batched, "run_together", told if at else run_together)

    return end


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_batch_is_resumed(photos, capsys, ended, number, status):
    steps = "--steps", "5", "--batch-size", "8"
    assert batch(*ALL, *steps, out="whole") == 0
    ended(2, number)
    assert batch(*ALL, *steps) == status
    said = capsys.readouterr().err
    assert said.endswith(": run the same command again to continue from here\n")
    assert list((photos / "out" / ".checkpoints").iterdir())
    ended(0, number)
    assert batch(*ALL, *steps) == 0
    assert not (photos / "out" / ".checkpoints").exists()
    for name in pictures_of(photos, "whole"):
        assert (photos / "out" / name).read_bytes() == (photos / "whole" / name).read_bytes()


def test_a_lost_host_is_named(photos, capsys, monkeypatch):
    monkeypatch.setattr(hosts.Presence, "wait_for_others", lambda *arguments: ["#2"])
    assert batch(*ALL) == 1
    assert "lost #2: run the same command again" in capsys.readouterr().err


def started(folder, *more, out="out"):
    """Start a batch in a subprocess."""
    impatient = "from jaxstyle.batch import hosts\nhosts.SILENCE = 6.0\n"
    given = ["batch", *ALL, "-o", out, "--batch-size", "8", *ONE_SCALE, *more]
    return subprocess.Popen(
        [sys.executable, "-c", impatient + SMALL_COMMAND, *given],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env=process_environment(XDG_CACHE_HOME=str(folder / "cache")),
    )


def wait_for(path, seconds=90):
    """Wait until a file exists."""
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_process_is_resumed(photos, number, status):
    steps = "--steps", "3000"
    whole = started(photos, *steps, out="whole")
    _, said = whole.communicate()
    assert whole.returncode == 0, said
    told = started(photos, *steps)
    wait_for(photos / "out" / "batch.json")
    time.sleep(1.5)
    told.send_signal(number)
    _, said = told.communicate()
    assert told.returncode == status, said
    assert said.endswith(": run the same command again to continue from here\n")
    assert list((photos / "out" / ".checkpoints").iterdir())
    again = started(photos, *steps)
    _, said = again.communicate()
    assert again.returncode == 0, said
    assert not (photos / "out" / ".checkpoints").exists()
    for name in pictures_of(photos, "whole"):
        assert (photos / "out" / name).read_bytes() == (photos / "whole" / name).read_bytes()


@pytest.mark.slow
def test_two_processes_do_not_share_a_folder(photos):
    both = [started(photos) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    statuses = sorted(process.returncode for process in both)
    assert statuses in ([0, 0], [0, 1]), said
    if statuses == [0, 1]:
        assert any("another process" in text for text in said)
    assert len(pictures_of(photos)) == 6


@pytest.fixture
def address():
    """Return a free local address for a coordinator."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def three_hosts(photos, address, *more):
    """Start three processes that work on one batch."""
    place = "--coordinator", address, "--num-hosts", "3", "--batch-size", "1"
    return [started(photos, *place, "--host-id", f"{i}", *more) for i in range(3)]


@pytest.mark.slow
def test_three_hosts_share_a_batch(photos, address):
    hosts = three_hosts(photos, address)
    said = [host.communicate()[1] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0, 0], said
    assert len(pictures_of(photos)) == 6
    lines = [json.loads(line) for line in (photos / "out/log.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    assert len({line["host"] for line in lines}) == 3


@pytest.mark.slow
def test_a_lost_host_is_named_and_a_rerun_completes_the_batch(photos, address):
    steps = "--steps", "300"
    hosts = three_hosts(photos, address, *steps)
    wait_for(photos / "out" / ".host-2-of-3.json")
    hosts[2].kill()
    said = [host.communicate()[1] for host in hosts]
    assert [host.returncode for host in hosts] == [1, 0, -signal.SIGKILL], said
    assert re.search(r"lost .*#2: run the same command again", said[0]), said[0]
    assert len(pictures_of(photos)) < 6
    again = started(photos, *steps)
    assert again.communicate()[1] is not None and again.returncode == 0
    assert len(pictures_of(photos)) == 6
