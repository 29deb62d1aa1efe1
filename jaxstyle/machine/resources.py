"""What the operating system lets this process have: memory, threads and processors.

The limits of containers and batch systems are those of Linux control groups. They form a tree, and
the limit of every group from that of the process to the root applies: that of the job, of the user
and of the container, of which only one may be visible as the group of the process itself.
"""

import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

try:
    import resource
except ImportError:  # Windows
    resource = None

ROOT = Path("/")
"""The folder that holds ``proc`` and ``sys``."""


class Limit(NamedTuple):
    """A limit of memory in bytes, how much of it is in use, and whose it is."""

    bytes: int
    used: int
    name: str

    @property
    def free(self) -> int:
        """What is left of it."""
        return max(0, self.bytes - self.used)


def memory_limit(root: Path = ROOT) -> Limit | None:
    """Return the limit of memory of which least is left; None if the system doesn't tell any.

    That is of what the system has available, of the limit of each control group, and of those of
    the process (``ulimit -v`` and ``-d``). Files that the system caches are not counted as in use.
    """
    system = [Limit(free, 0, "") for free in _figures(root / "proc/meminfo", "MemAvailable:")]
    limits = [*_group_limits(root), *_process_limits(root), *system]
    return min(limits, key=lambda limit: limit.free, default=None)


def free_memory(root: Path = ROOT) -> int | None:
    """Return the bytes of memory that this process may still take: see ``memory_limit``."""
    limit = memory_limit(root)
    return None if limit is None else limit.free


def total_memory(root: Path = ROOT) -> int | None:
    """Return the bytes of memory that this process could take if nothing else were running.

    It does not change from one moment to the next, as ``free_memory`` does. None if the system
    doesn't tell.
    """
    held = resident_memory(root)
    total = [limit.bytes for limit in _group_limits(root)]
    total += [limit.free + held for limit in _process_limits(root)]
    total += _figures(root / "proc/meminfo", "MemTotal:") or _physical_memory()
    return min(total, default=None)


def resident_memory(root: Path = ROOT) -> int:
    """Return the bytes of memory that this process holds; 0 where the system doesn't tell."""
    return sum(_figures(root / "proc/self/status", "VmRSS:"))


def free_threads(root: Path = ROOT) -> int | None:
    """Return the number of threads that this process may still start; None if nothing limits them.

    The user's limit (``ulimit -u``) does not bind the superuser.
    """
    left = []
    for group in _groups(root, "pids"):
        running = _numbers(group / "pids.current")
        left += [limit - sum(running) for limit in _numbers(group / "pids.max")]
    if resource is not None and os.geteuid():
        limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        if limit != resource.RLIM_INFINITY:
            left.append(limit - _threads_of_user(root))
    return max(0, min(left)) if left else None


def memory_maps(root: Path = ROOT) -> int:
    """Return the number of memory maps of this process; 0 where the system doesn't tell."""
    return len(_lines(root / "proc/self/maps"))


def processors(root: Path = ROOT) -> int:
    """Return the number of processors that this process may keep busy.

    That are those it is bound to, or fewer if a control group's quota of time is less.
    """
    try:
        bound = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        bound = os.cpu_count() or 1
    return max(1, min([bound, *map(math.ceil, _quotas(root))]))


# --- limits of the process ------------------------------------------------------------------------


def _process_limits(root: Path) -> Iterator[Limit]:
    """Yield each limit of the process's memory."""
    if resource is None:
        return
    for name, field, flag in (("AS", "VmSize:", "-v"), ("DATA", "VmData:", "-d")):
        limit = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0]
        for used in _figures(root / "proc/self/status", field):
            if limit != resource.RLIM_INFINITY:
                yield Limit(limit, used, f"ulimit {flag}")


def _threads_of_user(root: Path) -> int:
    """Return the number of threads of all processes of the user."""
    count = 0
    for path in (root / "proc").glob("[0-9]*/status"):
        if _numbers(path, r"^Uid:\s+(\d+)") == [os.getuid()]:
            count += sum(_numbers(path, r"^Threads:\s+(\d+)"))
    return count


def _physical_memory() -> list[int]:
    try:
        return [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, OSError, ValueError):  # Windows
        return []


def _figures(path: Path, field: str) -> list[int]:
    """Return the bytes in a field of a file of ``/proc``; nothing if it isn't there."""
    return [1024 * number for number in _numbers(path, rf"^{field}\s+(\d+) kB")]


# --- limits of control groups ---------------------------------------------------------------------


def _group_limits(root: Path) -> Iterator[Limit]:
    """Yield the memory limit of each control group.

    Above ``memory.high``, the system slows processes down until they hardly advance.
    """
    for group in _groups(root, "memory"):
        in_use = _numbers(group / "memory.current") + _numbers(group / "memory.usage_in_bytes")
        # Version 1 counts the groups below only in the fields that begin with "total".
        cached = _numbers(group / "memory.stat", r"^(?:total_)?inactive_file (\d+)")
        used = max(0, sum(in_use[:1]) - max(cached, default=0))
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            for limit in _numbers(group / name):
                yield Limit(limit, used, "the limit of its control group")


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quota of each control group: seconds of processor time a second."""
    for group in _groups(root, "cpu"):
        share = _numbers(group / "cpu.max", r"^(\d+) ") + _numbers(group / "cpu.cfs_quota_us")
        period = _numbers(group / "cpu.max", r" (\d+)$") + _numbers(group / "cpu.cfs_period_us")
        if share and period and period[0]:
            yield share[0] / period[0]


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the process's control groups for memory or processors, up to the root.

    There may be one tree for all controllers (version 2), one for each (version 1), or both.
    """
    paths = dict(_group_paths(root))
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, system = line.partition(" - ")
        if len(mount.split()) < 5:
            continue
        kind, _, options = [*system.split(), "", "", ""][:3]
        key = {"cgroup": controller, "cgroup2": ""}.get(kind)
        if key not in paths or (kind == "cgroup" and controller not in options.split(",")):
            continue
        *_, top, point = [re.sub(r"\\(\d{3})", _octal, each) for each in mount.split()[:5]]
        # In a container only a part of the tree may be mounted, or the group lie outside of it.
        inner = [each for each in paths[key].removeprefix(top.rstrip("/")).split("/") if each]
        if ".." in inner or not f"{paths[key]}/".startswith(f"{top.rstrip('/')}/"):
            inner = []
        mounted = root / point.lstrip("/")
        for depth in range(len(inner), -1, -1):
            yield mounted.joinpath(*inner[:depth])


def _group_paths(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each controller, "" for version 2, and the path of the process's group in its tree."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        for each in controllers.split(","):
            yield each, path


def _octal(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1], 8))


def _numbers(path: Path, pattern: str = r"^(\d+)$") -> list[int]:
    """Return the numbers that match in the lines of a file; none if it cannot be read."""
    found: Iterable[re.Match[str] | None] = (re.search(pattern, line) for line in _lines(path))
    return [int(match[1]) for match in found if match]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):
        return []
