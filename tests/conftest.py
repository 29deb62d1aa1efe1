"""Quick compilation, kept programs, and the tests that a plain run leaves out.

xdist's own process deals out tests and runs none: this file imports nothing that takes seconds.
"""

import gc
import os

import pytest

QUICK_COMPILATION = (
    "--xla_backend_optimization_level=0 "
    "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters"
)
"""Flags of XLA for small programs that run once: they compile about ten times as fast."""

if QUICK_COMPILATION not in os.environ.get("XLA_FLAGS", ""):  # a worker inherits them
    os.environ["XLA_FLAGS"] = f"{QUICK_COMPILATION} {os.environ.get('XLA_FLAGS', '')}"
os.environ["NUMBA_DISABLE_JIT"] = "1"  # importing pymatting would compile for a minute


def pytest_configure(config):
    """Where tests run: prepare JAX, and share compiled programs between workers and runs."""
    deals_out_tests = config.getoption("numprocesses", 0) and not hasattr(config, "workerinput")
    if deals_out_tests:
        return
    gc.set_threshold(100_000, 50, 1000)  # else a tenth of the time goes into looking for garbage
    config.pluginmanager.import_plugin("tests.fixtures")
    _keep_all_programs()
    if config.pluginmanager.hasplugin("cacheprovider"):
        _share_programs(config.cache.mkdir("programs"))


def _keep_all_programs():
    """Let JAX keep its programs: tests that count compilations share a process with all others."""
    from jaxstyle.machine import programs

    programs.MOST_MAPS = programs.MOST_DROPPED = 50_000


def _share_programs(directory):
    from jaxstyle.execution.compilation import persist

    persist(directory)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(directory)  # for the processes that tests start
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


def pytest_collection_modifyitems(items):
    """Tests with the real weights run where those are at hand already, and in CI."""
    from jaxstyle.network.weights import cached_path

    cached = cached_path()
    if os.environ.get("CI") or (cached and cached.exists()):
        return
    skip = pytest.mark.skip(reason="the real weights have not been fetched yet")
    for item in items:
        if item.get_closest_marker("real_weights"):
            item.add_marker(skip)


def pytest_collection_finish():
    """Spare the garbage collector what stays."""
    gc.collect()
    gc.freeze()
