"""Tasks on a real Ray cluster of nodes on this machine: shared out, lost, done again, given up."""

import re
import socket
import sys
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager

import pytest

from bench.nodes import cluster as nodes_of
from jaxstyle import __version__
from jaxstyle.errors import ClusterError
from jaxstyle.execution.workers import cluster
from jaxstyle.execution.workers.cluster import (
    Attempt,
    Member,
    Pool,
    connected,
    hired,
    usual_resources,
)
from jaxstyle.execution.workers.tasks import Task
from tests.execution.workers.errands import Errand, dying, refusing, runner
from tests.processes import process_environment

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes, of one processor each."""
    with nodes_of(process_environment()) as nodes:
        nodes.add()
        yield nodes


@pytest.fixture
def told():
    return []


@pytest.fixture
def pool(nodes, tmp_path, told):
    """Return a context manager of a pool of workers that do errands."""

    @contextmanager
    def joining(set_up=runner, **changes):
        given = {
            "version": __version__,
            "problem": str,
            "set_up": set_up,
            "resources": {"CPU": 1.0},
            "retries": 3,
            "wait": 0.0,
            "most": 9,
            "tell": told.append,
            "check": lambda: None,
        }
        with connected(nodes.address), hired(**{**given, **changes}) as found:
            yield found

    return joining


def errands(folder, *names, seconds=0.0):
    """Return tasks that write a file for each letter of a name."""
    return [
        Task(name, name[0], Errand(str(folder), tuple(name.split()), seconds)) for name in names
    ]


def times_written(folder):
    return {path.name: path.stat().st_size for path in folder.iterdir() if len(path.name) < 4}


def test_works_are_shared_out_and_each_is_done_once(pool, tmp_path, told):
    names, done = [f"{kind}{number}" for kind in "ab" for number in range(10)], []
    with pool() as workers:
        assert workers.ask("double", 21) == 42
        workers.run_jobs(errands(tmp_path, *names, seconds=0.05), done.append)
        assert len(workers.members) == 2
        assert sum(member.done for member in workers.members) == 20
        assert 0 < workers.idle < workers.capacity
    assert times_written(tmp_path) == dict.fromkeys(names, 1)
    assert sorted(each.report for each in done) == sorted(names)
    assert {each.worker for each in done} == {socket.gethostname(), f"{socket.gethostname()}#2"}
    assert all(f"written: {name}" in told for name in names) and "1 cores" in told


@pytest.mark.slow
def test_what_kills_its_workers_is_found_and_given_up_alone(pool, tmp_path, told):
    tasks = errands(tmp_path, *[f"a{n}" for n in range(6)], "b1 b2 deadly b3", "b4")
    done = []

    def halves(errand, split, worker):
        there = [part for part in errand.parts if not (tmp_path / part).exists()]
        middle = len(there) // 2
        parts = [there[:middle], there[middle:]] if split and middle else [there]
        return [Errand(errand.folder, tuple(part)) for part in parts if part]

    with pool(retries=1) as workers:
        workers.run_jobs(tasks, done.append, again=halves)
        assert workers.lost == 4  # with all of it, twice; with a half; with the part alone
    names = [*(f"a{n}" for n in range(6)), "b1", "b2", "b3", "b4"]
    assert times_written(tmp_path) == dict.fromkeys(names, 1)
    (given_up,) = [each for each in done if each.reason]
    assert given_up.task.payload.parts == ("deadly",) and given_up.report is None
    assert given_up.reason == "2 workers were lost with it; the last: its process died"
    assert sum("is lost: its process died" in line for line in told) == 4


@pytest.mark.slow
def test_an_error_of_a_worker_costs_it_its_place(pool, tmp_path, told):
    done = []
    with pool(retries=0) as workers:
        workers.run_jobs(errands(tmp_path, "a1", "faulty", "a2"), done.append)
    (given_up,) = [each for each in done if each.reason]
    assert given_up.task.name == "faulty" and "the last: a device is broken" in given_up.reason
    assert times_written(tmp_path) == {"a1": 1, "a2": 1}


@pytest.mark.slow
def test_a_node_that_is_lost_and_one_that_joins(pool, nodes, tmp_path):
    names, done, seen = [f"a{number}" for number in range(40)], [], Counter()
    third, joined_later = nodes.add(), []
    with pool() as workers:

        def change():
            seen.update({member.node for member in workers.members})
            if len(done) >= 4 and third in seen and not joined_later:
                nodes.remove(third)
                joined_later.append(nodes.add())

        def again(errand, split, worker):
            return [] if (tmp_path / errand.parts[0]).exists() else [errand]

        workers.run_jobs(errands(tmp_path, *names, seconds=0.3), done.append, change, again)
        assert workers.lost == 1
    assert joined_later[0] in seen
    nodes.remove(joined_later[0])
    assert times_written(tmp_path) == dict.fromkeys(names, 1)


@pytest.mark.slow
def test_works_are_stopped_when_they_are_ended(pool, tmp_path):
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), pool() as workers:
        rounds = []

        def stop():
            rounds.append(None)
            if (tmp_path / "begun").exists():
                raise KeyboardInterrupt

        workers.run_jobs(errands(tmp_path, "a1", "a2", seconds=60.0), print, stop)
    assert time.monotonic() - start < 30
    assert times_written(tmp_path) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes, problem",
    [
        (
            {"resources": {"GPU": 1.0}},
            r"no node .* has GPU=1, but there are .* with CPU=1",
        ),
        ({"resources": {"CPU": 7.0}, "wait": 0.5}, "no node of the cluster has CPU=7"),
        ({"version": "9.9"}, r"has jaxstyle 0.*: install version 9.9 there"),
        ({"set_up": dying}, "workers die as they start: its process died"),
        ({"set_up": refusing}, "cannot start: there are no such weights"),
    ],
    ids=["no resource", "not even later", "another version", "dying", "refusing"],
)
def test_workers_that_there_are_not(pool, monkeypatch, changes, problem):
    monkeypatch.setattr(cluster, "STARTS", 2)
    with pytest.raises(ClusterError, match=problem) as failure, pool(**changes):
        pass
    assert "\n" not in str(failure.value)


# --- addresses ------------------------------------------------------------------------------------


def answering(answer):
    """Return the address of a server that answers one connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        with server, server.accept()[0] as client:
            client.recv(100)
            client.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{server.getsockname()[1]}"


def join(address):
    """Join a cluster that is not there."""
    with connected(address):
        pass


def test_addresses_of_no_cluster_are_told_at_once(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    wrong = {
        "127.0.0.1:1": "no cluster at 127.0.0.1:1 (Connection refused): is 'ray start --head'",
        answering(b"HTTP/1.1 400 Bad Request"): "is not Ray: give the address that 'ray start",
    }
    for address, problem in wrong.items():
        with pytest.raises(ClusterError, match=re.escape(problem)):
            join(address)
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(ClusterError, match=rf"{address} \(from \$RAY_ADDRESS\)"):
            join("auto")


def test_a_ray_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"not installed: pip install 'jaxstyle\[ray\]'"):
        join("auto")


# --- which task is given to whom ------------------------------------------------------------------


def test_a_worker_takes_all_accelerators_of_the_node_that_has_fewest():
    def nodes(*resources):
        return [{"Resources": each} for each in resources]

    assert usual_resources(nodes({"CPU": 0, "memory": 1}, {"CPU": 8}, {"CPU": 4})) == {"CPU": 4}
    assert usual_resources(nodes({"CPU": 8}, {"CPU": 8, "GPU": 2})) == {"GPU": 2}
    assert usual_resources(nodes({"GPU": 2}, {"TPU": 8}, {"TPU": 4})) == {"TPU": 4}
    assert usual_resources(nodes({"CPU": 0})) == {}
    assert usual_resources(nodes({"CPU": 8}, {"CPU": 8, "GPU": 2}), most=1) == {"GPU": 1}
    assert usual_resources(nodes({"CPU": 8}), most=1) == {"CPU": 8}


def test_a_worker_goes_on_with_the_kinds_that_it_has_programs_for():
    idle = Pool("", str, str, {}, 3, 0.0, 1, print, print)
    first, second = (Member(None, None, node=node) for node in "12")
    idle.members = [first, second]
    first.kinds, second.kinds = ["a"], ["b"]
    for kind, count in (("a", 2), ("b", 1), ("c", 1), ("d", 9)):
        idle._new[kind] = deque(Attempt(Task("", kind, None)) for _ in range(count))

    def takes(member):
        attempt = idle._take_new(member)
        if attempt:
            member.kinds.insert(0, attempt.task.kind)
        return attempt and attempt.task.kind

    assert [takes(first) for _ in range(4)] == ["a", "a", "c", "d"]
    assert [takes(second) for _ in range(2)] == ["b", "d"]
    assert [takes(first) for _ in range(8)] == ["d"] * 7 + [None]


def test_a_lost_work_goes_to_another_node_if_there_is_one():
    idle = Pool("", str, str, {}, 3, 0.0, 1, print, print)
    first, second = (Member(None, None, node=node) for node in "12")
    idle.members = [first, second]
    attempt = Attempt(Task("", "a", None), 1, frozenset("1"))
    idle._again = [attempt]
    assert idle._take_again(first) is None
    assert idle._take_again(second) is attempt
    idle.members, idle._again = [first], [attempt]
    assert idle._take_again(first) is attempt
