"""Collect in bench/carry what bench/on_gpu.sh needs on a machine without internet access.

Run python bench/pack.py. It downloads wheels for Python 3.12 on x86-64 Linux of jaxstyle's
dependencies, except those assumed to be installed there (jax and its dependencies, PyTorch), and
writes the weights as float16, up to the deepest layer in use.
"""

import argparse
import gzip
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from convert_weights.vgg19 import LAYERS, Convolution
from convert_weights.weights_file import Weights, read_weights, write_weights
from jaxstyle.network import weights

ROOT = Path(__file__).resolve().parent.parent
CARRY = ROOT / "bench" / "carry"

JAX = "jax==0.11.*"
PRESENT = ("jax", "jaxlib", "ml-dtypes", "numpy", "opt-einsum", "scipy")
"""Packages assumed to be installed on the other machine."""

UNUSED = ("orbax-checkpoint", "tensorstore", "uvloop")
"""Large packages that only Flax's checkpoints need; left out."""

TARGET = (
    *("--python-version", "3.12", "--implementation", "cp", "--only-binary", ":all:"),
    *(f"--platform=manylinux{tag}_x86_64" for tag in ("_2_28", "_2_27", "_2_17", "2014")),
)

LAST = "conv5_1"
"""The deepest convolution that any style or content layer in use needs."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill bench/carry and print its size."""
    parser = argparse.ArgumentParser(
        description="Collect in bench/carry what bench/on_gpu.sh needs without internet access."
    )
    parser.add_argument(
        "--weights", metavar="VGG19.h5", help="weights file written by convert_weights"
    )
    path = weights.find(parser.parse_args(arguments).weights)
    CARRY.mkdir(exist_ok=True)
    needed = requirements(ROOT / "pyproject.toml")
    carried = download(needed, CARRY / "wheels")
    lines = "".join(f"{line}\n" for line in requirement_lines(needed, carried))
    (CARRY / "requirements.txt").write_text(lines, encoding="utf-8")
    write_truncated(read_weights(path), CARRY / "vgg19-float16.h5.gz")
    files = [file for file in CARRY.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files) / 2**20
    print(f"{CARRY.relative_to(ROOT)}: {len(files)} files, {size:.1f} MiB")


def requirements(project: Path) -> list[str]:
    """Return the dependencies in a pyproject.toml that the other machine may lack."""
    declared = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
    return [requirement for requirement in declared if name_of(requirement) not in PRESENT]


def name_of(requirement: str) -> str:
    """Return the normalized name (PEP 503) of the package in a requirement.

    >>> name_of("ml_dtypes>=0.5")
    'ml-dtypes'
    """
    name = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", name[0] if name else requirement).lower()


def download(needed: Iterable[str], folder: Path) -> list[str]:
    """Download the wheels of packages and of what they depend on to a folder, emptied before.

    Args:
      needed: requirements, such as "flax>=0.12".
      folder: created if it does not exist.

    Returns:
      The sorted normalized names of the packages whose wheels are now in the folder: all but
      ``PRESENT`` and ``UNUSED``.
    """
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory() as downloads:
        command = ("pip", "download", "--quiet", "--dest", downloads, *TARGET, JAX, *needed)
        subprocess.run([sys.executable, "-m", *command], check=True)
        wheels = {name_of(path.name.partition("-")[0]): path for path in Path(downloads).iterdir()}
        names = sorted(wheels.keys() - {*PRESENT, *UNUSED})
        for name in names:
            shutil.move(wheels[name], folder)
    return names


def requirement_lines(needed: Sequence[str], carried: Iterable[str]) -> list[str]:
    """Return the lines of a requirements.txt for the other machine.

    Args:
      needed: requirements of jaxstyle itself, with their versions.
      carried: names of all packages carried, as of ``download``.

    Returns:
      The requirements, then the names of the carried packages that they do not mention.
    """
    asked = {name_of(requirement) for requirement in needed}
    return [*needed, *(name for name in carried if name not in asked)]


def write_truncated(full: Weights, path: Path, last: str = LAST) -> None:
    """Write float16 weights, compressed as a whole; layers after ``last`` are zeros."""
    kept = list(LAYERS)[: list(LAYERS).index(last) + 1]
    layers = {
        name: layer
        if name in kept
        else Convolution(np.zeros_like(layer.kernel), np.zeros_like(layer.bias))
        for name, layer in full.layers.items()
    }
    shortened = replace(full, layers=layers, source=f"{full.source} to {last}")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole.h5")
        write_weights(whole, shortened, dtype="float16")
        path.write_bytes(gzip.compress(whole.read_bytes(), mtime=0))


if __name__ == "__main__":
    main()
