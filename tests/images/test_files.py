"""Tests of writing files: errors are found in advance, and existing files are never lost."""

import os

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.errors import ImageError
from jaxstyle.images import Picture
from tests.cases import for_each
from tests.images.conftest import no_space_beyond

RGB = np.random.default_rng(0).random((61, 34, 3), dtype=np.float32)
NAMES = ["a.png", "a.jpg", "a.jpeg", "a.webp", "a.tif", "a.tiff", "a.PNG"]


# --- before a run ---------------------------------------------------------------------------------


@for_each("name", NAMES)
def test_the_check_leaves_nothing_behind(tmp_path, name):
    path = tmp_path / name
    images.check_writable(path)
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"old")
    images.check_writable(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"
    path.unlink()


@for_each(
    ("name", "options", "message"),
    [
        ("a.gif", {}, "unknown extension '.gif': use .png, .jpg, .jpeg, .webp, .tif or .tiff"),
        ("a", {}, "has no extension, which says the format of the file: use .png"),
        ("none/a.png", {}, "there is no directory .*none: create it"),
        ("file/a.png", {}, "there is no directory .*file"),
        ("directory.png", {}, "is a directory"),
        ("a.jpg", {"bits": 16}, "16 bits per channel: use .png or .tif"),
        ("a.webp", {"bits": 16}, "16 bits per channel"),
        ("a.png", {"bits": 12}, "8 or 16"),
        ("a.webp", {"longest": 16384}, "at most 16383 pixels a side, not 16384"),
        ("a.jpg", {"longest": 65501}, "at most 65500"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, options, message):
    (tmp_path / "file").touch()
    (tmp_path / "directory.png").mkdir(exist_ok=True)
    with pytest.raises(ImageError, match=message) as caught:
        images.check_writable(tmp_path / name, **options)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    if "longest" not in options:
        with pytest.raises(ImageError, match=message):
            images.write(tmp_path / name, Picture(RGB), **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory.png", "file"]


def test_read_only_directory_and_file(unprivileged):
    path = unprivileged / "a.png"
    images.write(path, Picture(RGB))
    path.chmod(0o444)
    with pytest.raises(ImageError, match="cannot be written there: Permission denied"):
        images.check_writable(path)
    path.chmod(0o644)
    unprivileged.chmod(0o555)
    with pytest.raises(ImageError, match="cannot be written there: Permission denied"):
        images.check_writable(unprivileged / "b.png")
    path.write_bytes(b"old")
    images.check_writable(path)
    images.write(path, Picture(RGB))
    assert images.read(path).rgb.shape == RGB.shape
    assert os.listdir(unprivileged) == ["a.png"]


# --- when writing fails ---------------------------------------------------------------------------


def failing_write(path, match: str, picture: Picture | None = None, **options):
    """Check that writing over a file fails and leaves that file unchanged and nothing else."""
    path.write_bytes(b"the old file")
    with pytest.raises(ImageError, match=match) as caught:
        images.write(path, picture or Picture(RGB), **options)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"the old file"
    assert list(path.parent.iterdir()) == [path]
    path.unlink()


@for_each("name", NAMES)
def test_a_disk_that_is_full_at_the_end_keeps_the_old_file(tmp_path, name, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    failing_write(tmp_path / name, "cannot be written: No space left on device")


@for_each(
    ("name", "size", "bits"),
    [*((name, 200, 8) for name in NAMES), ("a.png", 4000, 16), ("a.tif", 4000, 16)],
)
def test_a_disk_that_is_full_meanwhile_keeps_the_old_file(tmp_path, short_strips, name, size, bits):
    with no_space_beyond(size):
        failing_write(tmp_path / name, "cannot be written: File too large", bits=bits)


def test_an_interrupt_keeps_the_old_file(tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    (tmp_path / "a.png").write_bytes(b"the old file")
    with pytest.raises(KeyboardInterrupt):
        images.write(tmp_path / "a.png", Picture(RGB))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the old file"]


def test_what_cannot_be_encoded_is_refused(tmp_path):
    not_a_number = Picture(np.where(RGB < 0.1, np.float32(np.nan), RGB))
    failing_write(tmp_path / "a.png", "NaN", not_a_number)
    failing_write(tmp_path / "a.png", "beyond ASCII", description="ü")
    too_wide = Picture(np.zeros((1, 16384, 3), np.float32))
    failing_write(tmp_path / "a.webp", "at most 16383", too_wide)
    failing_write(tmp_path / "a.jpg", "cannot be encoded as JPEG", description="x" * 70_000)


# --- names and permissions ------------------------------------------------------------------------


def test_the_mode_is_that_of_an_ordinary_file_or_of_the_old_one(tmp_path):
    path, before = tmp_path / "a.png", os.umask(0o027)
    try:
        images.write(path, Picture(RGB))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    images.write(path, Picture(RGB))
    assert path.stat().st_mode & 0o777 == 0o604


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "a.png").symlink_to(tmp_path / "there" / "b.png")
    images.write(tmp_path / "a.png", Picture(RGB))
    assert (tmp_path / "a.png").is_symlink()
    assert images.read(tmp_path / "there" / "b.png").rgb.shape == RGB.shape


def test_names_may_be_long_and_without_a_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "x" * 251 + ".png"
    images.check_writable(name)
    images.write(name, Picture(RGB))
    assert os.listdir() == [name]


def test_text_is_written_in_utf_8(tmp_path):
    images.check_directory(tmp_path / "report.json")
    images.write_text(tmp_path / "report.json", '{"ü": 1}\n')
    assert (tmp_path / "report.json").read_bytes() == '{"ü": 1}\n'.encode()
    with pytest.raises(ImageError, match="there is no directory"):
        images.check_directory(tmp_path / "none" / "report.json")
    with pytest.raises(ImageError, match="No such file"):
        images.write_text(tmp_path / "none" / "report.json", "{}")


def test_a_device_is_no_file_to_replace():
    images.check_directory(os.devnull)
    images.write_text(os.devnull, "{}")
    assert not os.path.isfile(os.devnull)


# --- names that are free --------------------------------------------------------------------------


def test_a_derived_picture_takes_a_free_name(tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    for name in ("a-3.png", "a-4.png"):
        taken = {(tmp_path / "a-2.png").resolve()}
        assert images.write_unused(tmp_path / "a.png", Picture(RGB), taken=taken) == tmp_path / name
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a-3.png", "a-4.png", "a.png"]


def test_of_two_processes_that_want_a_name_both_get_one(tmp_path, monkeypatch):
    encode = images._write.encode

    def overtaken(*arguments):
        if not (tmp_path / "a.png").exists():
            (tmp_path / "a.png").write_bytes(b"other process")
        encode(*arguments)

    monkeypatch.setattr(images._write, "encode", overtaken)
    with pytest.raises(FileExistsError):
        images.write(tmp_path / "a.png", Picture(RGB), replace=False)
    (tmp_path / "a.png").unlink()
    assert images.write_unused(tmp_path / "a.png", Picture(RGB)) == tmp_path / "a-2.png"
    assert (tmp_path / "a.png").read_bytes() == b"other process"
