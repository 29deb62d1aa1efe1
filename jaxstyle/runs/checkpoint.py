"""Atomic checkpoints: save and load a tree of plain values and arrays, bit for bit."""

import contextlib
import functools
import json
import logging
import os
import re
import secrets
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.errors import CheckpointError


def save(directory: Path, tree: Mapping[str, Any]) -> None:
    """Save a tree, replacing the previous checkpoint of the directory atomically.

    If the process is killed at any moment, ``load`` returns either the old tree or the new one.

    Args:
      directory: where checkpoints are kept; created if it does not exist.
      tree: nested dicts and lists of plain JSON values and arrays.

    Raises:
      CheckpointError: it cannot be written; the previous checkpoint is still there.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _sweep(directory)
        before = _whole(directory)
        number = _number(before[-1]) + 1 if before else 1
        # A random suffix, so that processes saving to the same directory never share a name.
        path = directory.absolute() / f"{number}-{secrets.token_hex(4)}"
        with _quiet_orbax() as (checkpointer, arguments):
            checkpointer.save(path, args=arguments(tree))
    except Exception as error:
        _sweep(directory)
        raise CheckpointError(f"{directory}: cannot be written: {_reason(error)}") from error
    for path in before:
        _discard(path)


def load(directory: Path) -> dict[str, Any] | None:
    """Return the newest saved tree, with NumPy arrays, or None if there is no checkpoint.

    Raises:
      CheckpointError: the checkpoint is damaged.
    """
    while whole := _whole(directory):
        try:
            with _quiet_orbax() as (checkpointer, arguments):
                return checkpointer.restore(whole[-1].absolute(), args=arguments())
        except Exception as error:
            if whole[-1].exists():  # otherwise another process has just replaced it: try again
                raise CheckpointError(
                    f"{directory}: the checkpoint is damaged ({_reason(error)}): delete it, or run "
                    "without --resume"
                ) from error
    return None


def delete(directory: Path) -> None:
    """Delete all checkpoints in the directory, and the directory too if it is then empty."""
    for path in _whole(directory):
        _discard(path)
    _sweep(directory)
    with contextlib.suppress(OSError):
        directory.rmdir()


def _whole(directory: Path) -> list[Path]:
    """Return the complete checkpoints, oldest first.

    Orbax gives a folder its final name only once it is complete.
    """
    found = directory.iterdir() if directory.is_dir() else ()
    return sorted((path for path in found if _NAME.fullmatch(path.name)), key=_number)


_NAME = re.compile(r"\d+-[0-9a-f]+")


def _number(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _discard(path: Path) -> None:
    """Delete a checkpoint. It is renamed first, so a half-deleted one never looks complete."""
    with contextlib.suppress(OSError):
        shutil.rmtree(path.rename(path.with_name(f"{path.name}.old")), ignore_errors=True)


def _sweep(directory: Path) -> None:
    """Delete folders that a killed process left half written or half deleted."""
    for path in list(directory.iterdir()) if directory.is_dir() else ():
        if _NAME.match(path.name) and "." in path.name:
            _discard(path)


def _reason(error: Exception) -> str:
    told = error.strerror if isinstance(error, OSError) else str(error)
    return " ".join((told or type(error).__name__).split())[:200]


# --- Orbax ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[tuple[Any, Callable[..., Any]]]:
    """Yield the result of ``_orbax`` with warnings and logs silenced: errors are exceptions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        orbax = _orbax()
        log = logging.getLogger("absl")
        level = log.level
        log.setLevel(logging.CRITICAL)
        try:
            yield orbax
        finally:
            log.setLevel(level)


@functools.cache
def _orbax() -> tuple[Any, Callable[..., Any]]:
    """Return an Orbax checkpointer of trees, and the constructor of its arguments.

    It has a handler of its own because each of several processes saves its own checkpoint without
    waiting for the others: Orbax' handlers write NumPy arrays in the first process only, and refuse
    JAX arrays that are local to one process.
    """
    import orbax.checkpoint as ocp  # slow to import, and rarely needed

    class Tree(ocp.CheckpointHandler):
        def save(self, directory: os.PathLike, args: Any) -> None:
            _write(Path(directory) / _FILE, args.tree)

        def restore(self, directory: os.PathLike, args: Any) -> dict[str, Any]:
            return _read(Path(directory) / _FILE)

    @ocp.args.register_with_handler(Tree, for_save=True, for_restore=True)
    @dataclass
    class Arguments(ocp.args.CheckpointArgs):
        tree: Mapping[str, Any] | None = None

    alone = ocp.options.MultiprocessingOptions(
        primary_host=None, active_processes={jax.process_index()}
    )
    return ocp.Checkpointer(Tree(), multiprocessing_options=alone), Arguments


_FILE = "tree.npz"


def _write(path: Path, tree: Mapping[str, Any]) -> None:
    """Write the tree to one .npz file: JSON, and each array as bytes (zip adds checksums)."""
    arrays: list[np.ndarray] = []

    def array_to_reference(value: Any) -> dict[str, Any]:
        array = np.asarray(value)
        arrays.append(np.ravel(array).view(np.uint8))
        return {"array": len(arrays), "dtype": str(array.dtype), "shape": array.shape}

    text = json.dumps(dict(tree), default=array_to_reference).encode()
    with open(path, "xb") as file:
        np.savez(file, np.frombuffer(text, np.uint8), *arrays)  # named arr_0, arr_1, ...
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file, np.load(file) as entries:

        def reference_to_array(value: dict[str, Any]) -> Any:
            if value.keys() != {"array", "dtype", "shape"}:
                return value
            array = entries[f"arr_{value['array']}"].view(jnp.dtype(value["dtype"]))
            return array.reshape(value["shape"])

        return json.loads(bytes(entries["arr_0"]), object_hook=reference_to_array)
