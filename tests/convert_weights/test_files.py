"""Tests of atomic writing, of never replacing files, and of the checks beforehand."""

import os
import threading
from pathlib import Path

import pytest

from convert_weights.errors import WeightsError
from convert_weights.files import check_output, write_atomically


def accept(path: Path) -> None:
    pass


def test_writes_and_leaves_nothing_else(tmp_path):
    write_atomically(tmp_path / "a", b"new", force=False, verify=accept)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    def race(temporary: Path) -> None:
        (tmp_path / "a").write_bytes(b"other process")

    with pytest.raises(WeightsError, match="already exists"):
        write_atomically(tmp_path / "a", b"new", force=False, verify=race)
    assert (tmp_path / "a").read_bytes() == b"other process"
    assert len(list(tmp_path.iterdir())) == 1


def test_file_system_without_hard_links(tmp_path, monkeypatch):
    def no_links(source, target):
        raise PermissionError("not supported")

    monkeypatch.setattr(os, "link", no_links)
    write_atomically(tmp_path / "a", b"new", force=False, verify=accept)
    assert (tmp_path / "a").read_bytes() == b"new"
    with pytest.raises(WeightsError, match="already exists"):
        write_atomically(tmp_path / "a", b"newer", force=False, verify=accept)
    assert len(list(tmp_path.iterdir())) == 1


def test_of_many_writers_exactly_one_wins(tmp_path):
    outcomes = []
    barrier = threading.Barrier(8)

    def write(index: int) -> None:
        barrier.wait()
        try:
            write_atomically(tmp_path / "a", bytes([index]) * 9, force=False, verify=accept)
            outcomes.append(index)
        except WeightsError:
            pass

    threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert (tmp_path / "a").read_bytes() == bytes(outcomes) * 9
    assert len(list(tmp_path.iterdir())) == 1


def test_failed_verification_keeps_the_old_file(tmp_path):
    (tmp_path / "a").write_bytes(b"old")

    def reject(temporary: Path) -> None:
        assert temporary.read_bytes() == b"new"
        raise WeightsError("differs")

    with pytest.raises(WeightsError, match="differs"):
        write_atomically(tmp_path / "a", b"new", force=True, verify=reject)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WeightsError, match="a: cannot be written: No space left on device"):
        write_atomically(tmp_path / "a", b"new", force=True, verify=accept)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_interrupt_leaves_nothing(tmp_path):
    def interrupt(temporary: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", b"new", force=False, verify=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_new_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    write_atomically(tmp_path / "a", b"new", force=False, verify=accept)
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_output_is_checked_beforehand(tmp_path, monkeypatch):
    (tmp_path / "old").touch()
    check_output(tmp_path / "new", force=False)
    check_output(tmp_path / "old", force=True)
    with pytest.raises(WeightsError, match="already exists"):
        check_output(tmp_path / "old", force=False)
    with pytest.raises(WeightsError, match="a directory; name the file"):
        check_output(tmp_path, force=True)
    with pytest.raises(WeightsError, match=r"the directory .*missing does not exist"):
        check_output(tmp_path / "missing" / "new", force=False)
    with pytest.raises(WeightsError, match="not a regular file"):
        check_output(Path(os.devnull), force=True)

    def denied(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(WeightsError, match="cannot be written: Permission denied"):
        check_output(tmp_path / "new", force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
