"""What runs on the workers of a cluster: see ``jaxstyle.batch.cluster``."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jaxstyle.batch.storage import Folder
from jaxstyle.errors import StorageError

SEEN = "give a path that all machines see, or a URL"
"""Advice about a path that a node does not see."""


@dataclass(frozen=True)
class Needs:
    """What a machine must see to take part.

    Attributes:
      directory: the driver's current directory, to which paths are relative.
      out: folder of the results.
      token: name and text of a file in it.
      files: path, size in bytes and advice about each file that must be there.
    """

    directory: str
    out: Folder
    token: tuple[str, str]
    files: Sequence[tuple[str, int, str]] = ()

    def problem(self) -> str:
        """Return what this machine does not see; empty if it sees all."""
        with suppress(OSError):  # all paths may be absolute, or URLs
            os.chdir(self.directory)
        try:
            if self.out.read(self.token[0]) != self.token[1].encode():
                return f"does not see {self.out.root}: {SEEN}"
            self.out.create()
        except StorageError as error:
            return f"cannot write: {error}"
        for path, size, advice in self.files:
            try:
                found = os.stat(path).st_size
            except OSError:
                return f"does not see {path}: {advice}"
            if found != size:
                return f"sees another file as {path}, of {found} bytes, not {size}: {advice}"
        return ""


class Actor:
    """A worker in a process of its own.

    It is sent as it is, and refers to nothing else in this file: a node may have no jaxstyle, or
    another one, which ``start`` tells.
    """

    def __init__(self) -> None:
        import threading

        self.stopping, self.computing = threading.Event(), threading.Lock()
        self.notes: list[str] = []
        self.worker: Any = None

    def start(
        self, version: str, needs: bytes, set_up: bytes, cores: int | None
    ) -> tuple[str, str, str, str]:
        """Set up the worker.

        Args:
          version: that jaxstyle must have.
          needs: pickled ``Needs``.
          set_up: pickled function: see ``cluster.Pool``.
          cores: number of processors to use; None for all.

        Returns:
          What keeps it from taking part, its host, its node and its devices.
        """
        import pickle
        import socket

        import ray

        host, node = socket.gethostname(), ray.get_runtime_context().get_node_id()
        try:
            import jaxstyle

            found = jaxstyle.__version__
        except ImportError:
            found = "no version"
        if found != version:
            problem = f"has {found} of jaxstyle: pip install 'jaxstyle[ray]=={version}' there"
            return problem, host, node, ""
        try:
            problem = pickle.loads(needs).problem()
            if not problem:
                self.worker = pickle.loads(set_up)(self.notes, self.check, cores)
            return problem, host, node, problem or self.worker.devices()
        except Exception as error:
            return f"cannot start: {str(error) or type(error).__name__}", host, node, ""

    def check(self) -> None:
        """Raise KeyboardInterrupt if the worker has to stop."""
        if self.stopping.is_set():
            raise KeyboardInterrupt

    def stop(self) -> None:
        """Stop at the next step."""
        self.stopping.set()

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the worker."""
        return getattr(self.worker, method)(*arguments)

    def run(self, payload: Any) -> tuple[Any, float, list[str]] | None:
        """Do a work.

        Returns:
          The report on it, seconds of computing, and notes; None if it was stopped.
        """
        import time

        try:
            ready = self.worker.prepare(payload)
            with self.computing:
                self.check()
                begin = time.perf_counter()
                computed = self.worker.compute(ready, lambda running: None)
                seconds = time.perf_counter() - begin
            report = self.worker.finish(ready, computed)
        except KeyboardInterrupt:
            return None
        return report, seconds, [self.notes.pop(0) for _ in [*self.notes]]
