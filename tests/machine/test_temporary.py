"""Folders for temporary files do not stay behind, and full ones are told."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager

import pytest

from convert_weights import fetch
from convert_weights.errors import naming
from jaxstyle.errors import TemporaryFolderError
from jaxstyle.machine import temporary
from jaxstyle.machine.temporary import new_file, temporary_folder
from tests.cases import for_each
from tests.convert_weights.conftest import complaint
from tests.processes import process_environment

KEEP = """
import time
from jaxstyle.machine.temporary import new_file, temporary_folder
with temporary_folder() as outer, temporary_folder() as folder:
    with new_file(folder / "large") as write:
        write(b"data")
        print(folder, flush=True)
        time.sleep(600)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder of the system for temporary files, of this test alone."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@contextmanager
def keeping(place, **options):
    """Start a process that keeps two temporary folders."""
    environment = process_environment(TMPDIR=str(place))
    command = [sys.executable, "-c", KEEP]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=environment, cwd=place, **options
    ) as process:
        try:
            assert process.stdout.readline().startswith(os.fsencode(place))
            yield process
        finally:
            process.kill()


def test_the_folder_is_private_and_goes_with_the_block(place):
    with temporary_folder() as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("data")
    with pytest.raises(ZeroDivisionError), temporary_folder() as folder:
        (folder / "file").write_text("data")
        raise ZeroDivisionError
    assert list(place.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_deletes_it_and_ends_the_process(place, name):
    with keeping(place, stderr=subprocess.DEVNULL) as process:
        assert len(list(place.iterdir())) == 2
        process.send_signal(getattr(signal, name))
        assert process.wait() == -getattr(signal, name)
    assert list(place.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot tell which processes are alive")
def test_what_a_killed_process_left_is_deleted_at_the_next_start(place):
    other = place / ".jaxstyle-elsewhere-1-0123456789abcdef.tmp"
    other.mkdir()
    with keeping(place) as process:
        with temporary_folder():
            assert len(list(place.iterdir())) == 4  # of a process that lives
        process.kill()
        process.wait()
        assert len(list(place.iterdir())) == 3
        with temporary_folder() as folder:
            assert sorted(place.iterdir()) == sorted([other, folder])


@for_each("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_folder_that_is_full_is_named(place, monkeypatch, number):
    class Full:
        def write(self, block):
            raise OSError(number, os.strerror(number))

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    with temporary_folder() as folder:
        monkeypatch.setattr(temporary, "open", lambda *_: Full(), raising=False)
        with (
            pytest.raises(TemporaryFolderError) as caught,
            naming("archive"),
            new_file(folder / "large") as write,
        ):
            write(b"data")
    assert str(caught.value) == (
        f"{place}: temporary files cannot be written: {os.strerror(number)}; make room there, or "
        "set TMPDIR to another folder"
    )


def test_other_errors_are_not_those_of_the_folder(place):
    with temporary_folder() as folder:
        with pytest.raises(ConnectionResetError), new_file(folder / "large"):
            raise ConnectionResetError
        with pytest.raises(TemporaryFolderError, match="No such"), new_file(folder / "a" / "b"):
            pass


def test_without_any_folder_it_is_told(monkeypatch):
    def none():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    for call in (fetch.fetch_weights, lambda: fetch.fetch_url("http://127.0.0.1:9/x")):
        assert "set TMPDIR" in complaint(call)
