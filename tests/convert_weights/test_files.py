"""Tests of atomic writing, of never replacing files, and of the checks beforehand."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from convert_weights.errors import WeightsError
from convert_weights.files import check_output, write_atomically
from tests.cases import for_each


def accept(temporary: Path) -> None:
    assert temporary.read_bytes() == b"new"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a"


def only(path: Path) -> bytes:
    """Return the content of a file, which must be alone in its directory."""
    assert list(path.parent.iterdir()) == [path]
    return path.read_bytes()


def test_a_new_file_has_the_usual_permissions_and_is_alone(path, tmp_path):
    path.touch()
    usual = path.stat().st_mode
    path.unlink()
    write_atomically(path, b"new", force=False, verify=accept)
    assert only(path) == b"new"
    assert path.stat().st_mode == usual


def test_a_file_that_appears_meanwhile_is_not_replaced(path):
    with pytest.raises(WeightsError, match="already exists"):
        write_atomically(path, b"new", force=False, verify=lambda _: path.write_bytes(b"other"))
    assert only(path) == b"other"


def test_without_hard_links_a_file_is_written_once(path, monkeypatch):
    def no_links(source, target):
        raise PermissionError("not supported")

    monkeypatch.setattr(os, "link", no_links)
    write_atomically(path, b"new", force=False, verify=accept)
    with pytest.raises(WeightsError, match="already exists"):
        write_atomically(path, b"new", force=False, verify=accept)
    assert only(path) == b"new"


def test_of_many_writers_exactly_one_wins(path):
    barrier = Barrier(8)

    def write(index: int) -> bytes:
        barrier.wait()
        try:
            write_atomically(path, bytes([index]), force=False, verify=lambda _: None)
        except WeightsError:
            return b""
        return bytes([index])

    with ThreadPoolExecutor(8) as pool:
        assert b"".join(pool.map(write, range(8))) == only(path)


@for_each(
    ("failure", "message"),
    [
        (OSError(28, "No space left on device"), "a: cannot be written: No space left on device"),
        (WeightsError("differs"), "differs"),
        (KeyboardInterrupt("Ctrl-C"), "Ctrl-C"),
    ],
)
def test_a_failure_keeps_the_old_file(path, monkeypatch, failure, message):
    def fail(*_):
        raise failure

    path.write_bytes(b"old")
    verify = fail
    with monkeypatch.context() as patch, pytest.raises(BaseException, match=message) as caught:
        if isinstance(failure, OSError):
            patch.setattr(os, "fsync", fail)
            verify = accept
        write_atomically(path, b"new", force=True, verify=verify)
    assert caught.type is not OSError
    assert only(path) == b"old"


@for_each(
    ("name", "force", "message"),
    [
        ("old", False, "already exists"),
        (".", True, "a directory; name the file"),
        ("missing/new", False, "missing does not exist"),
        (os.devnull, True, "not a regular file"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_beforehand(tmp_path, name, force, message):
    (tmp_path / "old").touch()
    with pytest.raises(WeightsError, match=message):
        check_output(tmp_path / name, force)


def test_the_check_beforehand_tries_to_write_and_leaves_nothing(tmp_path, path, monkeypatch):
    (tmp_path / "old").touch()
    check_output(path, force=False)
    check_output(tmp_path / "old", force=True)

    def denied(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(WeightsError, match="cannot be written: Permission denied"):
        check_output(path, force=False)
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]
