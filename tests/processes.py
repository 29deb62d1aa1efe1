"""Processes that tests start."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]

SMALL_COMMAND = """
from tests.networks import small_weights
from jaxstyle.network import tuning, weights
from jaxstyle.__main__ import entry
tuning.algorithms = lambda precision: {}
weights.find, weights.load = (lambda path, tell: path), (lambda path: small_weights())
entry()
"""
"""The command line, with a network of few channels and no algorithms to measure."""


def process_environment(devices: int = 1, **variables: str) -> dict[str, str]:
    """Return the environment of a Python process that finds the project and so many CPU devices."""
    # Of one device the same flags as in this process: they are part of what programs are kept by.
    more = f" --xla_force_host_platform_device_count={devices}" if devices > 1 else ""
    flags = os.environ["XLA_FLAGS"] + more
    own = {"PYTHONPATH": str(ROOT), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", **variables}
    return {**os.environ, **own}
