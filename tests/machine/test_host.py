"""Tests of what is asked of the system: whether freed memory is kept, where the cache is."""

import json
import os
import platform
import subprocess
import sys

import pytest

from jaxstyle.machine import host

PAGE_FAULTS = """
import json, resource, runpy, sys
import numpy as np

machine = runpy.run_path(sys.argv[1])  # without what the package imports

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(50_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert machine["keep_memory"]()
first, kept = faults(), faults()
assert machine["give_memory_back"]()
print(json.dumps([first, kept, faults()]))
"""

LARGEST_PAGES = 50_000_000 // 2**21
"""How often 50 MB are asked for even where all pages are huge ones."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc's")
def test_freed_memory_is_kept_until_it_is_given_back():
    command = [sys.executable, "-c", PAGE_FAULTS, host.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, kept, given_back = json.loads(done.stdout)
    assert first >= LARGEST_PAGES
    assert kept < LARGEST_PAGES / 2
    assert given_back >= LARGEST_PAGES


def test_other_systems_keep_their_allocator(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(host.ctypes, "CDLL", lambda name: pytest.fail("asked for"))
    assert not host.keep_memory()
    assert not host.give_memory_back()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know other folders")
def test_the_cache_is_in_the_home_folder_if_there_is_one(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert host.cache_directory() == tmp_path / ".cache" / "jaxstyle"
    assert host.cache_problem() == ""
    assert os.access(tmp_path / ".cache" / "jaxstyle", os.W_OK)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert host.cache_directory() == tmp_path / "c" / "jaxstyle"


def no_home(*_, **__):
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("found", [no_home, lambda *_, **__: "~/.cache/jaxstyle"])
def test_without_a_home_folder_there_is_no_cache(monkeypatch, found):
    monkeypatch.setattr(host.platformdirs, "user_cache_dir", found)
    assert host.cache_directory() is None
    assert host.cache_problem() == "there is no home folder: HOME is not set"


def test_a_cache_that_cannot_be_written_is_a_problem(monkeypatch, tmp_path, unprivileged):
    locked = unprivileged / "locked"
    locked.mkdir(mode=0o500)
    (unprivileged / "file").touch()
    for directory, problem in (
        (locked, f"{locked} is not writable"),
        (locked / "cache", f"{locked / 'cache'}: Permission denied"),
        (unprivileged / "file" / "cache", f"{unprivileged / 'file' / 'cache'}: Not a directory"),
    ):
        monkeypatch.setattr(host, "cache_directory", lambda found=directory: found)
        assert host.cache_problem() == problem


def test_what_is_there_is_left_out_of_garbage_collections():
    code = (
        "import gc; from jaxstyle.machine.host import collect_rarely; collect_rarely(); "
        "print(gc.get_freeze_count() > 1000, gc.get_threshold()[0] > 700)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
