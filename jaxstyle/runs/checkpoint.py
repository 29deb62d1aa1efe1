"""Checkpoints: a tree of values and arrays on disk, whole or not at all, byte for byte."""

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
    """Keep a tree of dicts and lists of plain values and arrays, in place of the one before.

    Whatever the moment at which the process is killed, ``load`` gives one or the other.

    Raises:
      CheckpointError: it cannot be written; the one before is still there.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _sweep(directory)
        before = _whole(directory)
        number = _number(before[-1]) + 1 if before else 1
        # No other process that is at it here has the same name.
        path = directory.absolute() / f"{number}-{secrets.token_hex(4)}"
        with _quiet_orbax() as (checkpointer, arguments):
            checkpointer.save(path, args=arguments(tree))
    except Exception as error:
        _sweep(directory)
        raise CheckpointError(f"{directory}: cannot be written: {_reason(error)}") from error
    for path in before:
        _discard(path)


def load(directory: Path) -> dict[str, Any] | None:
    """The tree that was kept, or None where there is none; its arrays are NumPy's.

    Raises:
      CheckpointError: it is damaged.
    """
    while whole := _whole(directory):
        try:
            with _quiet_orbax() as (checkpointer, arguments):
                return checkpointer.restore(whole[-1].absolute(), args=arguments())
        except Exception as error:
            if whole[-1].exists():  # no other process has put another one in its place
                raise CheckpointError(
                    f"{directory}: the checkpoint is damaged ({_reason(error)}): delete it, or run "
                    "without --resume"
                ) from error
    return None


def delete(directory: Path) -> None:
    """Delete what ``save`` kept, and its directory if there is nothing else in it."""
    for path in _whole(directory):
        _discard(path)
    _sweep(directory)
    with contextlib.suppress(OSError):
        directory.rmdir()


def _whole(directory: Path) -> list[Path]:
    """Checkpoints from the oldest to the newest: Orbax renames a folder once it is complete."""
    found = directory.iterdir() if directory.is_dir() else ()
    return sorted((path for path in found if _NAME.fullmatch(path.name)), key=_number)


_NAME = re.compile(r"\d+-[0-9a-f]+")


def _number(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _discard(path: Path) -> None:
    """Renamed before it is deleted: half of a checkpoint never has the name of a whole one."""
    with contextlib.suppress(OSError):
        shutil.rmtree(path.rename(path.with_name(f"{path.name}.old")), ignore_errors=True)


def _sweep(directory: Path) -> None:
    """Delete what a process that was killed had not finished writing, or deleting."""
    for path in list(directory.iterdir()) if directory.is_dir() else ():
        if _NAME.match(path.name) and "." in path.name:
            _discard(path)


def _reason(error: Exception) -> str:
    told = error.strerror if isinstance(error, OSError) else str(error)
    return " ".join((told or type(error).__name__).split())[:200]


# --- Orbax ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[tuple[Any, Callable[..., Any]]]:
    """What ``_orbax`` gives; its warnings and logs go nowhere, as what matters is an exception."""
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
    """A checkpointer of trees as they are here, and what makes its arguments.

    Of many processes, each keeps what is its own and waits for no other. Orbax' own handlers write
    NumPy arrays in the first process alone, and no JAX array that is one process's own.
    """
    import orbax.checkpoint as ocp  # seldom needed, and slow to import

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
    """The tree as JSON and the bytes of its arrays, each with a checksum, in one file."""
    arrays: list[np.ndarray] = []

    def lifted(value: Any) -> dict[str, Any]:
        array = np.asarray(value)
        arrays.append(np.ravel(array).view(np.uint8))
        return {"array": len(arrays), "dtype": str(array.dtype), "shape": array.shape}

    text = json.dumps(dict(tree), default=lifted).encode()
    with open(path, "xb") as file:
        np.savez(file, np.frombuffer(text, np.uint8), *arrays)  # named arr_0, arr_1, ...
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file, np.load(file) as entries:

        def lowered(value: dict[str, Any]) -> Any:
            if value.keys() != {"array", "dtype", "shape"}:
                return value
            array = entries[f"arr_{value['array']}"].view(jnp.dtype(value["dtype"]))
            return array.reshape(value["shape"])

        return json.loads(bytes(entries["arr_0"]), object_hook=lowered)
