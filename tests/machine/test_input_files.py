"""Opening of input files of every kind: none is waited for without end."""

import os
import socket
import subprocess
import sys
import threading

import pytest

from jaxstyle.machine import input_files
from jaxstyle.machine.input_files import open_input


def refusal(path, **options) -> str:
    with pytest.raises(OSError) as caught:
        open_input(path, **options).close()
    return caught.value.strerror


def fed(path, data: bytes) -> threading.Thread:
    """Write into a pipe from another thread."""
    thread = threading.Thread(target=path.write_bytes, args=(data,))
    thread.start()
    return thread


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_file_is_opened_as_it_is(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    with open_input(tmp_path / "a") as file:
        assert file.read(2) == b"12"
        assert file.seek(0) == 0
        assert file.fileno() > 2
        assert file.read() == b"12345"


def test_more_than_the_rest_of_a_file_takes_no_memory(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    with open_input(tmp_path / "a") as file:
        file.seek(1)
        assert file.read(2**60) == b"2345"
        assert file.read(2**60) == b""
        file.seek(9)
        assert file.read(2**60) == b""


@pytest.mark.parametrize("data", [b"", b"12345", bytes(300_000)])
def test_a_pipe_is_read_to_its_end(pipe, data):
    thread = fed(pipe, data)
    with open_input(pipe) as file:
        assert file.read() == data
        assert file.seek(0) == 0
    thread.join()


def test_standard_input_may_be_a_pipe():
    code = (
        "from jaxstyle.machine.input_files import open_input\n"
        "print(len(open_input('/dev/stdin').read()))"
    )
    command = [sys.executable, "-c", code]
    made = subprocess.run(command, input=bytes(70_000), capture_output=True, check=True)
    assert made.stdout == b"70000\n"


def test_a_pipe_without_a_writer_or_data_is_given_up(pipe, monkeypatch):
    monkeypatch.setattr(input_files, "NO_WRITER", 0.01)
    monkeypatch.setattr(input_files, "SILENCE", 0.05)
    assert refusal(pipe) == "is a pipe, and no program writes into it"
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)
    assert refusal(pipe) == "is a pipe, and its writer gives no data"
    os.close(writer)
    os.close(reader)


def test_a_pipe_without_an_end_is_given_up(pipe, monkeypatch):
    monkeypatch.setattr(input_files, "MOST_OF_A_PIPE", 1000)
    thread = fed(pipe, bytes(1001))
    assert "more than 0 MB" in refusal(pipe)
    thread.join()


def test_a_pipe_that_is_needed_again_is_refused(pipe):
    assert refusal(pipe, again=True) == "is a pipe, and is needed more than once: save it to a file"


def test_what_is_no_file_is_refused(tmp_path):
    assert refusal(tmp_path) == "Is a directory"
    assert "device" in refusal(os.devnull)
    assert "device" in refusal("/dev/zero")
    assert refusal(tmp_path / "none") == "No such file or directory"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        assert "is a socket" in refusal(tmp_path / "s")
