"""Tasks done by the workers of a Ray cluster: https://docs.ray.io.

The command is the driver: it hands a task to whichever worker is free, and it alone knows what is
done. A worker is an actor with a share of a node's devices. One that is lost is replaced where
there is room, and its tasks are done elsewhere. A further one always waits for room: so a node that
joins is used, and a cluster that starts nodes on demand does so.

Ray is imported only if a cluster is used.
"""

import contextlib
import logging
import math
import os
import pickle
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from jaxstyle.errors import ClusterError, message_of
from jaxstyle.execution.workers import actor
from jaxstyle.execution.workers.tasks import Done, Task

POLL = 0.2
"""Longest time in seconds between two calls of the functions that show progress and check."""

PATIENCE = 60.0
"""Seconds after which it is told that a worker is still waited for."""

STOPPING = 10.0
"""Seconds that workers have to save checkpoints when the batch is ended early."""

STARTS = 5
"""Number of workers in succession that may die as they start."""

SLOWEST = 16.0
"""Longest time in seconds between two starts of workers, if they die as they start."""

REMEMBERED = 16
"""Number of kinds of tasks whose programs a worker is thought to have at hand."""

ACCELERATORS = ("TPU", "GPU", "CPU")
"""Resources of which a worker takes all that a node has: the first that there are."""


@dataclass
class Attempt:
    """A task, the number of workers that were lost with it, and the ids of their nodes."""

    task: Task
    losses: int = 0
    nodes: frozenset[str] = frozenset()


@dataclass
class Member:
    """A worker of the cluster, as the driver knows it.

    Attributes:
      actor: its Ray actor.
      started: reference of the answer to ``start``.
      name: host name, with a number if others have it too.
      node: id of its node.
      devices: its devices in words.
      problem: why it cannot take part; empty if it can.
      busy: the tasks that it does, by reference of the answer.
      begun: when it got the first of them, by ``time.monotonic``.
      kinds: kinds of tasks that it has programs for, the latest first.
      done: number of tasks that it has done.
    """

    actor: Any
    started: Any
    name: str = ""
    node: str = ""
    devices: str = ""
    problem: str = ""
    busy: dict[Any, Attempt] = field(default_factory=dict)
    begun: float = 0.0
    kinds: list[Hashable] = field(default_factory=list)
    done: int = 0


@dataclass
class Pool:
    """The workers of a cluster, which do tasks as ``local.Local`` does. Create it with ``hired``.

    Attributes:
      version: version of jaxstyle that workers must have.
      problem: function that returns why the machine it is called on cannot take part, if it cannot.
      set_up: function of a list of notes, a function that raises KeyboardInterrupt if the worker
        has to stop, and the number of processors; returns the worker.
      resources: what a worker takes of its node, by Ray's names; if empty, all accelerators.
      retries: how often a task is done again whose worker was lost.
      wait: seconds to wait for a node that has the resources.
      most: number of workers that can be of use.
      tell: called with notes.
      check: called often; may raise to end it all.
      accelerators: number of them that a worker can use; only if ``resources`` is empty.
      members: workers that do tasks.
      refused: workers that cannot take part. They keep their resources, or Ray would start the
        next one in their place.
      lost: number of workers lost.
      running: None: workers report on tasks only when they are done.
    """

    version: str
    problem: Callable[[], str]
    set_up: Callable[..., Any]
    resources: dict[str, float]
    retries: int
    wait: float
    most: int
    tell: Callable[[str], None]
    check: Callable[[], None]
    accelerators: float = math.inf
    members: list[Member] = field(default_factory=list)
    refused: list[Member] = field(default_factory=list)
    lost: int = 0
    running: None = None

    def __post_init__(self) -> None:
        self._setting_up = pickle.dumps(self.problem), pickle.dumps(self.set_up)
        self._starting: list[Member] = []
        self._failed_starts, self._next_start = 0, 0.0
        self._busy, self._computing = 0.0, 0.0
        self._hosts: Counter[str] = Counter()
        self._new: dict[Hashable, deque[Attempt]] = {}
        self._again: list[Attempt] = []
        self._left = 0

    @property
    def capacity(self) -> float:
        """Seconds in which workers had tasks, of all workers together."""
        now = time.monotonic()
        return self._busy + sum(now - member.begun for member in self.members if member.busy)

    @property
    def idle(self) -> float:
        """Seconds of them in which the devices did nothing."""
        return max(0.0, self.capacity - self._computing)

    def room(self) -> dict[str, int]:
        """Return for how many workers each node has room, by its description."""
        found = {_described(node): _room(node, self.resources) for node in _nodes()}
        return {node: count for node, count in found.items() if count}

    def begin(self) -> None:
        """Start a worker wherever there is room, and wait for the first.

        Raises:
          ClusterError: no node has the resources, or one cannot take part.
        """
        deadline = time.monotonic() + self.wait
        while not (room := self._find_room()):
            if time.monotonic() >= deadline:
                there = _nodes()
                have = "; ".join(map(_described, there[:5])) + "; ..." * (len(there) > 5)
                wanted = _text(self.resources) or "a processor for workers"
                more = "" if self.wait else ", or --wait SECONDS where nodes are started on demand"
                raise ClusterError(
                    f"no node of the cluster has {wanted}, but there are {have}: give other "
                    f"--worker-resources{more}"
                )
            self._start(int(bool(self.resources)) - len(self._starting))  # the demand for a node
            self._collect()
        self._start(min(room, self.most) - len(self._starting))
        told = time.monotonic() + PATIENCE
        while not self.members:
            self._hire(self.most)
            self._collect()
            if time.monotonic() > told:
                told = math.inf
                said = (
                    f"still waiting for a worker: {_text(self.resources)} may be in use by others"
                )
                self.tell(f"{said} (see 'ray status')")
            if self.refused:  # before any work, all nodes have to be in order
                first = self.refused[0]
                raise ClusterError(f"node {first.name} ({first.node[:6]}) {first.problem}")

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of one of the workers."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        while True:
            self._hire(1)
            if not self.members:
                self._collect()
                continue
            try:
                answer = self.members[0].actor.ask.remote(method, *arguments)
                while not ray.wait([answer], timeout=POLL)[0]:
                    self.check()
                return ray.get(answer)
            except RayTaskError as error:
                raise error.cause from None
            except RayError as error:
                self._lose(self.members[0], error, _ignore)

    def run_jobs(
        self,
        tasks: Sequence[Task],
        done: Callable[[Done], None],
        watch: Callable[[], None] = lambda: None,
        again: Callable[[Any, bool, str], list[Any]] = lambda payload, split, worker: [payload],
    ) -> None:
        """Do tasks, in any order.

        Args:
          tasks: the tasks.
          done: called with each task that is done or given up; may raise to end it all.
          watch: called often; may raise to end it all.
          again: function of the payload of a task whose worker was lost; returns what is left to be
            done of it. If the second argument is true, in parts, if it has any, to find out what in
            it loses workers. The third is the name of the worker.
        """
        for task in tasks:
            self._new.setdefault(task.kind, deque()).append(Attempt(task))
        self._left = len(tasks)

        def repeat(attempt: Attempt, worker: str, reason: str) -> None:
            last = attempt.losses > self.retries
            left = again(attempt.task.payload, last and self.retries > 0, worker)
            parts = [replace(attempt.task, payload=payload) for payload in left]
            if last and len(parts) == 1:
                workers = "workers were" if attempt.losses > 1 else "worker was"
                lost = f"{attempt.losses} {workers} lost with it; the last: {reason}"
                done(Done(parts[0], None, worker, lost))
                return
            losses = min(attempt.losses, self.retries)
            self._again += [Attempt(part, losses, attempt.nodes) for part in parts]
            self._left += len(parts)

        while self._left or any(member.busy for member in self.members):
            self._hire(self._left + sum(len(member.busy) for member in self.members))
            self._give()
            watch()
            self._collect(done, repeat)
        watch()

    def end(self) -> None:
        """Let the workers save checkpoints of what they are doing, and end them."""
        import ray
        from ray.exceptions import RayError

        busy = [member for member in self.members if member.busy]
        with suppress(RayError):
            for member in busy:
                member.actor.stop.remote()
            answers = [answer for member in busy for answer in member.busy]
            if answers:
                ray.wait(answers, num_returns=len(answers), timeout=STOPPING)
            for member in (*self.members, *self._starting, *self.refused):
                ray.kill(member.actor)

    # --- workers that come and go -----------------------------------------------------------------

    def _find_room(self) -> int:
        """Return for how many workers there is room, and settle what each takes."""
        there = _nodes()
        wanted = self.resources or usual_resources(there, self.accelerators)
        room = sum(_room(node, wanted) for node in there)
        self.resources = wanted if room else self.resources
        return room

    def _start(self, count: int) -> None:
        """Start workers, if any, each as soon as there is room for it."""
        if count < 1:  # as at most turns of the loop
            return
        import ray
        from ray.cloudpickle import register_pickle_by_value

        register_pickle_by_value(actor)
        resources = dict(self.resources)
        kind = ray.remote(actor.Actor).options(
            num_cpus=resources.pop("CPU", 0),
            num_gpus=resources.pop("GPU", 0),
            resources=resources,
            max_concurrency=3,  # one task is computed, another read or written; and to stop
            max_restarts=0,
        )
        only_processors = not {"GPU", "TPU"} & self.resources.keys()
        cores = math.ceil(self.resources.get("CPU", 0)) if only_processors else None
        for _ in range(count):
            one = kind.remote()
            start = one.start.options(name="start")
            started = start.remote(self.version, *self._setting_up, cores)
            self._starting.append(Member(one, started))

    def _hire(self, tasks: int) -> None:
        """Have workers wait for room: at least one, or as many as there are, if of use."""
        if time.monotonic() >= self._next_start:
            useful = min(tasks - len(self.members), max(1, len(self.members)))
            self._start(useful - len(self._starting))

    def _collect(
        self,
        done: Callable[[Done], None] = lambda done: None,
        repeat: Callable[[Attempt, str, str], None] = lambda attempt, worker, reason: None,
    ) -> None:
        """Wait a moment for answers of workers, and act on them."""
        import ray
        from ray.exceptions import RayError

        self.check()
        if not self.members and ray.get_runtime_context().get_node_id() not in _ids():
            raise ClusterError("Ray has ended on this machine: see 'ray status'")
        waiting = {member.started: member for member in self._starting}
        waiting |= {answer: member for member in self.members for answer in member.busy}
        if not waiting:
            time.sleep(POLL)
            return
        for answer in ray.wait(list(waiting), num_returns=1, timeout=POLL)[0]:
            member = waiting[answer]
            try:
                value = ray.get(answer)
            except RayError as error:
                self._lose(member, error, repeat)
                continue
            if answer == member.started:
                self._welcome(member, *value)
            elif value is not None:  # it was not stopped
                report, seconds, notes = value
                attempt = member.busy.pop(answer)
                self._busy += 0.0 if member.busy else time.monotonic() - member.begun
                member.done += 1
                self._computing += seconds
                for note in notes:
                    self.tell(note)
                done(Done(attempt.task, report, member.name))

    def _welcome(self, member: Member, problem: str, host: str, node: str, devices: str) -> None:
        self._starting.remove(member)
        self._failed_starts = 0
        self._hosts[host] += 1
        number = self._hosts[host]
        member.name = host if number == 1 else f"{host}#{number}"
        member.node, member.devices, member.problem = node, devices, problem
        (self.refused if problem else self.members).append(member)
        if not problem:
            return
        alive = _ids()
        there = sum(each.node in alive for each in self.refused)
        if not self.members and there >= self._find_room():
            raise ClusterError(f"node {member.name} ({node[:6]}) {problem}")
        self.tell(f"node {member.name} ({node[:6]}) is not used: it {problem}")

    def _lose(
        self, member: Member, error: Exception, repeat: Callable[[Attempt, str, str], None]
    ) -> None:
        """Strike off a worker that is lost, and have its tasks done elsewhere.

        Raises:
          ClusterError: several workers in succession have died as they started.
        """
        import ray
        from ray.exceptions import RayError

        reason = _reason(error)
        with suppress(RayError):
            ray.kill(member.actor)  # it may be alive, but who knows what state its devices are in
        if member in self._starting:
            self._starting.remove(member)
            self._failed_starts += 1
            self._next_start = time.monotonic() + min(SLOWEST, 2.0**self._failed_starts)
            self.tell(f"a worker was lost as it started: {reason}")
            if self._failed_starts >= STARTS and not self.members:
                raise ClusterError(f"workers die as they start: {reason}")
            return
        self.members.remove(member)
        self._busy += time.monotonic() - member.begun if member.busy else 0.0
        self.lost += 1
        self.tell(f"worker {member.name} is lost: {reason}")
        for attempt in member.busy.values():
            attempt.losses += 1
            attempt.nodes |= {member.node}
            repeat(attempt, member.name, reason)

    # --- tasks that are given to them -------------------------------------------------------------

    def _give(self) -> None:
        """Give every worker a task, and then a second, to be read meanwhile.

        There is no second where it might wait while others have none, nor beside a task that may
        have killed a worker: so that nothing else is blamed for it.
        """
        for member in self.members:
            if not member.busy:
                self._give_to(member, self._take_again(member) or self._take_new(member))
        for member in self.members:
            several = self._left > len(self.members) and self.retries > 0
            if several and [each.losses for each in member.busy.values()] == [0]:
                self._give_to(member, self._take_new(member))

    def _give_to(self, member: Member, attempt: Attempt | None) -> None:
        if attempt:
            self._left -= 1
            member.begun = member.begun if member.busy else time.monotonic()
            kind = attempt.task.kind
            member.kinds = [kind, *(k for k in member.kinds if k != kind)][:REMEMBERED]
            run = member.actor.run.options(name=attempt.task.name)
            member.busy[run.remote(attempt.task.payload)] = attempt

    def _take_again(self, member: Member) -> Attempt | None:
        """Take a task that was lost on another node, or on all there are."""
        nodes = {each.node for each in self.members}
        for index, attempt in enumerate(self._again):
            if member.node not in attempt.nodes or nodes <= attempt.nodes:
                return self._again.pop(index)
        return None

    def _take_new(self, member: Member) -> Attempt | None:
        kind = next(self._kinds_for(member), None)
        if kind is None:
            return None
        attempt = self._new[kind].popleft()
        if not self._new[kind]:
            del self._new[kind]
        return attempt

    def _kinds_for(self, member: Member) -> Iterator[Hashable]:
        """Yield kinds of tasks: those it has programs for, those nobody has, the most frequent."""
        known = {kind for each in self.members for kind in each.kinds}
        yield from filter(self._new.__contains__, member.kinds)
        yield from (kind for kind in self._new if kind not in known)
        if self._new:
            yield max(self._new, key=lambda kind: len(self._new[kind]))


def _ignore(attempt: Attempt, worker: str, reason: str) -> None:
    del attempt, worker, reason


@contextmanager
def hired(**arguments: Any) -> Iterator[Pool]:
    """Yield a pool of workers, of which one is ready, and end them after the block.

    Args:
      **arguments: of ``Pool``.

    Raises:
      ClusterError: there is no room for a worker, or a node cannot take part.
    """
    pool = Pool(**arguments)
    try:
        pool.begin()
        yield pool
    finally:
        pool.end()


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to a running cluster, and disconnect after the block. None is ever started.

    Ray takes the handlers of signals, which are given back, and prints news about lost nodes on
    standard output, which is for results, and therefore closed to it.

    Args:
      address: HOST:PORT of the cluster's head, or "auto" for the cluster that this machine is
        part of.

    Raises:
      ClusterError: Ray is not installed, there is no such cluster, or it cannot be joined.
    """
    try:
        import ray
    except ImportError:
        raise ClusterError(
            "--cluster needs Ray, which is not installed: pip install 'jaxstyle[ray]'"
        ) from None
    named = os.environ.get("RAY_ADDRESS") or "auto"
    place, origin = (named, " (from $RAY_ADDRESS)") if address == "auto" else (address, "")
    if place != "auto":
        _check_address(place, origin)
    main = threading.current_thread() is threading.main_thread()
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM) if main}
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        try:
            ray.init(address=place, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as error:
            of = "a Ray cluster" if place == "auto" else f"the Ray cluster at {place}{origin}"
            raise ClusterError(
                f"this machine is not part of {of}: 'ray start --address HOST:6379' joins one, "
                "'ray start --head' makes one"
            ) from error
        except (RuntimeError, ValueError) as error:  # among them other versions: Ray says which
            said = message_of(error)
            more = ": install the same on all machines" if "mismatch" in said else ""
            raise ClusterError(f"cannot join the cluster: {said}{more}") from error
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        try:
            yield
        finally:
            ray.shutdown()


def is_address(text: str) -> bool:
    """Return whether a text is HOST:PORT."""
    host, _, port = text.rpartition(":")
    return bool(host) and "/" not in host and port.isdecimal() and 0 < int(port) < 65536


def _check_address(address: str, origin: str) -> None:
    """Raise ClusterError unless there is a gRPC server, as Ray's is: Ray would try for minutes."""
    if not is_address(address):
        raise ClusterError(f"the address of a cluster must be HOST:PORT, not {address}{origin}")
    host, _, port = address.rpartition(":")
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5) as probe:
            probe.sendall(hello)
            answer = probe.recv(9)
    except OSError as error:
        raise ClusterError(
            f"there is no cluster at {address}{origin} ({error.strerror or message_of(error)}): is "
            "'ray start --head' running there, and the port open?"
        ) from error
    if answer[3:4] != b"\x04" and not os.environ.get("RAY_USE_TLS"):  # a frame of settings
        raise ClusterError(
            f"what answers at {address}{origin} is not Ray: give the address that "
            "'ray start --head' prints, whose port is 6379 unless told otherwise"
        )


def _reason(error: Exception) -> str:
    """Return why a worker was lost, in one line without Ray's details."""
    from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayTaskError

    if isinstance(error, RayTaskError):
        return message_of(error.cause)
    if isinstance(error, OutOfMemoryError):
        return "it took too much memory"
    if isinstance(error, ActorUnavailableError):
        return "it cannot be reached"
    gone = any(sign in str(error) for sign in ("node has died", "node was"))
    return "its node is gone" if gone else "its process died"


# --- nodes and their resources --------------------------------------------------------------------


def usual_resources(nodes: Sequence[Mapping[str, Any]], most: float = math.inf) -> dict[str, float]:
    """Return what a worker takes unless told: all accelerators of the node that has fewest.

    Args:
      nodes: the nodes, as Ray describes them.
      most: number of TPUs or GPUs that a worker can use.
    """
    for name in ACCELERATORS:
        counts = [each for node in nodes if (each := node["Resources"].get(name, 0)) >= 1]
        if counts:
            return {name: min(counts) if name == "CPU" else min(most, *counts)}
    return {}


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _ids() -> set[str]:
    return {node["NodeID"] for node in _nodes()}


def _room(node: Mapping[str, Any], resources: Mapping[str, float]) -> int:
    """Return for how many workers there is room on a node."""
    has = node["Resources"]
    return min((int(has.get(name, 0) // each) for name, each in resources.items()), default=0)


def _described(node: Mapping[str, Any]) -> str:
    has = {name: node["Resources"].get(name, 0) for name in ACCELERATORS}
    told = _text({name: count for name, count in has.items() if count}) or "nothing of that kind"
    return f"{node['NodeManagerHostname']} ({node['NodeID'][:6]}) with {told}"


def _text(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={count:g}" for name, count in resources.items())
