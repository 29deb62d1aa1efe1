"""The hosts that do a batch together: who they are, what is whose, and who is still there."""

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
from jaxstyle.errors import HostFlagsError, HostsError, StorageError

__all__ = ["Host", "HostFlagsError", "HostsError", "Presence", "join", "share"]

T = TypeVar("T")

SILENCE = 60.0
"""Seconds without a sign of a host after which it is taken to be lost."""

_ALONE = "or --num-hosts 1 to work alone"
_PRESENCE = re.compile(r"\.host-\d+-of-\d+\.json")


@dataclass(frozen=True)
class Host:
    """One of the processes that do a batch.

    ``names`` has all of them by index. ``run`` is an id that the hosts of one run have, and those
    of no other.
    """

    index: int
    count: int
    names: tuple[str, ...]
    run: str = ""


def share(items: Sequence[T], host: Host) -> list[T]:
    """What of a sequence, the same one on all hosts, is for this one to do."""
    return list(items[host.index :: host.count])


def join(coordinator: str | None, count: int | None, index: int | None, timeout: float) -> Host:
    """Meet the other hosts, if there are any.

    Without arguments, they are those of the Slurm, Open MPI, Kubernetes or Cloud TPU job that JAX
    finds itself in; outside of one, there are none. To its JAX every host stays a single process.

    Args:
      coordinator: HOST:PORT at which host 0 waits for the others.
      count: how many hosts there are; 1 says enough to be alone, wherever this is.
      index: which of them this one is, from 0.
      timeout: seconds to wait for all to come.

    Raises:
      HostFlagsError: only some of the three are given, or they do not fit together.
      HostsError: the hosts have not come together; says what to look at.
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


# --- where to meet --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """``devices``: those of this machine that JAX thinks to be for this process."""

    address: str
    count: int
    index: int
    devices: tuple[int, ...] | None = None


def _given(coordinator: str | None, count: int | None, index: int | None) -> _Place | None:
    """Where the flags say."""
    if count == 1 and not index:
        return None
    if coordinator is None or count is None or index is None:
        flags = {"--coordinator": coordinator, "--num-hosts": count, "--host-id": index}
        absent = [flag for flag, value in flags.items() if value is None]
        raise HostFlagsError(f"several hosts need {' and '.join(absent)} too")
    if count < 1:
        raise HostFlagsError(f"--num-hosts must be at least 1, not {count}")
    if not 0 <= index < count:
        raise HostFlagsError(f"--host-id of {count} hosts must be 0 to {count - 1}, not {index}")
    name, port = address_parts(coordinator)
    if not name or not port.isdecimal() or not 0 < int(port) < 65536:
        raise HostFlagsError(f"--coordinator must be HOST:PORT, not {coordinator}")
    return _Place(coordinator, count, index)


def _detected(timeout: float) -> _Place | None:
    """Where JAX would have the processes of a cluster's job meet; None outside of one."""
    from jax._src.clusters import ClusterEnv  # nothing public tells without joining at once

    kubernetes = "KUBERNETES_SERVICE_HOST" in os.environ
    one_of_several = "JOB_COMPLETION_INDEX" in os.environ
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where a package for Kubernetes is not installed
            address, count, index, devices = ClusterEnv.auto_detect_unset_distributed_params(
                None, None, None, None, None, max(1, int(timeout))
            )
    except Exception as error:  # whatever clusters raise
        if kubernetes and not one_of_several:
            return None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HostsError(
            f"JAX finds a cluster here but not its hosts ({reason}): give --coordinator, "
            f"--num-hosts and --host-id, {_ALONE}"
        ) from error
    if address is not None and count is not None and index is not None:
        return _Place(address, count, index, None if devices is None else tuple(devices))
    if kubernetes and one_of_several:
        raise HostsError(
            "this is a pod of an indexed Kubernetes job, and JAX needs a package to find the "
            f"others: pip install kubernetes, {_ALONE}"
        )
    return None


def _use(devices: tuple[int, ...]) -> None:
    """Leave the other GPUs of this machine to its other processes."""
    visible = ",".join(map(str, devices))
    jax.config.update("jax_cuda_visible_devices", visible)
    jax.config.update("jax_rocm_visible_devices", visible)


# --- who is still there ---------------------------------------------------------------------------


class Presence:
    """Lets the others see, by a file in the folder, that this host is at work. A context manager.

    The file is written again and again while the block runs; at its end it says "done", or
    "failed" after an exception. A single host needs none and has none.
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
        self._thread.join()  # or it might write after us
        with suppress(StorageError):  # then it will be missed, but its work is done
            if self._host.index == 0:  # whom nobody waits for
                self._folder.delete(self._name(0))
            else:
                self._write("failed" if kind else "done")

    def wait_for_others(
        self, timeout_silence: float = SILENCE, check: Callable[[], None] = lambda: None
    ) -> list[str]:
        """Wait until all other hosts have ended, and clear their files away. For host 0.

        Args:
          timeout_silence: seconds without a sign after which a host is lost. Only what its file
            says is compared, with what it said before: no clock but this host's own counts.
          check: called often, and may raise.

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
            with suppress(StorageError):  # better luck next time
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
        """What another host's file says; nothing if it cannot be read, or is of an earlier run."""
        try:
            about = json.loads(self._folder.read(self._name(index)) or b"{}")
        except (ValueError, StorageError):
            return {}
        own = isinstance(about, dict) and about.get("run") == self._host.run
        return about if own else {}

    def _name(self, index: int) -> str:
        return f".host-{index}-of-{self._host.count}.json"
