"""The hosts of a batch: how they find each other, share out jobs and notice when one is lost."""

import json
import os
import re
import secrets
import socket
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import jax

from jaxstyle.batch.meeting import address_parts, met
from jaxstyle.batch.storage import Folder
from jaxstyle.errors import DamagedError, HostFlagsError, HostsError, StorageError, message_of
from jaxstyle.machine.plain_json import parsed

__all__ = ["Host", "HostFlagsError", "HostsError", "Presence", "join", "share"]

T = TypeVar("T")

SILENCE = 60.0
"""Seconds without a heartbeat after which a host counts as lost."""

_ALONE = "or --num-hosts 1 to work alone"
_PRESENCE = re.compile(r"\.host-\d+-of-\d+\.json")


@dataclass(frozen=True)
class Host:
    """One of the processes that work on a batch.

    Attributes:
      index: index of this host, from 0.
      count: number of hosts.
      names: names of all hosts, by index.
      run: random id shared by the hosts of this run only.
    """

    index: int
    count: int
    names: tuple[str, ...]
    run: str = ""


def share(items: Sequence[T], host: Host) -> list[T]:
    """Return this host's share of a sequence that is the same on all hosts."""
    return list(items[host.index :: host.count])


def join(coordinator: str | None, count: int | None, index: int | None, timeout: float) -> Host:
    """Connect to the other hosts, if there are any, and return this host.

    If coordinator, count and index are all None, the hosts are those of the Slurm, Open MPI,
    Kubernetes or Cloud TPU job that JAX detects; outside of such a job there is one host. JAX
    itself stays single-process on every host: they exchange no arrays.

    Args:
      coordinator: HOST:PORT at which host 0 waits for the others.
      count: number of hosts; 1 alone suffices to work without others, also inside a cluster job.
      index: index of this host, from 0.
      timeout: seconds to wait for all hosts.

    Raises:
      HostFlagsError: only some of the three are given, or they contradict each other.
      HostsError: not all hosts connected; the message says what to check.
    """
    place = (
        _detected(timeout)
        if coordinator is None and count is None and index is None
        else _given(coordinator, count, index)
    )
    if place is None or place.count == 1:
        return Host(0, 1, (socket.gethostname(),), secrets.token_hex(8))
    names, run = met(place.address, place.count, place.index, timeout)
    if place.devices and names.count(names[place.index]) > 1:
        _use(place.devices)
    if len(set(names)) < len(names):
        names = [f"{name}#{number}" for number, name in enumerate(names)]
    return Host(place.index, place.count, tuple(names), run)


# --- address, number and index of the hosts -------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """The address at which the hosts meet, and this host's index.

    Attributes:
      address: HOST:PORT of host 0.
      count: number of hosts.
      index: index of this host.
      devices: indices of this machine's devices that JAX assigns to this process; None for all.
    """

    address: str
    count: int
    index: int
    devices: tuple[int, ...] | None = None


def _given(coordinator: str | None, count: int | None, index: int | None) -> _Place | None:
    """Return the place that the flags describe; None for a single host."""
    if count == 1 and not index:
        return None
    if coordinator is None or count is None or index is None:
        flags = {"--coordinator": coordinator, "--num-hosts": count, "--host-id": index}
        absent = [flag for flag, value in flags.items() if value is None]
        raise HostFlagsError(f"several hosts also need {' and '.join(absent)}")
    if count < 1:
        raise HostFlagsError(f"--num-hosts must be at least 1, not {count}")
    if not 0 <= index < count:
        raise HostFlagsError(f"--host-id of {count} hosts must be 0 to {count - 1}, not {index}")
    name, port = address_parts(coordinator)
    if not name or not port.isdecimal() or not 0 < int(port) < 65536:
        raise HostFlagsError(f"--coordinator must be HOST:PORT, not {coordinator}")
    return _Place(coordinator, count, index)


def _detected(timeout: float) -> _Place | None:
    """Return the place that JAX detects in a cluster job; None outside of one."""
    from jax._src.clusters import ClusterEnv  # no public function detects without connecting

    kubernetes = "KUBERNETES_SERVICE_HOST" in os.environ
    one_of_several = "JOB_COMPLETION_INDEX" in os.environ
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the kubernetes package, if not installed
            address, count, index, devices = ClusterEnv.auto_detect_unset_distributed_params(
                None, None, None, None, None, max(1, int(timeout))
            )
    except Exception as error:  # each kind of cluster raises its own
        if kubernetes and not one_of_several:
            return None
        reason = message_of(error)
        raise HostsError(
            f"JAX detects a cluster but cannot find its hosts ({reason}): give --coordinator, "
            f"--num-hosts and --host-id, {_ALONE}"
        ) from error
    if address is not None and count is not None and index is not None:
        return _Place(address, count, index, None if devices is None else tuple(devices))
    if kubernetes and one_of_several:
        raise HostsError(
            "this pod belongs to an indexed Kubernetes job, and JAX needs a package to find the "
            f"other pods: pip install kubernetes, {_ALONE}"
        )
    return None


def _use(devices: tuple[int, ...]) -> None:
    """Make JAX use only these GPUs and leave the others to other processes of this machine."""
    visible = ",".join(map(str, devices))
    jax.config.update("jax_cuda_visible_devices", visible)
    jax.config.update("jax_rocm_visible_devices", visible)


# --- heartbeats -----------------------------------------------------------------------------------


class Presence:
    """A heartbeat file in the output folder, as a context manager.

    The file is rewritten every few seconds while the block runs. At the end its state becomes
    "done", or "failed" after an exception. A single host writes no file.
    """

    def __init__(self, folder: Folder, host: Host, every: float = 5.0):
        self._folder, self._host, self._every = folder, host, every
        self._beats = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> "Presence":
        if self._host.count > 1:
            self._write("working")
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._host.count == 1:
            return
        self._ended.set()
        self._thread.join()  # so that it does not write "working" after us
        with suppress(StorageError):  # this host will count as lost, but its work is done
            if self._host.index == 0:  # no host waits for it
                self._folder.delete(self._name(0))
            else:
                self._write("failed" if kind else "done")

    def wait_for_others(
        self, timeout_silence: float = SILENCE, check: Callable[[], None] = lambda: None
    ) -> list[str]:
        """Wait until all other hosts have ended, then delete the heartbeat files. For host 0.

        Args:
          timeout_silence: seconds without a change of its heartbeat file after which a host counts
            as lost. They are measured with this host's clock alone.
          check: called often; may raise.

        Returns:
          The names of the hosts that are lost or have failed.
        """
        waiting, lost = set(range(self._host.count)) - {self._host.index}, []
        last: dict[int, Any] = {}
        heard = dict.fromkeys(waiting, time.monotonic())
        while waiting:
            check()
            for index in sorted(waiting):
                sign = self._sign(index)
                if sign != last.get(index):
                    last[index], heard[index] = sign, time.monotonic()
                state = sign.get("state")
                silent = time.monotonic() - heard[index] > timeout_silence
                if state in ("done", "failed") or silent:
                    waiting.remove(index)
                    lost += [self._host.names[index]] if state != "done" else []
            if waiting:
                time.sleep(min(self._every, timeout_silence) / 5)
        for name in filter(_PRESENCE.fullmatch, self._folder.names()):
            self._folder.delete(name)
        return lost

    def _renew(self) -> None:
        while not self._ended.wait(self._every):
            with suppress(StorageError):  # the next heartbeat may succeed
                self._write("working")

    def _write(self, state: str) -> None:
        self._beats += 1
        about = {
            "name": self._host.names[self._host.index],
            "pid": os.getpid(),
            "run": self._host.run,
            "beat": self._beats,
            "time": time.time(),
            "state": state,
        }
        self._folder.write(self._name(self._host.index), json.dumps(about).encode())

    def _sign(self, index: int) -> dict[str, Any]:
        """Read another host's heartbeat; empty if unreadable or from another run."""
        try:
            about = parsed(self._folder.read(self._name(index)) or b"{}", dict[str, Any])
        except (DamagedError, StorageError):
            return {}
        return about if about.get("run") == self._host.run else {}

    def _name(self, index: int) -> str:
        return f".host-{index}-of-{self._host.count}.json"
