"""What a benchmark leaves: its rows, and all that is needed to read them later."""

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

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "bench" / "results"

PACKAGES = ("jaxstyle", "jax", "jaxlib", "flax", "optax", "numpy")
PEERS = ("torch", "pymatting")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""CPU features that decide how fast convolutions can be, as Linux names them."""

Row = dict[str, Any]


def record(command: str, arguments: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Plain values for JSON: the rows of one command, and where they come from.

    Of the arguments, those that say nothing about the numbers are left out.
    """
    plain = {k: v for k, v in arguments.items() if k not in ("json", "weights", "debug")}
    plain = {k: v for k, v in plain.items() if v not in (None, math.inf)}
    return {
        "command": command,
        "arguments": {k: v.name if isinstance(v, Path) else v for k, v in plain.items()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
        "rows": list(rows),
    }


def default_path(result: Mapping[str, Any]) -> Path:
    """Where a record is kept if no other place is asked for: one per command and platform."""
    return RESULTS / f"{result['command']}-{result['machine']['platform']}.json"


def save(result: Mapping[str, Any], path: Path) -> None:
    """Write a record.

    Raises:
      ValueError: a number is not finite, which JSON cannot say.
    """
    write(path, json.dumps(result, indent=1, allow_nan=False) + "\n")


def write(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load_all(directory: Path = RESULTS) -> list[dict[str, Any]]:
    """Every record of a directory, in the order of their files' names."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(directory.glob("*.json"))]


def machine() -> dict[str, Any]:
    """The hardware, by kind: nothing that names this one machine."""
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
    """Cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _cpu_info() -> dict[str, str]:
    """Of the first processor; empty where the system does not say."""
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
    """Of everything that can change a number; of peers, those that took part."""
    packages = [*PACKAGES, *(name for name in PEERS if name in sys.modules)]
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def commit() -> str:
    """The commit that was measured; "-dirty" with changes on top; "unknown" outside git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "jaxstyle", "convert_weights", "bench/*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-dirty" if changed else head


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
