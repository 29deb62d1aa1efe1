"""Memory and processors that a process may use: the limits of containers and batch systems too."""

import os

import pytest

from jaxstyle.machine import resources
from jaxstyle.machine.resources import (
    free_memory,
    free_threads,
    memory_limit,
    memory_maps,
    processors,
    resident_memory,
    total_memory,
)

MB = 2**20
UNLIMITED = "9223372036854771712"

V2 = "30 1 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
V1_CPU = "36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
HYBRID = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"


@pytest.fixture
def system(tmp_path):
    """A function that writes the files of a system with 16 GB free and 300 MB in use."""

    def write(mounts, group, files=()):
        shown = {
            "proc/meminfo": f"MemTotal: {20_000 * 1024} kB\nMemAvailable: {16_000 * 1024} kB\n",
            "proc/self/status": f"VmSize: {900 * 1024} kB\nVmRSS: {300 * 1024} kB\n"
            f"VmData: {400 * 1024} kB\n",
            "proc/self/mountinfo": "\n".join(["22 1 8:1 / / rw - ext4 /dev/sda rw", *mounts]),
            "proc/self/cgroup": group,
            **{f"sys/fs/cgroup/{name}": text for name, text in dict(files).items()},
        }
        for name, text in shown.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


@pytest.fixture
def process_limits(monkeypatch):
    """A dictionary of the limits of the process, by name; at first there are none."""
    limits = {}

    def getrlimit(number):
        names = [name for name in limits if getattr(resources.resource, name) == number]
        return (limits[names[0]],) * 2 if names else (resources.resource.RLIM_INFINITY,) * 2

    monkeypatch.setattr(resources.resource, "getrlimit", getrlimit)
    return limits


def test_without_limits_memory_is_what_the_system_has(system):
    root = system([V2], "0::/\n")
    assert free_memory(root) == 16_000 * MB
    assert total_memory(root) == 20_000 * MB
    assert resident_memory(root) == 300 * MB


def of_group(folder, limit, used, cached=0):
    """The files of a group of version 2."""
    prefix = f"{folder}/" if folder else ""
    return {
        f"{prefix}memory.max": f"{limit}\n",
        f"{prefix}memory.current": f"{used * MB}\n",
        f"{prefix}memory.stat": f"anon 1\ninactive_file {cached * MB}\n",
    }


def of_group_1(folder, limit, used, cached=0):
    """The files of a group of version 1."""
    return {
        f"{folder}/memory.limit_in_bytes": f"{limit}\n",
        f"{folder}/memory.usage_in_bytes": f"{used * MB}\n",
        f"{folder}/memory.stat": f"inactive_file 0\ntotal_inactive_file {cached * MB}\n",
    }


LIMITED_ABOVE = {
    "the group itself": (
        [V2],
        "0::/job\n",
        of_group("job", 2000 * MB, 500),
    ),
    "a job of Slurm, two groups above": (
        [V2],
        "0::/job/step/task\n",
        of_group("job", 2000 * MB, 500) | of_group("job/step/task", "max", 300),
    ),
    "the least of several": (
        [V2],
        "0::/user.slice/run.scope\n",
        of_group("user.slice", 2000 * MB, 500) | of_group("user.slice/run.scope", 5000 * MB, 300),
    ),
    "files that are cached are free": (
        [V2],
        "0::/job\n",
        of_group("job", 2000 * MB, 1500, cached=1000),
    ),
    "a slice that the system slows down": (
        [V2],
        "0::/job\n",
        of_group("job", "max", 500) | {"job/memory.high": f"{2000 * MB}\n"},
    ),
    "a container with a tree of its own": (
        [V2],
        "0::/\n",
        of_group("", 2000 * MB, 500),
    ),
    "a container that sees where it hangs": (
        [V2.replace(" / /sys", " /docker/abc /sys")],
        "0::/docker/abc/inner\n",
        of_group("", 2000 * MB, 500) | of_group("inner", "max", 300),
    ),
    "a group outside of what is mounted": (
        [V2],
        "0::/../other\n",
        of_group("", 2000 * MB, 500),
    ),
    "version 1": (
        [V1],
        "4:memory:/slurm/uid_0/job_1\n",
        of_group_1("memory/slurm", UNLIMITED, 9000)
        | of_group_1("memory/slurm/uid_0", 2000 * MB, 900, cached=400)
        | of_group_1("memory/slurm/uid_0/job_1", UNLIMITED, 300),
    ),
    "version 1 in a container": (
        [V1.replace(" / /sys", " /docker/abc /sys")],
        "4:memory:/docker/abc\n",
        of_group_1("memory", 2000 * MB, 500),
    ),
    "both versions": (
        [HYBRID, V1, V1_CPU],
        "4:memory:/job\n3:cpu,cpuacct:/\n0::/\n",
        of_group_1("memory/job", 2000 * MB, 500),
    ),
    "a folder with a space": (
        [V2.replace("/sys/fs/cgroup", r"/sys/fs/cgroup/my\040groups")],
        "0::/job\n",
        of_group("my groups/job", 2000 * MB, 500),
    ),
}


@pytest.mark.parametrize("name", LIMITED_ABOVE)
def test_the_limit_of_every_group_up_to_the_root_counts(system, name):
    root = system(*LIMITED_ABOVE[name])
    assert free_memory(root) == 1500 * MB
    assert total_memory(root) == 2000 * MB


def test_a_group_above_its_limit_leaves_nothing(system):
    assert free_memory(system([V2], "0::/job\n", of_group("job", 100 * MB, 300))) == 0


def test_limits_of_the_process_count(system, process_limits):
    root = system([V2], "0::/\n")
    process_limits["RLIMIT_AS"] = 1000 * MB
    assert (free_memory(root), total_memory(root)) == (100 * MB, 400 * MB)
    process_limits["RLIMIT_DATA"] = 450 * MB
    assert (free_memory(root), total_memory(root)) == (50 * MB, 350 * MB)


@pytest.mark.parametrize("group", ["", "nonsense", "0::", "\0:::"])
def test_strange_files_are_no_limits(system, group):
    root = system(["nonsense", "1 - cgroup2"], group, {"memory.max": "many"})
    assert free_memory(root) == 16_000 * MB


def test_a_system_without_these_files_tells_nothing(tmp_path, process_limits):
    assert free_memory(tmp_path) is None
    assert resident_memory(tmp_path) == 0
    process_limits["RLIMIT_AS"] = 1000
    assert free_memory(tmp_path) is None


QUOTAS = {
    "version 2": ([V2], "0::/job/step\n", {"job/cpu.max": "150000 100000\n"}),
    "version 1": (
        [V1_CPU],
        "2:cpu,cpuacct:/job/step\n",
        {
            "cpu,cpuacct/job/cpu.cfs_quota_us": "120000\n",
            "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            "cpu,cpuacct/job/step/cpu.cfs_quota_us": "-1\n",
            "cpu,cpuacct/job/step/cpu.cfs_period_us": "100000\n",
        },
    ),
    "none": ([V2], "0::/job\n", {"job/cpu.max": "max 100000\n"}),
}


@pytest.mark.parametrize(("name", "expected"), [("version 2", 2), ("version 1", 2), ("none", 8)])
def test_a_quota_of_time_limits_the_processors(system, monkeypatch, name, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert processors(system(*QUOTAS[name])) == expected


def test_at_least_one_processor_is_used(system):
    root = system([V2], "0::/\n", {"cpu.max": "1000 100000\n"})
    assert processors(root) == 1


def test_the_limit_of_which_least_is_left_has_a_name(system, process_limits):
    root = system([V2], "0::/job\n", of_group("job", 2000 * MB, 500))
    limit = memory_limit(root)
    assert (limit.free, limit.name) == (1500 * MB, "the limit of its control group")
    process_limits["RLIMIT_AS"] = 1000 * MB
    assert memory_limit(root).name == "ulimit -v"
    del process_limits["RLIMIT_AS"]
    assert memory_limit(system([V2], "0::/\n", {})).free <= 16_000 * MB


def test_threads_are_limited_by_groups_and_by_the_user(system, process_limits, monkeypatch):
    root = system([V2], "0::/job/step\n", {"job/pids.max": "50\n", "job/pids.current": "20\n"})
    status = root / "proc" / "77" / "status"
    status.parent.mkdir()
    status.write_text(f"Uid:\t{os.getuid()}\t0\t0\t0\nThreads:\t30\n")
    process_limits["RLIMIT_NPROC"] = 40
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert free_threads(root) == 30  # the user's limit does not bind the superuser
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert free_threads(root) == 10
    process_limits.clear()
    assert free_threads(root) == 30
    assert free_threads(system([V2], "0::/\n", {"pids.max": "max\n"})) is None


def test_memory_maps_are_counted(tmp_path):
    assert memory_maps(tmp_path) == 0
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc/self/maps").write_text("1-2 r--p\n3-4 rw-p\n")
    assert memory_maps(tmp_path) == 2
