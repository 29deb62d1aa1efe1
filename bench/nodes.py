"""Ray clusters of several nodes on this machine, for benchmarks and tests.

They live in a process of their own, which JAX is not in: Ray forks to start a node.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.child import ROOT

OPTIONS = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


class Nodes:
    """The nodes of a cluster, of one processor each.

    Attributes:
      address: of the head.
    """

    def __init__(self, process: subprocess.Popen):
        self._process = process
        self.address = self._ask("where")

    def add(self, core: int | None = None) -> str:
        """Add a node, bound to one core of this machine if that is given; return its id."""
        return self._ask(f"add {'' if core is None else core}")

    def remove(self, node: str) -> None:
        """Kill a node by its id, as a machine that is switched off."""
        self._ask(node)

    def _ask(self, line: str) -> str:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer = ""
        while not answer.startswith("answer: "):  # Ray prints too
            answer = self._process.stdout.readline()
            if not answer:
                raise RuntimeError("the cluster has died")
        return answer.removeprefix("answer: ").strip()


@contextmanager
def cluster(environment: Mapping[str, str], *, head_works: bool = True) -> Iterator[Nodes]:
    """Start a cluster of one node, and stop it and what was added after the block.

    Args:
      environment: the environment of its nodes.
      head_works: whether the head has room for a worker.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.nodes", str(int(head_works))],
        cwd=ROOT,
        env={**environment, "RAY_USAGE_STATS_ENABLED": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Nodes(process)
    finally:
        process.communicate("", timeout=60)


def serve(head_processors: int) -> None:
    """Hold a cluster, and do what the lines of standard input say, until its end."""
    from ray.cluster_utils import Cluster

    head = {**OPTIONS, "num_cpus": head_processors}
    there, nodes = Cluster(initialize_head=True, head_node_args=head), {}
    for line in map(str.strip, sys.stdin):
        answer = there.address
        command, _, core = line.partition(" ")
        if command == "add":
            if core:
                os.sched_setaffinity(0, {int(core)})  # processes that it starts inherit it
            node = there.add_node(**OPTIONS)
            answer, nodes[node.node_id] = node.node_id, node
        elif line in nodes:
            there.remove_node(nodes.pop(line), allow_graceful=False)
        print(f"answer: {answer}", flush=True)
    there.shutdown()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
