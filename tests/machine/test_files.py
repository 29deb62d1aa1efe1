"""Tests of the writer of whole files and of its check beforehand, for every kind of target."""

import errno
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from jaxstyle.machine import files
from jaxstyle.machine.files import (
    LONGEST_NAME,
    beside,
    check_writable,
    remove_leftovers,
    unused,
    whole_file,
    write_whole,
)
from tests.processes import ROOT, process_environment


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refuse(number: int):
    """Return a function that raises this error of the system, whatever it is given."""

    def refused(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return refused


# --- regular files --------------------------------------------------------------------------------


@pytest.mark.parametrize("replace", [True, False])
def test_writes_and_leaves_nothing_else(tmp_path, replace):
    check_writable(tmp_path / "a", replace=replace)
    assert contents(tmp_path) == {}
    write_whole(tmp_path / "a", b"new", replace=replace)
    assert contents(tmp_path) == {"a": b"new"}


@pytest.mark.parametrize("through_link", [False, True])
def test_a_file_is_not_replaced_by_way_of_a_folder_that_is_not_there(tmp_path, through_link):
    (tmp_path / "old").write_bytes(b"old")
    path = f"{tmp_path}/missing/../old"
    if through_link:
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    with pytest.raises(FileNotFoundError):
        check_writable(path)
    with pytest.raises(FileNotFoundError):
        write_whole(path, b"new")
    assert (tmp_path / "old").read_bytes() == b"old"


def test_an_old_file_is_replaced_at_once(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with whole_file(tmp_path / "a") as file:
        file.write(b"new")
        assert (tmp_path / "a").read_bytes() == b"old"
        check_writable(tmp_path / "a")
    assert contents(tmp_path) == {"a": b"new"}


def test_a_file_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_writable("a")
    write_whole("a", b"new")
    assert contents(tmp_path) == {"a": b"new"}


def test_mode_is_that_of_the_file_before_or_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    (tmp_path / "a").chmod(0o600)
    with whole_file(tmp_path / "a"):
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_link_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "there" / "b")
    for data in (b"new", b"newer"):
        check_writable(tmp_path / "a")
        write_whole(tmp_path / "a", data)
        assert (tmp_path / "a").is_symlink()
        assert contents(tmp_path / "there") == {"b": data}
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a", b"newest", replace=False)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("folder", IsADirectoryError),
        ("new/", IsADirectoryError),
        ("none/a", FileNotFoundError),
        ("file/a", NotADirectoryError),
        ("x" * 256, OSError),
        ("loop", OSError),
    ],
)
def test_what_cannot_be_written_is_found_before(tmp_path, name, error):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    names = sorted(os.listdir(tmp_path))
    path = os.path.join(tmp_path, name)
    with pytest.raises(error):
        check_writable(path)
    with pytest.raises(error):
        write_whole(path, b"new")
    assert sorted(os.listdir(tmp_path)) == names


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("refused", ["fsync", "replace"])
def test_full_disk_keeps_the_old_file(tmp_path, monkeypatch, refused):
    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, refused, refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left on device"):
        write_whole(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"old"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_failed_verification_keeps_the_old_file(tmp_path, error):
    (tmp_path / "a").write_bytes(b"old")

    def reject(temporary: Path) -> None:
        assert temporary.read_bytes() == b"new"
        raise error

    with pytest.raises(error):
        write_whole(tmp_path / "a", b"new", verify=reject)
    assert contents(tmp_path) == {"a": b"old"}


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    killed = (
        "import os, signal, sys\n"
        "from jaxstyle.machine.files import write_whole\n"
        "os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_whole(sys.argv[1], b'half')\n"
    )
    command = [sys.executable, "-c", killed, str(tmp_path / "a")]
    assert subprocess.call(command, env=process_environment(), cwd=ROOT) == -9
    assert len(contents(tmp_path)) == 1
    (tmp_path / "mine.tmp").touch()
    with whole_file(tmp_path / "b"):
        remove_leftovers(tmp_path)
    assert contents(tmp_path) == {"mine.tmp": b"", "b": b""}
    remove_leftovers(tmp_path / "none")


def test_leftovers_elsewhere_are_removed_too(elsewhere):
    left = elsewhere / ".jaxstyle-other-1-0123456789abcdef.tmp"
    left.touch()
    os.utime(left, (0, 0))
    remove_leftovers()
    assert not left.exists()


def test_leftovers_of_another_host_are_removed_when_they_are_old(tmp_path):
    names = [f".jaxstyle-elsewhere.1-{number}-0123456789abcdef.tmp" for number in (1, 2)]
    for name in names:
        (tmp_path / name).touch()
    os.utime(tmp_path / names[0], (0, 0))
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == names[1:]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_file_systems_that_cannot_sync_or_set_modes(tmp_path, monkeypatch, number):
    (tmp_path / "a").touch()
    for refused in ("fsync", "chmod"):
        monkeypatch.setattr(os, refused, refuse(number))
    check_writable(tmp_path / "a")
    write_whole(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"new"}


def test_a_link_in_place_of_an_own_file_is_replaced_itself(tmp_path):
    (tmp_path / "theirs").write_bytes(b"theirs")
    for target in ("theirs", "nothing", "a"):
        (tmp_path / "a").unlink(missing_ok=True)
        (tmp_path / "a").symlink_to(target)
        check_writable(tmp_path / "a", follow=False)
        write_whole(tmp_path / "a", b"new", follow=False)
        assert contents(tmp_path) == {"theirs": b"theirs", "a": b"new"}


# --- never replacing ------------------------------------------------------------------------------


def test_an_old_file_is_kept(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        check_writable(tmp_path / "a", replace=False)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a", b"new", replace=False)
    assert contents(tmp_path) == {"a": b"old"}


def test_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    def race(temporary: Path) -> None:
        (tmp_path / "a").write_bytes(b"other process")

    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a", b"new", replace=False, verify=race)
    assert contents(tmp_path) == {"a": b"other process"}


def test_file_system_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    write_whole(tmp_path / "a", b"new", replace=False)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a", b"newer", replace=False)
    assert contents(tmp_path) == {"a": b"new"}


def test_of_many_writers_exactly_one_wins(tmp_path):
    outcomes = []
    barrier = threading.Barrier(8)

    def write(index: int) -> None:
        barrier.wait()
        try:
            write_whole(tmp_path / "a", bytes([index]) * 9, replace=False)
            outcomes.append(index)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert contents(tmp_path) == {"a": bytes(outcomes) * 9}


# --- names that are free --------------------------------------------------------------------------


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    wanted = tmp_path / "a.tar.png"
    for name in ("a.tar.png", "a.tar-2.png", "a.tar-3.png"):
        assert unused(wanted) == tmp_path / name
        (tmp_path / name).touch()
    (tmp_path / "a.tar-4.png").symlink_to("nowhere")  # taken too: it would be written through
    (tmp_path / "a.tar-5.png").mkdir()
    assert unused(wanted) == tmp_path / "a.tar-6.png"


@pytest.mark.parametrize("letter", ["x", "\u00e4", "\N{FIRE}"])
def test_a_derived_name_is_never_too_long(tmp_path, letter):
    width = len(letter.encode())
    path = tmp_path / f"{letter * ((LONGEST_NAME - 4) // width)}.png"
    path.touch()
    for derived in (beside(path, "interrupted"), unused(path)):
        derived.touch()  # the system takes the name
        assert LONGEST_NAME - width < len(os.fsencode(derived.name)) <= LONGEST_NAME
        assert derived.suffix == ".png" and derived.stem.startswith(letter)
    assert beside(tmp_path / "a.png", "again") == tmp_path / "a-again.png"


# --- written in place -----------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """The folder of temporary files that cannot be beside their target."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert contents(folder) == {}


def test_devices_stay_devices(elsewhere, tmp_path):
    (tmp_path / "link").symlink_to(os.devnull)
    for path in (os.devnull, tmp_path / "link"):
        check_writable(path)
        write_whole(path, b"new")
    assert Path(os.devnull).is_char_device()
    assert (tmp_path / "link").is_symlink()
    assert not [name for name in os.listdir("/dev") if name.startswith(".jaxstyle")]


def test_a_pipe_receives_the_data(elsewhere, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    check_writable(tmp_path / "pipe")  # does not wait for a reader
    received = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    with whole_file(tmp_path / "pipe") as file:
        file.write(b"xyz")
        file.seek(0)  # as encoders do
        file.write(b"a")
    reader.join()
    assert received == [b"ayz"]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("to_file", [True, False])
def test_standard_output_receives_the_data_in_its_place(tmp_path, to_file):
    script = (
        "from jaxstyle.machine.files import check_writable, write_whole\n"
        "for number in (1, 2, 3):\n"
        "    print(number, flush=True)\n"
        "    check_writable('/dev/stdout')\n"
        "    write_whole('/dev/stdout', b'data\\n')\n"
    )
    with open(tmp_path / "out", "w+b") as out:
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdout=out if to_file else subprocess.PIPE,
            env=process_environment(),
            cwd=ROOT,
            check=True,
        )
    found = (tmp_path / "out").read_bytes() if to_file else done.stdout
    assert found == b"1\ndata\n2\ndata\n3\ndata\n"


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES])
def test_what_cannot_be_renamed_over_is_written_in_place(tmp_path, monkeypatch, number):
    (tmp_path / "a").write_bytes(b"the old file")
    node = (tmp_path / "a").stat().st_ino
    monkeypatch.setattr(os, "replace", refuse(number))
    check_writable(tmp_path / "a")
    write_whole(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"new"}
    assert (tmp_path / "a").stat().st_ino == node
    with pytest.raises(OSError):
        write_whole(tmp_path / "b", b"new")
    assert contents(tmp_path) == {"a": b"new"}


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space cannot be reserved here")
def test_a_full_disk_keeps_the_old_file_in_its_place(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", refuse(errno.EBUSY))
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a", b"longer than it was")
    assert contents(tmp_path) == {"a": b"old"}


MOUNTED = """
import os, sys
from jaxstyle.machine.files import check_writable, write_whole
os.chdir(sys.argv[1])
check_writable("a")
write_whole("a", b"new")
os.rename("b", "c")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts of Linux")
def test_a_mount_point_is_written_in_place(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"the old file")
    script = 'mount --bind "$1/b" "$1/a" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable]
    try:
        done = subprocess.run([*command, MOUNTED], env=process_environment(), cwd=ROOT)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode:
        pytest.skip("this user cannot mount")
    assert contents(tmp_path) == {"a": b"the old file", "c": b"new"}


def test_a_file_of_another_in_a_sticky_folder(unprivileged):
    if os.geteuid() == os.getuid():
        pytest.skip("needs files of two users")
    own = os.geteuid()
    os.seteuid(os.getuid())
    (unprivileged / "a").write_bytes(b"the old file")
    (unprivileged / "a").chmod(0o666)
    os.chown(unprivileged / "a", 0, 0)
    os.chown(unprivileged, 0, 0)
    unprivileged.chmod(0o1777)
    os.seteuid(own)
    check_writable(unprivileged / "a")
    write_whole(unprivileged / "a", b"new")
    assert contents(unprivileged) == {"a": b"new"}


@pytest.mark.parametrize("attribute", ["+i", "+a"])
def test_a_file_that_cannot_be_changed_is_found_before(tmp_path, attribute):
    (tmp_path / "a").write_bytes(b"old")
    try:
        made = subprocess.call(["chattr", attribute, tmp_path / "a"], stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        made = 1
    if made:
        pytest.skip("no such attribute here")
    try:
        with pytest.raises(PermissionError):
            check_writable(tmp_path / "a")
    finally:
        subprocess.check_call(["chattr", attribute.replace("+", "-"), tmp_path / "a"])
    assert contents(tmp_path) == {"a": b"old"}


def test_sockets_and_descriptors_for_reading_are_found_before(tmp_path):
    with socket.socket(socket.AF_UNIX) as listening, open(os.devnull, "rb") as reading:
        listening.bind(str(tmp_path / "a"))
        for path in (tmp_path / "a", f"/dev/fd/{reading.fileno()}"):
            with pytest.raises(OSError):
                check_writable(path)


def test_without_a_folder_for_temporary_files_it_says_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")

    def nowhere():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    monkeypatch.setattr(os, "access", lambda path, *mode, **how: path != "/dev/shm")
    with pytest.raises(OSError, match="set TMPDIR"):
        check_writable(os.devnull)


def test_a_failure_before_writing_in_place_keeps_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", refuse(errno.EBUSY))
    with pytest.raises(ValueError), whole_file(tmp_path / "a") as file:
        file.write(b"new")
        raise ValueError
    assert contents(tmp_path) == {"a": b"old"}


def test_a_file_in_a_folder_where_none_can_be_made(unprivileged):
    (unprivileged / "mine").write_bytes(b"the old file")
    (unprivileged / "read-only").write_bytes(b"old")
    (unprivileged / "read-only").chmod(0o444)
    unprivileged.chmod(0o555)
    check_writable(unprivileged / "mine")
    write_whole(unprivileged / "mine", b"new")
    for name in ("read-only", "another"):
        with pytest.raises(PermissionError):
            check_writable(unprivileged / name)
        with pytest.raises(PermissionError):
            write_whole(unprivileged / name, b"new")
    assert contents(unprivileged) == {"mine": b"new", "read-only": b"old"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_that_nothing_reads_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "NO_READER", 0.01)
    os.mkfifo(tmp_path / "p")
    with pytest.raises(OSError, match="is a pipe, and no program reads it"):
        files.write_whole(tmp_path / "p", b"a")
