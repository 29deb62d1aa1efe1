"""Save and load the records of benchmarks: their rows, with machine, versions and commit."""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jaxstyle.machine.files import write_whole

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "bench" / "results"

PACKAGES = ("jaxstyle", "jax", "jaxlib", "flax", "optax", "numpy")
PEERS = ("torch", "pymatting")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""CPU features that determine the speed of convolutions, as Linux names them."""

Row = dict[str, Any]


def record(command: str, arguments: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Return the record of one benchmark, ready for JSON.

    Left out are the arguments json, weights and debug, and those without a value; of a path only
    the file name is kept.
    """
    plain = {k: v for k, v in arguments.items() if k not in ("json", "weights", "debug")}
    plain = {k: v for k, v in plain.items() if v not in (None, math.inf)}
    return {
        "command": command,
        "arguments": {k: _named(v) for k, v in plain.items()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
        "rows": list(rows),
    }


def _named(value: Any) -> Any:
    """Return a value with paths replaced by the names of their files."""
    if isinstance(value, list):
        return [_named(each) for each in value]
    return value.name if isinstance(value, Path) else value


def default_path(result: Mapping[str, Any]) -> Path:
    """Return the default path of a record: one file per command and platform."""
    return RESULTS / f"{result['command']}-{result['machine']['platform']}.json"


def save(result: Mapping[str, Any], path: Path) -> None:
    """Write a record as JSON.

    Raises:
      ValueError: a number is not finite, which JSON cannot represent.
    """
    write(path, json.dumps(result, indent=1, allow_nan=False) + "\n")


def write(path: Path, text: str) -> None:
    """Write a text file as a whole, and the folder that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())


def load_all(directory: Path = RESULTS) -> list[dict[str, Any]]:
    """Read all records in a directory, sorted by file name."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(directory.glob("*.json"))]


def machine() -> dict[str, Any]:
    """Describe the hardware, without anything that identifies the individual machine."""
    info, device = _cpu_info(), jax.devices()[0]
    flags = info.get("flags", "").split()
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "cores": cores(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
    }


def cores() -> int:
    """Return the number of cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # missing on some systems
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _cpu_info() -> dict[str, str]:
    """Return /proc/cpuinfo of the first processor; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0


def versions() -> dict[str, str]:
    """Return the versions of packages that influence the results, and of peers if imported."""
    packages = [*PACKAGES, *(name for name in PEERS if name in sys.modules)]
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def commit() -> str:
    """Return the measured commit, with "-dirty" for local changes; "unknown" outside git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "jaxstyle", "convert_weights", "bench/*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-dirty" if changed else head


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
