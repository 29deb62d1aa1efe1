"""Damaged weights files of all formats neither crash nor hang nor eat the memory."""

import json
import os
import subprocess
import sys

import pytest

from tests.processes import ROOT, process_environment


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.slow
def test_damaged_files_are_refused_in_time():
    """In a process of its own, because it forks, which processes with JAX should not."""
    command = [sys.executable, "-m", "tests.convert_weights.fuzz", "1000", "3"]
    done = subprocess.run(
        command, cwd=ROOT, env=process_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["bad"] == []
