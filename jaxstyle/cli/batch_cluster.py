"""``batch --cluster``: what the workers of a batch are, in this process or on a Ray cluster."""

import argparse
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from jaxstyle.batch.jobs import Job
from jaxstyle.batch.ledger import TOKEN
from jaxstyle.batch.storage import Folder, is_url
from jaxstyle.batch.worker import SEEN, Needs, Options, Worker, set_up
from jaxstyle.cli.cluster import named_weights, pool_of, process_of, weights_file
from jaxstyle.execution.workers.cluster import Pool
from jaxstyle.execution.workers.local import Local
from jaxstyle.network import weights

MOST_FILES = 1000
"""Number of folders of which each node checks that it sees a file."""


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
    start = partial(
        set_up,
        process=process_of(arguments, loaded),
        out=out,
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
        files = files_of(todo, named_weights(arguments))
        with pool_of(
            arguments,
            problem=Needs(os.getcwd(), out, (name, token), files).problem,
            set_up=start,
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
        found[weights_path] = weights_file(weights_path)
    for path in (path for job in todo for path in job.inputs()):
        folder = os.path.dirname(path)
        new = folder not in found and len(found) < MOST_FILES and not is_url(path)
        if new and os.path.isfile(path):
            found[folder] = (path, os.path.getsize(path), SEEN)
    return list(found.values())
