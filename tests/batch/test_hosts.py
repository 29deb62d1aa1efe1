"""Rendezvous, sharing and loss of hosts, with real processes on one machine."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import jax
import pytest

from jaxstyle.batch import hosts, meeting
from jaxstyle.batch.hosts import Host, Presence, join, share
from jaxstyle.batch.storage import Folder
from jaxstyle.errors import HostFlagsError, HostsError, StorageError
from tests.processes import process_environment

HERE = socket.gethostname()


def free_address() -> str:
    """Return a local address on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"localhost:{probe.getsockname()[1]}"


def joined(*indices: int, count: int, timeout: float, address: str = "") -> list[Host | HostsError]:
    """Join as several hosts at once; return the host or the error of each."""
    address = address or free_address()

    def one(index: int) -> Host | HostsError:
        try:
            return join(address, count, index, timeout)
        except HostsError as error:
            return error

    with ThreadPoolExecutor(len(indices)) as pool:
        return list(pool.map(one, indices))


@pytest.fixture
def no_cluster(monkeypatch):
    """Remove the variables by which JAX detects a cluster."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_", "KUBERNETES_", "JOB_COMPLETION")):
            monkeypatch.delenv(name)


# --- shares ---------------------------------------------------------------------------------------


def test_shares_are_disjoint_complete_and_even():
    for count, items in product([1, 2, 3, 8], [0, 1, 7, 24]):
        shares = [share(range(items), Host(i, count, ("x",) * count)) for i in range(count)]
        assert sorted(sum(shares, [])) == list(range(items)), (count, items)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1, (count, items)


# --- meeting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [(None, None, None), (None, 1, None), (None, 1, 0)])
def test_alone(flags, no_cluster):
    host = join(*flags, timeout=1.0)
    assert (host.index, host.count, host.names) == (0, 1, (HERE,))
    assert host.run != join(*flags, timeout=1.0).run
    assert not jax.distributed.is_initialized()


@pytest.mark.parametrize(
    "coordinator, count, index, problem",
    [
        ("a:1", None, None, "several hosts also need --num-hosts and --host-id"),
        (None, 2, None, "several hosts also need --coordinator and --host-id"),
        (None, None, 0, "several hosts also need --coordinator and --num-hosts"),
        ("a:1", 2, None, "several hosts also need --host-id"),
        (None, 2, 1, "several hosts also need --coordinator"),
        ("a:1", 0, 0, "--num-hosts must be at least 1, not 0"),
        ("a:1", 2, 2, "--host-id of 2 hosts must be 0 to 1, not 2"),
        ("a:1", 2, -1, "not -1"),
        ("a:1", 1, 1, "must be 0 to 0, not 1"),
        ("a", 2, 0, "must be HOST:PORT, not a"),
        (":1", 2, 0, "must be HOST:PORT"),
        ("a:http", 2, 0, "must be HOST:PORT"),
        ("a:70000", 2, 0, "must be HOST:PORT"),
    ],
)
def test_contradictory_flags_are_refused(coordinator, count, index, problem):
    with pytest.raises(HostFlagsError, match=problem):
        join(coordinator, count, index, timeout=1.0)


def test_two_hosts_meet():
    first, second = joined(0, 1, count=2, timeout=30.0)
    assert isinstance(first, Host) and isinstance(second, Host)
    assert first == Host(0, 2, (f"{HERE}#0", f"{HERE}#1"), first.run)
    assert second == Host(1, 2, first.names, first.run)
    assert len(first.run) == 16
    assert not jax.distributed.is_initialized()


@pytest.mark.slow
def test_a_coordinator_that_is_not_there():
    address = free_address()
    (error,) = joined(1, count=2, timeout=1.0, address=address)
    assert isinstance(error, HostsError)
    assert str(error).startswith(f"host 0 could not be reached at {address} within 1 seconds (")
    assert "is it running" in str(error)


@pytest.mark.slow
def test_a_coordinator_whose_name_is_unknown():
    (error,) = joined(1, count=2, timeout=1.0, address="nowhere.invalid:1234")
    assert "could not be reached at nowhere.invalid:1234" in str(error)


def test_a_port_in_use():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (error,) = joined(0, count=2, timeout=5.0, address=f"localhost:{port}")
    assert str(error).startswith(f"port {port} cannot be used on this host (Address already")


@pytest.mark.slow
def test_a_host_that_never_comes():
    for error in joined(0, 1, count=3, timeout=4.0):
        assert isinstance(error, HostsError)
        assert "\n" not in str(error)
        assert "not all 3 hosts connected" in str(error)


@pytest.mark.slow
def test_two_hosts_with_one_id():
    errors = [str(error) for error in joined(0, 1, 1, count=3, timeout=6.0)]
    assert "another host also has --host-id 1: give each its own, 0 to 2" in errors
    assert all(re.match(r"another host also|not all 3 hosts", error) for error in errors)


@pytest.mark.slow
def test_hosts_that_do_not_agree_how_many_they_are():
    address = free_address()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(joined, 0, count=2, timeout=8.0, address=address)
        (second,) = joined(2, count=3, timeout=8.0, address=address)
    assert str(second).startswith(f"host 0 at {address} does not expect 3 hosts")
    assert str(first.result()[0]).startswith(f"not all 2 hosts connected to {address}")


@pytest.mark.parametrize(
    "errors, line",
    [
        ("", "not all 3 hosts connected to a:1 within 5 seconds: is each running, .*this is 1.$"),
        ("F0 absl::Status: UNAVAILABLE: gone\n\nRPC: x\n", "not all 3 hosts connected"),
        (
            "absl::Status: INTERNAL: out of\tluck\n@ 0x1\n",
            "the hosts could not connect at a:1: out of luck$",
        ),
        (
            "Traceback\n  line\nImportError: no jax\n\n",
            "could not connect at a:1: ImportError: no jax$",
        ),
    ],
)
def test_every_failure_to_connect_is_one_line(errors, line):
    assert re.search(line, meeting._explained("a:1", 3, 1, 5.0, errors))


# --- found by JAX ---------------------------------------------------------------------------------


def slurm(monkeypatch, count: int) -> None:
    """Set the variables of the first task of a local Slurm job."""
    environment = {"JOB_ID": "7", "STEP_NODELIST": "localhost", "NTASKS": count, "PROCID": 0}
    for name, value in {**environment, "LOCALID": 0}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    monkeypatch.setenv("JAX_COORDINATOR_PORT", free_address().split(":")[1])


@pytest.mark.slow
def test_a_slurm_job_is_found(no_cluster, monkeypatch):
    slurm(monkeypatch, count=2)
    address = f"localhost:{os.environ['JAX_COORDINATOR_PORT']}"
    used = []
    monkeypatch.setattr(hosts, "_use", used.append)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(join, address, 2, 1, 30.0)
        host = join(None, None, None, timeout=30.0)
        assert host.run == second.result().run
    assert (host.index, host.count) == (0, 2)
    assert used == [(0,)]  # both tasks are on this machine


def test_a_slurm_job_of_one_task_is_alone(no_cluster, monkeypatch):
    slurm(monkeypatch, count=1)
    assert join(None, None, None, timeout=1.0).count == 1


def test_one_host_can_work_alone_in_a_cluster(no_cluster, monkeypatch):
    slurm(monkeypatch, count=2)
    assert join(None, 1, None, timeout=1.0).count == 1


def test_a_cluster_whose_variables_are_invalid(no_cluster, monkeypatch):
    slurm(monkeypatch, count=2)
    monkeypatch.setenv("SLURM_NTASKS", "many")
    with pytest.raises(HostsError, match="cannot find its hosts .*many.*: give"):
        join(None, None, None, timeout=1.0)


def test_kubernetes_without_its_package(no_cluster, monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)  # as if it were not installed
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert join(None, None, None, timeout=1.0).count == 1  # any pod has this one
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    with pytest.raises(HostsError, match="pip install kubernetes, or --num-hosts 1"):
        join(None, None, None, timeout=1.0)


# --- presence -------------------------------------------------------------------------------------


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path) -> Folder:
    return Folder(str(tmp_path) if request.param == "local" else f"memory://{secrets.token_hex(4)}")


def three(run: str = "now") -> list[Host]:
    return [Host(index, 3, ("a", "b", "c"), run) for index in range(3)]


def test_hosts_are_waited_for_and_their_files_deleted(folder):
    first, second, third = three()
    with Presence(folder, first, every=0.05) as presence:
        assert ".host-0-of-3.json" in folder.names()
        with Presence(folder, second, every=0.05), Presence(folder, third, every=0.05):
            assert len(folder.names()) == 3
        assert presence.wait_for_others(5.0) == []
    assert folder.names() == set()


def test_a_host_with_a_heartbeat_is_waited_for_beyond_the_timeout(folder):
    first, second, _ = three()
    checked = []

    def check() -> None:
        checked.append(time.monotonic())
        if time.monotonic() - checked[0] > 2.0 and working.is_alive():
            busy.__exit__(None, None, None)

    with Presence(folder, first, every=0.05) as presence:
        busy = Presence(folder, second, every=0.05).__enter__()
        working = busy._thread
        assert presence.wait_for_others(1.0, check) == ["c"]  # who never wrote a word
    assert checked[-1] - checked[0] > 2.0


def test_a_host_without_heartbeat_or_failed_is_lost(folder):
    first, second, third = three()
    folder.write(".host-1-of-3.json", json.dumps({"run": "now", "state": "working"}).encode())
    with pytest.raises(ZeroDivisionError), Presence(folder, third):
        raise ZeroDivisionError
    with Presence(folder, first, every=0.05) as presence:
        assert presence.wait_for_others(0.3) == ["c", "b"]


def test_heartbeats_of_other_runs_are_ignored(folder):
    for junk in (b"", b"{", b"7", b'{"run": "before", "state": "done"}'):
        for name in (".host-1-of-3.json", ".host-2-of-3.json"):
            folder.write(name, junk)
        with Presence(folder, three()[0], every=0.05) as presence:
            assert sorted(presence.wait_for_others(0.3)) == ["b", "c"], junk


def test_waiting_can_be_interrupted(folder):
    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Presence(folder, three()[0], every=0.05) as presence:
        presence.wait_for_others(5.0, check)


def test_a_single_host_leaves_no_file(folder):
    with Presence(folder, Host(0, 1, ("a",))) as presence:
        assert folder.names() == set()
        assert presence.wait_for_others() == []


def test_a_heartbeat_that_cannot_be_written_for_a_while_is_no_failure(tmp_path, monkeypatch):
    folder, refusals = Folder(str(tmp_path)), []

    def refuse(self: Folder, name: str, data: bytes) -> None:
        refusals.append(name)
        raise StorageError("no")

    with Presence(folder, three()[1], every=0.02):
        monkeypatch.setattr(Folder, "write", refuse)
        while len(refusals) < 2:
            time.sleep(0.01)
        monkeypatch.undo()
    assert json.loads(folder.read(".host-1-of-3.json") or b"")["state"] == "done"


# --- all of it, and death -------------------------------------------------------------------------

WORK = """
import json, sys
from jaxstyle.batch.hosts import Presence, join, share
from jaxstyle.batch.storage import Folder

import jax

address, index, root = sys.argv[1:]
host, folder = join(address, 3, int(index), 60.0), Folder(root)
with Presence(folder, host, every=0.2) as presence:
    print("at work", flush=True)
    sys.stdin.readline()
    for item in share(range(7), host):
        folder.write(f"{item}.txt", str(jax.jit(lambda x: x + 1)(item)).encode())
    lost = presence.wait_for_others(5.0) if host.index == 0 else []
print(json.dumps([jax.process_count(), len(jax.devices()), lost]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 2])
def test_if_one_host_is_killed_the_others_end_normally(victim, tmp_path):
    arguments = [sys.executable, "-c", WORK, free_address()]
    processes = [
        subprocess.Popen(
            [*arguments, str(index), str(tmp_path)],
            env=process_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(3)
    ]
    try:
        for process in processes:
            assert process.stdout is not None and process.stdout.readline() == "at work\n"
        processes[victim].send_signal(signal.SIGKILL)
        survivors = [process for process in processes if process is not processes[victim]]
        for process in survivors:
            assert process.stdin is not None
            print(file=process.stdin, flush=True)
        ends = [process.communicate(timeout=60) for process in survivors]
        assert [process.returncode for process in survivors] == [0, 0]
        assert [errors for _, errors in ends] == ["", ""]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    said = [json.loads(output) for output, _ in ends]
    assert [about[0] for about in said] == [1, 1]
    if victim:
        assert said[0][2] == [f"{HERE}#{victim}"]
    written = {name for name in os.listdir(tmp_path) if name.endswith(".txt")}
    assert written == {f"{item}.txt" for item in range(7) if item % 3 != victim}


@pytest.mark.slow
def test_a_host_killed_while_waiting_frees_the_port():
    address = free_address()
    call = f"from jaxstyle.batch.hosts import join; join({address!r}, 2, 0, 60.0)"
    with subprocess.Popen([sys.executable, "-c", call], env=process_environment()) as process:
        until_listening(address)
        process.kill()
    until_listening(address, listening=False)


def until_listening(address: str, listening: bool = True, seconds: float = 30.0) -> None:
    """Wait until something, or nothing, listens at an address."""
    name, port = address.split(":")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if (probe.connect_ex((name, int(port))) == 0) is listening:
                return
        time.sleep(0.1)
    raise AssertionError(f"{address}: expected listening to be {listening}")
