"""Tests of what is asked of the C library: whether freed memory is kept."""

import json
import platform
import subprocess
import sys

import pytest

from jaxstyle.network import machine

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
    command = [sys.executable, "-c", PAGE_FAULTS, machine.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, kept, given_back = json.loads(done.stdout)
    assert first >= LARGEST_PAGES
    assert kept < LARGEST_PAGES / 2
    assert given_back >= LARGEST_PAGES


def test_other_systems_keep_their_allocator(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: pytest.fail("asked for"))
    assert not machine.keep_memory()
    assert not machine.give_memory_back()
