"""Rendezvous of the hosts of a batch, through jax.distributed in a short-lived subprocess.

The subprocess runs this file by path:

    python -P meeting.py ADDRESS COUNT INDEX SECONDS NAME

It prints {"names": [...], "run": ...} once all hosts are connected, and ends when all have read it.

jax.distributed kills a process if its coordinator or any other host is gone. That suits hosts which
exchange arrays, but the hosts of a batch do not. So only the subprocess uses jax.distributed, and
the host itself stays a single-process JAX program that survives the loss of the others.
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
from jax._src.distributed import global_state  # its key-value store has no public API

from jaxstyle.errors import HostsError

GRACE = 5
"""Seconds that XLA waits for all hosts beyond its ``initialization_timeout``."""

TALKING = 10
"""Seconds that connected hosts wait for each other to write and to read their names."""

STARTING = 60
"""Seconds allowed in addition for the subprocess to start and to end."""


def met(address: str, count: int, index: int, timeout: float) -> tuple[list[str], str]:
    """Wait until all hosts have connected.

    Args:
      address: HOST:PORT of host 0.
      count: number of hosts.
      index: index of this host.
      timeout: seconds to wait for all hosts.

    Returns:
      The names of all hosts by index, and a random id of this run.

    Raises:
      HostsError: not all hosts connected in time; the message says what to check.
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
        output, errors = meeting.stdout, meeting.stderr
    except subprocess.TimeoutExpired:
        output = errors = ""
    try:  # the output decides, not the exit status: another host may have gone since
        result = json.loads(output)
    except ValueError:
        raise HostsError(_explained(address, count, index, timeout, errors)) from None
    return result["names"], result["run"]


def address_parts(address: str) -> tuple[str, str]:
    """Split HOST:PORT or [IPV6]:PORT into host and port."""
    name, _, port = address.rpartition(":")
    return name.removeprefix("[").removesuffix("]"), port


def _environment() -> dict[str, str]:
    """Return the subprocess's environment: the same import path, and no proxies between hosts."""
    kept = {name: value for name, value in os.environ.items() if "_proxy" not in name.lower()}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _require_free(address: str) -> None:
    """Raise HostsError if the port is in use: JAX's server would silently share it."""
    port = int(address_parts(address)[1])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore closed connections
        try:
            probe.bind(("", port))
        except OSError as error:
            raise HostsError(
                f"port {port} cannot be used on this host ({error.strerror}): give a --coordinator "
                "with another port"
            ) from error


def _reach(address: str, deadline: float, timeout: float) -> None:
    """Wait until host 0 listens; raise HostsError after the deadline."""
    name, port = address_parts(address)
    while True:
        try:
            socket.create_connection((name, int(port)), timeout=5).close()
            return
        except OSError as error:
            reason = error.strerror or str(error)
        if time.monotonic() > deadline:
            raise HostsError(
                f"host 0 could not be reached at {address} within {timeout:g} seconds ({reason}): "
                "is it running, with the same --coordinator, and is the port open?"
            )
        time.sleep(0.3)


def _explained(address: str, count: int, index: int, timeout: float, errors: str) -> str:
    """Return a one-line error message from the subprocess's stderr."""
    status = re.search(r"(?:absl::Status|Error): ([A-Z_]+): (.*)", errors)
    code, reason = status.groups() if status else ("", "")
    if code == "ALREADY_EXISTS":
        return f"another host also has --host-id {index}: give each its own, 0 to {count - 1}"
    if code == "INVALID_ARGUMENT":
        return (
            f"host 0 at {address} does not expect {count} hosts: give all hosts the same "
            "--num-hosts"
        )
    if code in ("DEADLINE_EXCEEDED", "UNAVAILABLE") or not errors.strip():
        return (
            f"not all {count} hosts connected to {address} within {timeout:g} seconds: is each "
            f"running, with this --coordinator, --num-hosts {count} and a --host-id of its own, 0 "
            f"to {count - 1}? (this is {index})"
        )
    lines = [reason, *reversed(errors.split("\n"))]
    last = next(line for line in lines if line.strip())
    return f"the hosts could not connect at {address}: {' '.join(last.split())}"


# --- the subprocess -------------------------------------------------------------------------------


def meet(address: str, count: int, index: int, seconds: int, name: str) -> dict[str, object]:
    """Connect all hosts in this process, which XLA may kill at any time.

    Args:
      address: HOST:PORT of host 0.
      count: number of hosts.
      index: index of this host.
      seconds: how long to wait for all hosts.
      name: name of this host.

    Returns:
      ``names`` of all hosts by index, and the random id ``run``.
    """
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
    """End this process as soon as its parent has ended, however that ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Connect the hosts as the command line says and print the result as JSON."""
    end_with_parent()
    address, count, index, seconds, name = sys.argv[1:]
    print(json.dumps(meet(address, int(count), int(index), int(seconds), name)), flush=True)
    jax.distributed.shutdown()


if __name__ == "__main__":
    main()
