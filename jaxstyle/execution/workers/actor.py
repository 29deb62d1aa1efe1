"""What runs on the workers of a cluster: see ``jaxstyle.execution.workers.cluster``."""

from typing import Any, no_type_check


@no_type_check  # what checks types at run time wraps methods, which Ray could not send then
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
        self, version: str, problem: bytes, set_up: bytes, cores: int | None
    ) -> tuple[str, str, str, str]:
        """Set up the worker.

        Args:
          version: that jaxstyle must have.
          problem: pickled function: see ``cluster.Pool``.
          set_up: the same.
          cores: number of processors to use; None for all.

        Returns:
          What keeps it from taking part, its host, its node and its devices.
        """
        import importlib
        import pickle
        import socket

        import ray

        host, node = socket.gethostname(), ray.get_runtime_context().get_node_id()
        try:
            found = f"jaxstyle {importlib.import_module('jaxstyle').__version__}"
        except ImportError:
            found = "no jaxstyle"
        if found != f"jaxstyle {version}":
            return f"has {found}: install version {version} there", host, node, ""
        try:
            said = pickle.loads(problem)()
            if not said:
                self.worker = pickle.loads(set_up)(self.notes, self.check, cores)
            return said, host, node, said or self.worker.devices()
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
        """Do a task.

        Returns:
          The report on it, seconds of computing, and notes; None if it was stopped.
        """
        import time
        from contextlib import suppress

        notes: list[str] = []
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
        with suppress(IndexError):  # another thread may take some
            while True:
                notes.append(self.notes.pop(0))
        return report, seconds, notes
