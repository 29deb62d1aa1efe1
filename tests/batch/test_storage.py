"""Reading and atomic writing of local files and URLs."""

import errno
import os
import secrets
import subprocess
import sys

import pytest

from jaxstyle.batch import storage
from jaxstyle.batch.storage import Folder
from jaxstyle.errors import StorageError
from jaxstyle.machine.files import this_host
from tests.processes import process_environment


@pytest.fixture(params=["local", "memory", "file"])
def root(request, tmp_path) -> str:
    """Path or URL of a folder that does not exist yet."""
    if request.param == "local":
        return str(tmp_path / "deep" / "out")
    if request.param == "file":
        return f"file://{tmp_path}/deep/out"
    return f"memory://{secrets.token_hex(4)}/out"


@pytest.fixture
def folder(root) -> Folder:
    folder = Folder(root)
    folder.create()
    return folder


def gone() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-E", "-c", ""])
    process.wait()
    return process.pid


def test_urls_are_told_from_paths():
    for path in ("gs://b/a", "s3://b", "memory://x/y.png", "file:///a", "HTTP://h"):
        assert storage.is_url(path), path
    for path in ("a.png", "/a/b", "C:\\a", "a:b", "://", "", "a/gs://b"):
        assert not storage.is_url(path), path


def test_a_folder_is_created_and_left_empty(folder):
    assert folder.names() == set()
    folder.create()
    assert folder.names() == set()


def test_a_written_file_is_read_back(folder):
    folder.write("a.png", b"first")
    folder.write("b.png", b"")
    folder.write("a.png", b"second")
    assert folder.names() == {"a.png", "b.png"}
    assert folder.read("a.png") == b"second"
    assert folder.read("b.png") == b""


def test_missing_files(root):
    folder = Folder(root)
    assert folder.read("a.png") is None
    assert folder.names() == set()
    folder.delete("a.png")


def test_deleted_files_are_gone(folder):
    folder.write("a.png", b"a")
    folder.delete("a.png")
    assert folder.names() == set()


def test_names_are_those_of_files(folder, root):
    folder.write(".hidden", b"")
    Folder(f"{root}/inner").create()
    Folder(f"{root}/inner").write("deeper.png", b"")
    assert folder.names() == {".hidden"}


def test_lines_are_appended(folder):
    folder.append("log", "one")
    folder.append("log", "twö")
    assert folder.read("log") == "one\ntwö\n".encode()


def test_a_line_after_a_truncated_line_is_whole(folder):
    folder.write("log", b'one\n{"torn')
    folder.append("log", "two")
    assert folder.read("log") == b'one\n{"torn\ntwo\n'


def test_a_url_is_copied_for_as_long_as_needed(folder, root):
    folder.write("a photo.png", b"pixels")
    with storage.local_copy(folder.path("a photo.png")) as path:
        assert path.name == "a photo.png"
        assert path.read_bytes() == b"pixels"
    assert path.exists() is not storage.is_url(root)


def test_a_head_of_a_url_is_copied(folder, root):
    folder.write("a.png", b"0123456789")
    for head, expected in [(4, b"0123"), (99, b"0123456789")]:
        with storage.local_copy(folder.path("a.png"), head) as path:
            assert path.read_bytes() == (expected if storage.is_url(root) else b"0123456789")


def test_copying_a_missing_url_is_refused():
    with (
        pytest.raises(
            StorageError, match=r"^memory://none/a.png: there is no such file"
        ) as failure,
        storage.local_copy("memory://none/a.png"),
    ):
        pass
    assert "\n" not in str(failure.value)


def test_listing(folder, root):
    for name in ("b.png", "a.jpg", ".hidden.png"):
        folder.write(name, b"")
    Folder(f"{root}/inner").create()
    Folder(f"{root}/inner").write("c.png", b"")
    assert storage.listing(root) == [f"{root}/a.jpg", f"{root}/b.png"]
    assert storage.listing(root + "/") == [f"{root}/a.jpg", f"{root}/b.png"]


def test_listing_nothing(root):
    with pytest.raises(StorageError, match="there is no such file or folder"):
        storage.listing(root)


def test_matching(folder, root):
    for name in ("b.png", "a.png", "c.jpg"):
        folder.write(name, b"")
    found = storage.matching(f"{root}/*.png")
    assert [os.path.basename(path) for path in found] == ["a.png", "b.png"]
    with storage.local_copy(found[0]) as path:
        assert path.name == "a.png"
    assert storage.matching(f"{root}/*.tif") == []
    assert len(storage.matching(f"{root}/**")) == 3


@pytest.mark.parametrize("url, package", [("gs://bucket/a.png", "gcsfs"), ("s3://b/a", "s3fs")])
def test_a_package_that_is_missing_is_named(url, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(StorageError, match=rf"^{url}: .*: pip install {package}$"):
        Folder(url).create()


def test_an_unknown_protocol_is_named():
    with pytest.raises(StorageError, match=r"^nowhere://a: .*nowhere"):
        storage.listing("nowhere://a")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_bytes(b"mine")
    for root, problem in [("out", "is a file, not a folder"), ("out/deeper", "Not a directory")]:
        with pytest.raises(StorageError, match=problem):
            Folder(str(tmp_path / root)).create()
    assert (tmp_path / "out").read_bytes() == b"mine"


@pytest.mark.parametrize("refused", ["fsync", "replace"])
def test_a_full_disk_leaves_everything_as_it_was(refused, tmp_path, monkeypatch):
    folder = Folder(str(tmp_path))
    folder.write("a.png", b"before")

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storage.os, refused, refuse)
    with pytest.raises(StorageError, match=r"a.png: cannot be written: No space left on device$"):
        folder.write("a.png", b"after")
    with pytest.raises(StorageError, match=r"cannot be written there: No space left on device$"):
        folder.create()
    assert folder.names() == {"a.png"}
    assert folder.read("a.png") == b"before"


def test_a_line_that_does_not_fit_is_an_error(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(storage.os, "write", lambda file, data: write(file, data[:2]))
    folder = Folder(str(tmp_path))
    with pytest.raises(StorageError, match="No space left"):
        folder.append("log", "long")
    monkeypatch.undo()
    folder.append("log", "next")
    assert folder.read("log") == b"lo\nnext\n"


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(storage.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Folder(str(tmp_path)).write("a.png", b"a")
    assert os.listdir(tmp_path) == []


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    host, token = this_host(), "0123456789abcdef"
    dead, elsewhere, alive, own = (
        f".jaxstyle-{name}-{process}-{token}.tmp"
        for name, process in [
            (host, gone()),
            ("another-host", gone()),
            (host, os.getppid()),
            (host, os.getpid()),
        ]
    )
    others = {elsewhere, alive, own, "mine.tmp", ".jaxstyle-notes"}
    for name in {dead, *others}:
        (tmp_path / name).write_bytes(b"part")
    Folder(str(tmp_path)).create()
    assert set(os.listdir(tmp_path)) == others


@pytest.mark.slow
def test_a_killed_write_is_cleared_away_by_the_next_run(tmp_path):
    killed = (
        "import os, signal, sys\n"
        "from jaxstyle.batch import storage\n"
        "storage.os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)\n"
        "storage.Folder(sys.argv[1]).write('a.png', b'half')\n"
    )
    command = [sys.executable, "-c", killed, str(tmp_path)]
    status = subprocess.call(command, env=process_environment())
    assert status == -9
    left = os.listdir(tmp_path)
    assert len(left) == 1 and left[0].endswith(".tmp")
    Folder(str(tmp_path)).create()
    assert os.listdir(tmp_path) == []
