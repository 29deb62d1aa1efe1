"""Call a function in a new Python process: python -m bench.child MODULE:FUNCTION JSON."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

USERS_CACHE = "JAX_COMPILATION_CACHE_DIR"
"""The user's compilation cache. jaxstyle prefers it, so it is removed from the environment."""


def inherited() -> dict[str, str]:
    """Return this process's environment for others: they find the project, and no user's cache."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ours = {name: value for name, value in os.environ.items() if name != USERS_CACHE}
    return {**ours, "PYTHONPATH": path}


def call(
    function: str, environment: Mapping[str, str] = MappingProxyType({}), **options: Any
) -> Any:
    """Call ``MODULE:FUNCTION`` in a new process and return its result.

    Args:
      function: "MODULE:FUNCTION"; its result must be serializable as JSON.
      environment: environment variables to add.
      **options: its keyword arguments, serializable as JSON.

    Raises:
      RuntimeError: the process failed; the message is its last line on standard error.
    """
    done = subprocess.run(
        [sys.executable, "-m", "bench.child", function, json.dumps(options)],
        capture_output=True,
        text=True,
        env={**inherited(), **environment},
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(lines[-1])
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    module, name = sys.argv[1].split(":")
    answer = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    print(json.dumps(answer))
