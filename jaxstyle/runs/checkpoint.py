"""Checkpoint files: save and load a tree of plain values and arrays, bit for bit, as a whole.

A checkpoint is one .npz file in a folder: the tree as JSON, its SHA-256, and each array as bytes,
all with the checksums of the zip format. It is replaced at once, so that a process killed at any
moment leaves the old checkpoint or the new one.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxstyle.errors import CheckpointError
from jaxstyle.machine.files import BinaryFile, remove_leftovers, whole_file

FILE = "checkpoint.npz"
"""Name of the file in the folder of a checkpoint."""


def save(directory: Path, tree: Mapping[str, Any]) -> None:
    """Save a tree, replacing the previous checkpoint of the directory.

    Args:
      directory: folder of the checkpoint; created if it does not exist.
      tree: nested dicts and lists of plain JSON values and arrays.

    Raises:
      CheckpointError: it cannot be written; the previous checkpoint is still there.
    """
    check_own(directory)
    there = directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(directory)
        with whole_file(directory / FILE, follow=False) as file:
            _write(file, tree)
    except Exception as error:
        if not there:
            with contextlib.suppress(OSError):  # it was not made
                directory.rmdir()
        raise CheckpointError(f"{directory}: cannot be written: {_reason(error)}") from error


def check_own(directory: Path) -> None:
    """Check that the folder of a checkpoint is none that was made for something else.

    Raises:
      CheckpointError: it is a symbolic link, or a file.
    """
    if directory.is_symlink():
        raise CheckpointError(
            f"{directory}: is a symbolic link, and checkpoints need a folder of their own"
        )
    if directory.exists() and not directory.is_dir():
        raise CheckpointError(f"{directory}: is a file, and checkpoints need a folder of this name")


def load(directory: Path) -> dict[str, Any] | None:
    """Return the saved tree, with NumPy arrays, or None if there is no checkpoint.

    Raises:
      CheckpointError: the checkpoint is damaged.
    """
    path = directory / FILE
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError("it is not a file")
        with open(path, "rb") as file:
            return _read(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:
        raise CheckpointError(
            f"{directory}: the checkpoint is damaged ({_reason(error)}): delete it, or run without "
            "--resume"
        ) from error


def delete(directory: Path) -> None:
    """Delete the checkpoint of a directory, and the directory too if it is then empty.

    Nothing else in it is touched, and nothing behind a symbolic link.
    """
    if directory.is_symlink():
        return
    with contextlib.suppress(OSError):
        (directory / FILE).unlink(missing_ok=True)
        remove_leftovers(directory)
        directory.rmdir()


def _write(file: BinaryFile, tree: Mapping[str, Any]) -> None:
    arrays: list[np.ndarray] = []

    def array_to_reference(value: Any) -> dict[str, Any]:
        array = np.asarray(value)
        arrays.append(np.ravel(array).view(np.uint8))
        return {"array": len(arrays), "dtype": str(array.dtype), "shape": array.shape}

    text = json.dumps(dict(tree), default=array_to_reference).encode()
    digest = np.frombuffer(hashlib.sha256(text).digest(), np.uint8)
    np.savez(file, np.frombuffer(text, np.uint8), *arrays, sha256=digest)  # named arr_0, arr_1, ...


def _read(file: BinaryFile) -> dict[str, Any]:
    with np.load(file) as entries:

        def reference_to_array(value: dict[str, Any]) -> Any:
            if value.keys() != {"array", "dtype", "shape"}:
                return value
            array = entries[f"arr_{value['array']}"].view(jnp.dtype(value["dtype"]))
            return array.reshape(value["shape"])

        text = bytes(entries["arr_0"])
        if hashlib.sha256(text).digest() != bytes(entries["sha256"]):
            raise ValueError("it was changed")
        return json.loads(text, object_hook=reference_to_array)


def _reason(error: Exception) -> str:
    told = error.strerror if isinstance(error, OSError) else str(error)
    return " ".join((told or type(error).__name__).split())[:200]
