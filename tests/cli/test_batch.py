"""The batch command: what it is told, what it leaves, what it says."""

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

from jaxstyle import image as images
from jaxstyle.__main__ import main
from jaxstyle.cli.batch_files import LARGE
from jaxstyle.image import Picture

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ["--style-layers", "relu1_1", "--content-layers", "relu1_1"]
QUICK = ["--size", "32", "--smallest-size", "32", "--steps", "2", *LAYERS]


@pytest.fixture
def photos(folder, picture):
    """Two folders of pictures in the current one."""
    for name, count in (("photos", 3), ("styles", 2)):
        (folder / name).mkdir()
        for index in range(count):
            rgb = np.asarray(picture(10 * count + index, 24, 32))
            images.write(folder / name / f"{name[0]}{index}.png", Picture(rgb))
    return folder


def batch(*arguments, out="out"):
    where = [] if "-o" in arguments else ["-o", out]
    return main(["batch", *where, *arguments, *QUICK])


def pictures_of(folder, out="out"):
    return sorted(path.name for path in (folder / out).glob("*.png"))


def test_folders_make_every_pair_with_a_log_and_a_sheet(photos, capsys):
    assert batch("--contents", "photos", "--styles", "styles") == 0
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
        r"out: 6 made, \d+ s; compiled 1 times for steps and \d for targets; \d+% of the ", said
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
    images.write("photos/p3.tif", Picture(np.asarray(picture(7, 24, 32))))
    given = "--contents", "photos/p3.tif", "--styles", "styles/s0.png", "--format", "tif"
    assert batch(*given, "--bits", "16") == 0
    page = (photos / "out/index.html").read_text()
    small = sorted(path.name for path in (photos / "out").glob(".thumbnail-*.jpg"))
    assert len(small) == 2
    assert all(name in page for name in small)


def test_the_sheet_shows_small_pictures_of_large_sources(photos):
    noise = np.random.default_rng(0).uniform(size=(500, 600, 3)).astype(np.float32)
    for name in ("photos/p0.jpg", "styles/s3.png"):
        images.write(name, Picture(noise))
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
    assert batch("--contents", "photos", "--styles", "styles") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "2 of 6 could not be made (all in log.jsonl); the first: p1__s0.png: " in error
    assert "p1.png: not a readable" in error
    assert len(pictures_of(photos)) == 4
    assert "failed" in (photos / "out/index.html").read_text()


def test_json_is_the_summary(photos, capsys):
    assert batch("--contents", "photos", "--styles", "styles", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["made"], told["found"], told["failed"]) == (6, 0, 0)
    assert 0 <= told["waited_share"] < 1
    assert 0 < told["stepping_share"] <= 1
    assert batch("--contents", "photos", "--styles", "styles", "--json") == 0
    assert json.loads(capsys.readouterr().out)["found"] == 6


def test_the_plan_makes_nothing(photos, capsys):
    given = "--contents", "photos", "--styles", "styles", "--batch-size", "2"
    assert batch(*given, "--plan") == 0
    printed = capsys.readouterr().out
    assert not (photos / "out").exists()
    assert re.search(r"32x24\s+6\s+3\s+2\s+1\s", printed)
    assert "6 pictures, 1 compilations, " in printed
    assert batch(*given, "--plan", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["groups"][0]["pictures"] == 6


WRONG = {
    "no pictures": ([], 2, "--contents and --styles, or --manifest"),
    "an empty folder": (["--contents", "empty", "--styles", "styles"], 1, "empty: "),
    "no such folder": (["--contents", "nowhere", "--styles", "styles"], 1, "nowhere: "),
    "no match": (["--contents", "photos/*.jpg", "--styles", "styles"], 1, r"photos/\*.jpg: "),
    "zip": (["--contents", "photos", "--styles", "styles", "--pairs", "zip"], 1, "3 .*2 "),
    "a column": (["--manifest", "column.csv"], 1, "'?stile'?.*style"),
    "a value": (["--manifest", "value.csv"], 1, "row 2.*style.weight"),
    "twice": (["--manifest", "twice.csv"], 1, "rows? 1 and (row )?2|row 2.*row 1"),
    "batch size": (
        ["--contents", "photos", "--styles", "styles", "--batch-size", "0"],
        2,
        "least 1",
    ),
    "some hosts": (
        ["--contents", "photos", "--styles", "styles", "--num-hosts", "2"],
        2,
        "--coordinator and --host-id",
    ),
}


WRONG |= {
    "bits of a JPEG": (
        ["--contents", "photos", "--styles", "styles", "--format", "jpg", "--bits", "16"],
        1,
        "no 16 bits",
    ),
    "checkpoints at a URL": (
        [
            "--contents",
            "photos",
            "--styles",
            "styles",
            "--checkpoint-every",
            "9",
            "-o",
            "memory://o",
        ],
        2,
        "folder on this machine",
    ),
    "inputs among the outputs": (
        ["--contents", "photos", "--styles", "styles", "-o", "photos"],
        1,
        "in the output folder",
    ),
}


@pytest.mark.parametrize(("given", "status", "line"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_line(photos, capsys, given, status, line):
    (photos / "empty").mkdir()
    (photos / "column.csv").write_text("content,stile\na.png,b.png\n")
    (photos / "value.csv").write_text(
        "content,style,style_weight\nphotos/p0.png,styles/s0.png,1\nphotos/p0.png,styles/s0.png,x\n"
    )
    (photos / "twice.csv").write_text(
        "content,style,output\nphotos/p0.png,styles/s0.png,a.png\nphotos/p1.png,styles/s0.png,a.png\n"
    )
    try:
        assert batch(*given) == status
    except SystemExit as stop:  # argparse
        assert stop.code == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert re.search(line, error)
    assert not (photos / "out").exists()


def test_a_folder_that_cannot_be_written(photos, capsys):
    (photos / "out").write_text("a file")
    assert batch("--contents", "photos", "--styles", "styles") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("jaxstyle: out: ")


def test_what_was_made_is_no_content_of_the_next_run(photos):
    given = "--contents", "photos/**/*.png", "--styles", "styles/s0.png", "-o", "photos/made"
    assert batch(*given) == 0
    assert batch(*given) == 0
    assert pictures_of(photos / "photos", "made") == [f"p{i}__s0.png" for i in range(3)]


def test_a_folder_with_files_of_others_is_left_alone(photos, capsys):
    (photos / "out").mkdir()
    (photos / "out" / "index.html").write_text("mine")
    assert batch("--contents", "photos", "--styles", "styles") == 1
    error = capsys.readouterr().err
    assert "index.html: is there, and no batch has made it" in error
    assert (photos / "out" / "index.html").read_text() == "mine"
    assert batch("--contents", "photos", "--styles", "styles", "--force") == 0


SMALL = """
from bench.work import few_channels
from jaxstyle import weights
from jaxstyle.__main__ import entry
from jaxstyle.batch import hosts
hosts.SILENCE = 6.0
weights.find, weights.load = (lambda path, tell: path), (lambda path: few_channels())
entry()
"""


def command(folder, out, *more):
    """A batch as a process of its own."""
    given = f"batch --contents photos --styles styles -o {out} --batch-size 8".split()
    return subprocess.Popen(
        [sys.executable, "-c", SMALL, *given, *QUICK, *more],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")},
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_batch_that_is_told_to_end_goes_on_from_where_it_was(photos, number, status):
    steps = "--steps", "3000"
    whole = command(photos, "whole", *steps)
    _, said = whole.communicate()
    assert whole.returncode == 0, said
    told = command(photos, "out", *steps)
    deadline = time.monotonic() + 60
    while not (photos / "out" / "batch.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.5)
    told.send_signal(number)
    _, said = told.communicate()
    assert told.returncode == status, said
    assert said.endswith(": the same command again goes on from here\n")
    assert list((photos / "out" / ".checkpoints").iterdir())
    again = command(photos, "out", *steps)
    _, said = again.communicate()
    assert again.returncode == 0, said
    assert not (photos / "out" / ".checkpoints").exists()
    for name in pictures_of(photos, "whole"):
        assert (photos / "out" / name).read_bytes() == (photos / "whole" / name).read_bytes()


def test_two_processes_on_one_folder_do_not_meddle(photos):
    both = [command(photos, "out") for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    statuses = sorted(process.returncode for process in both)
    assert statuses in ([0, 0], [0, 1]), said
    if statuses == [0, 1]:
        assert any("another process" in text for text in said)
    assert len(pictures_of(photos)) == 6


@pytest.fixture
def address():
    """Of a coordinator."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def three_hosts(photos, address, *more):
    """Three processes that do a batch together."""
    place = "--coordinator", address, "--num-hosts", "3", "--batch-size", "1"
    return [command(photos, "out", *place, "--host-id", f"{i}", *more) for i in range(3)]


def test_three_hosts_do_it_together(photos, address):
    hosts = three_hosts(photos, address)
    said = [host.communicate()[1] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0, 0], said
    assert len(pictures_of(photos)) == 6
    lines = [json.loads(line) for line in (photos / "out/log.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    assert len({line["host"] for line in lines}) == 3


def test_a_lost_host_is_named_and_a_rerun_makes_up_for_it(photos, address):
    steps = "--steps", "300"
    hosts = three_hosts(photos, address, *steps)
    deadline = time.monotonic() + 90
    while not (photos / "out" / ".host-2-of-3.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    hosts[2].kill()
    said = [host.communicate()[1] for host in hosts]
    assert [host.returncode for host in hosts] == [1, 0, -signal.SIGKILL], said
    assert re.search(r"lost .*#2: run the same command again", said[0]), said[0]
    assert len(pictures_of(photos)) < 6
    again = command(photos, "out", *steps)
    assert again.communicate()[1] is not None and again.returncode == 0
    assert len(pictures_of(photos)) == 6
