"""The flags of a cluster, what its workers are told, and the connection to it."""

import argparse
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import jax

from jaxstyle import __version__
from jaxstyle.batch.storage import is_url
from jaxstyle.cli.common import Tell, above_zero
from jaxstyle.cli.failures import interruptible
from jaxstyle.cli.flags import argument, flag
from jaxstyle.errors import UsageError
from jaxstyle.execution.workers.cluster import Pool, connected, hired, is_address
from jaxstyle.execution.workers.process import Process
from jaxstyle.network import weights
from jaxstyle.settings.text import number, whole_number

RETRIES = 3
"""Default of ``--retries``."""

LEAST_SHARE = 0.0001
"""Smallest share of a resource that Ray knows."""


def add_cluster_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a cluster."""
    add = parser.add_argument
    add(
        "--cluster",
        type=argument(_address),
        metavar="auto|HOST:PORT",
        help="use the workers of a running Ray cluster that this machine is part of, given the "
        "address of its head if there are several (needs jaxstyle[ray])",
    )
    add(
        "--worker-resources",
        type=resources,
        metavar="NAME=N[,...]",
        help="what each worker takes of its node, such as TPU=4, GPU=1 or CPU=2 (default: all TPUs "
        "of the node, else all GPUs, else all processors)",
    )
    add(
        "--retries",
        type=argument(_count),
        metavar="N",
        help=f"how often a batch or scene is done again whose worker was lost (default: {RETRIES})",
    )
    add(
        "--wait",
        type=above_zero,
        metavar="SECONDS",
        help="how long to wait for a node with the --worker-resources, where nodes are started on "
        "demand (default: 0)",
    )


def check_cluster_flags(arguments: argparse.Namespace) -> None:
    """Raise UsageError if a flag is given without another that it needs."""
    for name in ("worker_resources", "retries", "wait"):
        if getattr(arguments, name) is not None and not arguments.cluster:
            raise UsageError(f"{flag(name)} needs --cluster")
    if arguments.wait and not arguments.worker_resources:
        raise UsageError("--wait needs --worker-resources: what is waited for, such as GPU=1")


@contextmanager
def cluster_of(arguments: argparse.Namespace, tell: Tell) -> Iterator[None]:
    """Connect to the cluster, if one is to be used. Nothing can be printed on standard output.

    Raises:
      ClusterError: there is no such cluster, or it cannot be joined.
    """
    if not arguments.cluster:
        yield
        return
    jax.config.update("jax_platforms", "cpu")  # devices are left to workers on this machine
    with ExitStack() as stack:
        with interruptible(tell):
            stack.enter_context(connected(arguments.cluster))
        yield


def named_weights(arguments: argparse.Namespace) -> str | None:
    """Return the absolute path of the weights that the user names, None for the default weights."""
    named = arguments.weights or os.environ.get(weights.ENVIRONMENT)
    return named and os.path.abspath(named)


def weights_file(path: str) -> tuple[str, int, str]:
    """Return what nodes are told of a weights file: see ``unseen``."""
    return path, os.path.getsize(path), "for --weights, give a path that all machines see"


def process_of(arguments: argparse.Namespace, loaded: weights.Loaded) -> Process:
    """Return how the processes of workers compute: as this one."""
    programs = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    return Process(
        named_weights(arguments),
        loaded.sha256,
        double=bool(jax.config.jax_enable_x64),  # pyright: ignore[reportAttributeAccessIssue]
        programs=programs if programs is None or is_url(programs) else os.path.abspath(programs),
    )


def pool_of(arguments: argparse.Namespace, **more: Any) -> AbstractContextManager[Pool]:
    """Hire workers as the flags say.

    Args:
      arguments: arguments of the command.
      **more: what else a ``Pool`` needs.
    """
    return hired(
        version=__version__,
        resources=arguments.worker_resources or {},
        retries=RETRIES if arguments.retries is None else arguments.retries,
        wait=arguments.wait or 0.0,
        **more,
    )


@argument
def resources(text: str) -> dict[str, float]:
    """Parse what a worker takes: ``GPU=1,CPU=8``."""
    found: dict[str, float] = {}
    for part in text.replace(",", " ").split():
        name, sign, count = part.partition("=")
        if not (name and sign) or "memory" in name:
            raise ValueError(f"must be NAME=N, such as GPU=1, not {part!r}")
        if name in found:
            raise ValueError(f"names {name} twice")
        found[name] = number(count)
        if not found[name] >= LEAST_SHARE or (found[name] > 1 and found[name] % 1):
            raise ValueError(f"must be a whole number, or a share from 0.0001 to 1, not {part!r}")
    if not found:
        raise ValueError("must name a resource, such as GPU=1")
    return found


def _address(text: str) -> str:
    if text != "auto" and not is_address(text):
        raise ValueError(f"must be auto or HOST:PORT, not {text!r}")
    return text


def _count(text: str) -> int:
    value = whole_number(text)
    if value < 0:
        raise ValueError(f"must be 0 or more, not {text}")
    return value
