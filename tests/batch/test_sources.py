"""Expansion of folders, globs and lists into pictures."""

import os
import threading

import pytest

from jaxstyle.batch.sources import located, parts, pictures, read_text
from jaxstyle.errors import JobsError
from jaxstyle.images import expand_folders
from jaxstyle.machine import input_files


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of empty files, some of them named like pictures."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.png", "deep/er/c.webp", "x[1].png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "photos"


def in_photos(*names):
    return [os.path.join("photos", name) for name in names]


def test_a_folder_is_the_pictures_in_it(photos):
    assert pictures("photos") == in_photos("a.png", "b.JPG", "x[1].png")
    assert pictures("photos") == expand_folders(["photos"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_in_a_folder_are_passed_over(photos):
    os.mkfifo(photos / "c.png")
    (photos / "folder.png").mkdir()
    expected = in_photos("a.png", "b.JPG", "x[1].png")
    assert pictures("photos") == pictures("photos/*.*") == expand_folders(["photos"]) == expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_list_may_come_from_a_pipe_but_is_not_waited_for_without_end(photos, monkeypatch):
    os.mkfifo(photos / "list.txt")
    monkeypatch.setattr(input_files, "NO_WRITER", 0.01)
    with pytest.raises(JobsError, match="is a pipe, and no program writes into it"):
        pictures("photos/list.txt")
    writer = threading.Thread(target=(photos / "list.txt").write_text, args=("a.png\r\nb.JPG",))
    monkeypatch.undo()
    monkeypatch.chdir(photos.parent)
    writer.start()
    assert pictures("photos/list.txt") == in_photos("a.png", "b.JPG")
    writer.join()


def test_a_glob_is_the_pictures_that_match(photos):
    assert pictures("photos/**/*.webp") == in_photos("deep/er/c.webp")
    assert pictures("photos/[ab]*") == in_photos("a.png", "b.JPG")
    assert pictures("photos/*") == in_photos("a.png", "b.JPG", "x[1].png")


def test_a_picture_is_itself_even_if_its_name_looks_like_a_glob(photos):
    assert pictures("photos/a.png") == ["photos/a.png"]
    assert pictures("photos/x[1].png") == ["photos/x[1].png"]


def test_a_list_keeps_its_order_and_is_relative_to_its_folder(photos):
    lines = "\ufeff# mine\r\nb.JPG\r\n\r\n  ../other/a.png  \ngs://bucket/c#1.jpg\n/d.png"
    (photos / "list.txt").write_text(lines, encoding="utf-8", newline="")
    assert pictures("photos/list.txt") == [
        *in_photos("b.JPG", "../other/a.png"),
        "gs://bucket/c#1.jpg",
        "/d.png",
    ]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("nowhere", "nowhere: there is no such folder or file"),
        ("photos/z.png", "photos/z.png: there is no such folder or file"),
        ("photos/*.gif", "photos/*.gif: no picture matches this pattern"),
        ("empty", "empty: there are no pictures in this folder"),
        ("empty/list.txt", "empty/list.txt: this list names no pictures"),
        ("empty/latin.txt", "empty/latin.txt: is not UTF-8 text: save it as UTF-8"),
        ("missing/list.txt", "missing/list.txt: there is no such folder or file"),
    ],
)
def test_a_source_without_pictures_is_refused_in_one_line(photos, source, problem):
    empty = photos.parent / "empty"
    empty.mkdir()
    (empty / "list.txt").write_text("\n# nothing\n\n")
    (empty / "latin.txt").write_bytes("für.png".encode("latin-1"))
    with pytest.raises(JobsError) as refused:
        pictures(source)
    assert str(refused.value) == problem


def test_a_missing_text_is_refused_in_one_line(tmp_path):
    with pytest.raises(JobsError, match="^no.csv: cannot be read: No such file or directory$"):
        read_text("no.csv")


@pytest.mark.parametrize(
    ("path", "beside", "expected"),
    [
        ("a.png", "list.txt", "a.png"),
        ("a.png", "lists/list.txt", "lists/a.png"),
        ("/a.png", "lists/list.txt", "/a.png"),
        ("s3://b/a.png", "lists/list.txt", "s3://b/a.png"),
        ("a.png", "gs://bucket/list.txt", "gs://bucket/a.png"),
        ("../x/a.png", "gs://bucket/lists/list.txt", "gs://bucket/x/a.png"),
    ],
)
def test_paths_are_relative_to_the_file_that_names_them(path, beside, expected):
    assert located(path, beside) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.png", ("a.png",)),
        ("./x/../y//a.png", ("y", "a.png")),
        ("s3://bucket/y/a?b.png", ("bucket", "y", "a?b.png")),
        ("https://example.org/y/a%20b.png?w=1/2#3", ("example.org", "y", "a b.png")),
    ],
)
def test_parts_are_folders_and_a_name(path, expected):
    assert parts(path) == expected


@pytest.mark.parametrize(
    "url", ["gs://bucket/a.png", "https://example.org/photos/17?width=9", "https://example.org/a"]
)
def test_the_url_of_a_picture_is_itself(url):
    assert pictures(url) == [url]


@pytest.fixture
def bucket():
    """Write files to memory://jobs/."""
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    for name in ("b.png", "a.JPG", "notes.md", ".c.png", "deep/d.png"):
        files.pipe_file(f"/jobs/photos/{name}", b"")
    files.pipe_file("/jobs/lists/some.txt", b"../photos/b.png\n# no\n/a.png\n")
    yield "memory://jobs"
    files.rm("/jobs", recursive=True)


def test_urls_are_folders_globs_and_lists_too(bucket):
    photos = [f"{bucket}/photos/{name}" for name in ("a.JPG", "b.png")]
    assert [path.replace(":///", "://") for path in pictures(f"{bucket}/photos")] == photos
    assert pictures(f"{bucket}/photos/") == pictures(f"{bucket}/photos")
    deep = pictures(f"{bucket}/photos/**/*.png")
    assert [path.replace(":///", "://") for path in deep] == [
        f"{bucket}/photos/b.png",
        f"{bucket}/photos/deep/d.png",
    ]
    assert pictures(f"{bucket}/lists/some.txt") == [f"{bucket}/photos/b.png", "/a.png"]


@pytest.mark.parametrize("source", ["nowhere", "nowhere/", "*.png", "no.txt"])
def test_a_url_without_pictures_is_refused_in_one_line(bucket, source):
    with pytest.raises(JobsError, match=f"^{bucket}/.*: ") as refused:
        pictures(f"{bucket}/{source}")
    assert "\n" not in str(refused.value)
