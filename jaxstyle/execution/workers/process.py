"""A process of a worker on a cluster: what its machine must see, and how it begins."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

import jax

from jaxstyle.errors import WeightsError
from jaxstyle.execution.compilation import use_usual_rules
from jaxstyle.machine import host, resources
from jaxstyle.network import weights


def unseen(files: Iterable[tuple[str, int, str]]) -> str:
    """Return what this machine does not see of files; empty if it sees all.

    Args:
      files: path, size in bytes and advice about each file.
    """
    for path, size, advice in files:
        try:
            found = os.stat(path).st_size
        except OSError:
            return f"does not see {path}: {advice}"
        if found != size:
            return f"sees another file as {path}, of {found} bytes, not {size}: {advice}"
    return ""


@dataclass(frozen=True)
class Process:
    """How the processes of workers compute.

    Attributes:
      path: weights file; None for the default weights.
      sha256: digest that the weights must have.
      double: whether to compute in double precision.
      programs: folder or URL of compiled programs; None for those of each machine.
    """

    path: str | None
    sha256: str
    double: bool
    programs: str | None

    def begin(self, notes: list[str], cores: int | None) -> weights.Loaded:
        """Set up this process for JAX, and return its weights.

        Args:
          notes: notes are added here.
          cores: number of processors to use, and no accelerators; None for all that there is.

        Raises:
          WeightsError: there are no such weights here.
        """
        host.keep_memory()
        os.environ.setdefault("PJRT_NPROC", str(min(resources.processors(), cores or math.inf)))
        changes = {"jax_platforms": "cpu"} if cores else {}
        changes |= {"jax_enable_x64": True} if self.double else {}
        changes |= {"jax_compilation_cache_dir": self.programs} if self.programs else {}
        for name, value in changes.items():
            jax.config.update(name, value)
        use_usual_rules()
        loaded = weights.load(weights.find(self.path, notes.append))
        if loaded.sha256 != self.sha256:
            raise WeightsError(
                f"{loaded.path}: are other weights than those of the command: give both the same, "
                "by --weights with a path that all machines see"
            )
        return loaded
