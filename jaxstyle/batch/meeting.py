"""How the hosts of a batch meet: in a process of its own, run from this file by path.

    python -P meeting.py ADDRESS COUNT INDEX SECONDS NAME

prints {"names": [...], "run": ...} as soon as all are there, and ends when all have read that.

jax.distributed ends a process whose coordinator, or any of whose companions, is gone. That suits
hosts which exchange arrays. Those of a batch do not: so another process does the meeting, and to
its own JAX every host is a single process, which nobody else's death concerns.
"""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time

import jax
from jax._src.distributed import global_state  # its store of keys has no public name

from jaxstyle.errors import HostsError

GRACE = 5
"""Seconds that XLA waits for all to come beyond what it is told."""

TALKING = 10
"""Seconds that hosts which have come wait for one another to tell their names, and to read them."""

STARTING = 60
"""Seconds that a meeting may take longer than it was told, for a process to start and to end."""


def met(address: str, count: int, index: int, timeout: float) -> tuple[list[str], str]:
    """Meet: the names of all hosts by index, and an id that this meeting alone has.

    Args:
      address: HOST:PORT of host 0.
      count, index: how many hosts there are, and which of them this is.
      timeout: seconds to wait for all to come.

    Raises:
      HostsError: they have not; says what to look at.
    """
    deadline = time.monotonic() + timeout
    if index == 0:
        _require_free(address)
    else:
        _reach(address, deadline, timeout)
    left = max(1, round(deadline - time.monotonic()))
    arguments = map(str, [address, count, index, left, socket.gethostname()])
    try:
        meeting = subprocess.run(
            [sys.executable, "-P", __file__, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_environment(),
            timeout=left + STARTING,
        )
        told, errors = meeting.stdout, meeting.stderr
    except subprocess.TimeoutExpired:
        told = errors = ""
    try:  # what was told counts, not how the process ended: a companion may be gone by then
        result = json.loads(told)
    except ValueError:
        raise HostsError(_explained(address, count, index, timeout, errors)) from None
    return result["names"], result["run"]


def address_parts(address: str) -> tuple[str, str]:
    """Host and port of HOST:PORT or [IPV6]:PORT."""
    name, _, port = address.rpartition(":")
    return name.removeprefix("[").removesuffix("]"), port


def _environment() -> dict[str, str]:
    """JAX is found from there too; and no proxy is between the hosts of a cluster."""
    kept = {name: value for name, value in os.environ.items() if "_proxy" not in name.lower()}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _require_free(address: str) -> None:
    """JAX's server shares its port with another one, if there is one, and would mix up both."""
    port = int(address_parts(address)[1])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # but not with one that ended
        try:
            probe.bind(("", port))
        except OSError as error:
            raise HostsError(
                f"port {port} cannot be used on this host ({error.strerror}): give a --coordinator "
                "with another"
            ) from error


def _reach(address: str, deadline: float, timeout: float) -> None:
    """Wait until host 0 listens."""
    name, port = address_parts(address)
    while True:
        try:
            socket.create_connection((name, int(port)), timeout=5).close()
            return
        except OSError as error:
            reason = error.strerror or str(error)
        if time.monotonic() > deadline:
            raise HostsError(
                f"host 0 was not to be reached at {address} within {timeout:g} seconds ({reason}): "
                "is it running, with the same --coordinator, and is the port open?"
            )
        time.sleep(0.3)


def _explained(address: str, count: int, index: int, timeout: float, errors: str) -> str:
    """What went wrong, from XLA's last words."""
    status = re.search(r"(?:absl::Status|Error): ([A-Z_]+): (.*)", errors)
    code, reason = status.groups() if status else ("", "")
    if code == "ALREADY_EXISTS":
        return f"another host has --host-id {index} too: give each its own, 0 to {count - 1}"
    if code == "INVALID_ARGUMENT":
        return f"host 0 at {address} was not told of {count} hosts: give all the same --num-hosts"
    if code in ("DEADLINE_EXCEEDED", "UNAVAILABLE") or not errors.strip():
        return (
            f"not all {count} hosts came to {address} within {timeout:g} seconds: is each running, "
            f"with this --coordinator, --num-hosts {count} and a --host-id of its own, 0 to "
            f"{count - 1}? (this is {index})"
        )
    lines = [reason, *reversed(errors.split("\n"))]
    last = next(line for line in lines if line.strip())
    return f"the hosts could not meet at {address}: {' '.join(last.split())}"


# --- the process in which they meet ---------------------------------------------------------------


def meet(address: str, count: int, index: int, seconds: int, name: str) -> dict[str, object]:
    """What `met` gives, in a process that may be ended by XLA at any time."""
    jax.distributed.initialize(
        address,
        count,
        index,
        cluster_detection_method="deactivate",
        initialization_timeout=max(1, seconds - GRACE),
        shutdown_timeout_seconds=TALKING,
    )
    store, wait = global_state.client, TALKING * 1000
    assert store is not None
    store.key_value_set(f"jaxstyle/{index}", name)
    if index == 0:
        store.key_value_set("jaxstyle/run", secrets.token_hex(8))
    names = [store.blocking_key_value_get(f"jaxstyle/{i}", wait) for i in range(count)]
    return {"names": names, "run": store.blocking_key_value_get("jaxstyle/run", wait)}


def end_with_parent() -> None:
    """End this process when the one that started it is gone, in whatever way."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Meet as the command line says."""
    end_with_parent()
    address, count, index, seconds, name = sys.argv[1:]
    print(json.dumps(meet(address, int(count), int(index), int(seconds), name)), flush=True)
    jax.distributed.shutdown()


if __name__ == "__main__":
    main()
