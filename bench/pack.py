"""python bench/pack.py: what bench/on_gpu.sh needs on a machine with no internet, into bench/carry.

Wheels for Python 3.12 on x86-64 Linux of all that jaxstyle needs but what is taken to be there (jax
and what comes with it, PyTorch), and the weights as float16, to the deepest layer in use.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from convert_weights.vgg19 import LAYERS, Convolution
from convert_weights.weights_file import Weights, read_weights, write_weights
from jaxstyle.network import weights

ROOT = Path(__file__).resolve().parent.parent
CARRY = ROOT / "bench" / "carry"

JAX = "jax==0.11.*"
PRESENT = ("jax", "jaxlib", "ml-dtypes", "numpy", "opt-einsum", "scipy")
"""What the other machine has."""

UNUSED = ("orbax-checkpoint", "tensorstore", "uvloop")
"""What only Flax's checkpoints need: most of the bytes."""

TARGET = (
    *("--python-version", "3.12", "--implementation", "cp", "--only-binary", ":all:"),
    *(f"--platform=manylinux{tag}_x86_64" for tag in ("_2_28", "_2_27", "_2_17", "2014")),
)

LAST = "conv5_1"
"""The deepest convolution that any style or content layer in use needs."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill bench/carry, and say how large it is."""
    parser = argparse.ArgumentParser(description="Fill bench/carry.")
    parser.add_argument("--weights", metavar="VGG19.h5", help="a file made by convert_weights")
    path = weights.find(parser.parse_args(arguments).weights)
    CARRY.mkdir(exist_ok=True)
    needed = requirements(ROOT / "pyproject.toml")
    carried = download(needed, CARRY / "wheels")
    lines = "".join(f"{line}\n" for line in listed(needed, carried))
    (CARRY / "requirements.txt").write_text(lines, encoding="utf-8")
    write_truncated(read_weights(path), CARRY / "vgg19-float16.h5")
    files = [file for file in CARRY.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files) / 2**20
    print(f"{CARRY.relative_to(ROOT)}: {len(files)} files, {size:.1f} MiB")


def requirements(project: Path) -> list[str]:
    """What jaxstyle requires and the other machine may not have."""
    declared = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
    return [requirement for requirement in declared if name_of(requirement) not in PRESENT]


def name_of(requirement: str) -> str:
    """The name of a package, as indexes compare them.

    >>> name_of("ml_dtypes>=0.5")
    'ml-dtypes'
    """
    name = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", name[0] if name else requirement).lower()


def download(needed: Iterable[str], folder: Path) -> list[str]:
    """The wheels of these packages, and of what they need in turn, in a folder; their names."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory() as everything:
        command = ("pip", "download", "--quiet", "--dest", everything, *TARGET, JAX, *needed)
        subprocess.run([sys.executable, "-m", *command], check=True)
        wheels = {name_of(path.name.partition("-")[0]): path for path in Path(everything).iterdir()}
        names = sorted(wheels.keys() - {*PRESENT, *UNUSED})
        for name in names:
            shutil.move(wheels[name], folder)
    return names


def listed(needed: Sequence[str], carried: Iterable[str]) -> list[str]:
    """What pip is told to install where it is missing: any version will do where none is asked."""
    asked = {name_of(requirement) for requirement in needed}
    return [*needed, *(name for name in carried if name not in asked)]


def write_truncated(full: Weights, path: Path, last: str = LAST) -> None:
    """A float16 weights file in which what follows ``last`` is zeros, which take no space."""
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
        with h5py.File(whole) as source, h5py.File(path, "w") as target:
            target.attrs.update(source.attrs)
            for name in kept:
                source.copy(name, target)
            for name in LAYERS.keys() - kept:
                for part in ("kernel", "bias"):
                    data = np.asarray(source[f"{name}/{part}"])
                    target.create_dataset(f"{name}/{part}", data=data, compression="gzip")
    read_weights(path)  # raises if a reader would


if __name__ == "__main__":
    main()
