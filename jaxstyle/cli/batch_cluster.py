"""``batch --cluster``: what the workers of a batch are, in this process or on a Ray cluster."""

import argparse
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import jax

from jaxstyle import __version__
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.ledger import TOKEN
from jaxstyle.batch.storage import Folder, is_url
from jaxstyle.batch.worker import SEEN, Needs, Options, Worker, set_up
from jaxstyle.cli.common import Tell, above_zero
from jaxstyle.cli.failures import interruptible
from jaxstyle.cli.flags import argument, flag
from jaxstyle.errors import UsageError
from jaxstyle.execution.workers.cluster import Pool, connected, hired, is_address
from jaxstyle.execution.workers.local import Local
from jaxstyle.network import weights
from jaxstyle.settings.text import number, whole_number

RETRIES = 3
"""Default of ``--retries``."""

LEAST_SHARE = 0.0001
"""Smallest share of a resource that Ray knows."""

MOST_FILES = 1000
"""Number of folders of which each node checks that it sees a file."""


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
        help=f"how often a batch is done again whose worker was lost (default: {RETRIES})",
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


@contextmanager
def workers(
    arguments: argparse.Namespace,
    todo: Sequence[Job],
    loaded: weights.Loaded,
    checkpoints: Path | None,
    options: Options,
    check: Callable[[], None],
) -> Iterator[Local | Pool]:
    """Yield what the jobs are to be run on: this process, or a cluster.

    Args:
      arguments: arguments of the command.
      todo: the jobs.
      loaded: weights of the network.
      checkpoints: folder of the checkpoints; None to keep none.
      options: options of the run.
      check: called often; may raise to end it all.

    Raises:
      ClusterError: the cluster cannot be used.
    """
    out = Folder(arguments.output)
    if not arguments.cluster:
        yield Local(Worker(loaded, out, options))
        return
    named = arguments.weights or os.environ.get(weights.ENVIRONMENT)
    programs = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    start = partial(
        set_up,
        path=named and os.path.abspath(named),
        sha256=loaded.sha256,
        double=bool(jax.config.jax_enable_x64),  # pyright: ignore[reportAttributeAccessIssue]
        out=out,
        programs=programs if programs is None or is_url(programs) else os.path.abspath(programs),
        checkpoints=checkpoints,
        checkpoint_every=arguments.checkpoint_every,
        batch_size=options.batch_size,
        bits=options.bits,
        describe=options.describe,
    )
    token = secrets.token_hex(8)
    name = TOKEN + token
    out.write(name, token.encode())
    try:
        with hired(
            version=__version__,
            problem=Needs(os.getcwd(), out, (name, token), files_of(todo, named)).problem,
            set_up=start,
            resources=arguments.worker_resources or {},
            retries=RETRIES if arguments.retries is None else arguments.retries,
            wait=arguments.wait or 0.0,
            most=1 if arguments.plan else len(todo),
            tell=lambda line: options.note([line]),
            check=check,
        ) as pool:
            yield pool
    finally:
        out.delete(name)


def files_of(todo: Sequence[Job], weights_path: str | None) -> list[tuple[str, int, str]]:
    """Return files that every node has to see: one of each folder of pictures, and the weights."""
    found = {}
    if weights_path:
        path, advice = os.path.abspath(weights_path), f"for --weights, {SEEN.partition(',')[0]}"
        found[path] = (path, os.path.getsize(path), advice)
    for path in (path for job in todo for path in job.inputs()):
        folder = os.path.dirname(path)
        new = folder not in found and len(found) < MOST_FILES and not is_url(path)
        if new and os.path.isfile(path):
            found[folder] = (path, os.path.getsize(path), SEEN)
    return list(found.values())


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
