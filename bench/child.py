"""A function called in a Python process of its own: python -m bench.child MODULE:FUNCTION JSON."""

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
"""Where it is set, the user's own choice of a cache stands above ours; not in measurements."""


def call(
    function: str, environment: Mapping[str, str] = MappingProxyType({}), **options: Any
) -> Any:
    """What ``MODULE:FUNCTION`` of plain values answers in a new process with more environment.

    Raises:
      RuntimeError: it failed; the last line it said.
    """
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ours = {name: value for name, value in os.environ.items() if name != USERS_CACHE}
    done = subprocess.run(
        [sys.executable, "-m", "bench.child", function, json.dumps(options)],
        capture_output=True,
        text=True,
        env={**ours, "PYTHONPATH": path, **environment},
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(said[-1])
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    module, name = sys.argv[1].split(":")
    answer = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    print(json.dumps(answer))
