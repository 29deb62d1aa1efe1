"""Compare the matting energy and its gradient with pymatting's sparse matrix."""

import argparse
import importlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from bench import memory, timing, work
from bench.child import call
from bench.markdown import table as markdown
from jaxstyle.errors import UsageError
from jaxstyle.losses import matting

HELP = (
    "The photorealism loss, computed per window, against pymatting's sparse matrix: time to prepare"
    " it once per photo, time per step, and memory."
)

SIZES = ((256, 256), (512, 512), (525, 700))
"""Height and width; the last is the size of the largest picture of Deep Photo."""

Row = dict[str, Any]
Picture = Float[np.ndarray, "h w 3"]
Gradient = Callable[[], tuple[float, Any]]
"""Computes the energy and its gradient, and blocks until they are ready."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--rounds", type=int, default=15, help="timings of each (default: 15)")


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """Measure every size; return one row for each."""
    pymatting()
    sizes, rounds = (((24, 32),), 2) if arguments.quick else (SIZES, arguments.rounds)
    return [row(height, width, rounds, show) for height, width in sizes]


def row(height: int, width: int, rounds: int, show: Callable[[str], None]) -> Row:
    """Time both ways at one size in alternation, and measure the memory of each in a process."""
    show(f"{width} x {height}")
    photo, image = (work.picture(seed, height, width) for seed in range(2))
    start = time.perf_counter()
    jax.jit(energy_and_gradient).lower(jnp.asarray(image), matting.target(photo)).compile()
    compiling = time.perf_counter() - start
    preparing = {name: partial(way, photo, image) for name, way in WAYS.items()}
    prepared = timing.interleaved(preparing, max(1, rounds // 5))
    calls = {name: prepare() for name, prepare in preparing.items()}
    seconds = timing.interleaved(calls, rounds, show=show)
    values = [float(call()[0]) for call in calls.values()]
    found: Row = {"height": height, "width": width, "compile_s": compiling}
    for name in WAYS:
        spread = timing.spread(seconds[name])
        found |= {f"{name}_{key}": 1000 * spread[key] for key in ("median", "low", "high")}
        found[f"{name}_prepare"] = 1000 * timing.spread(prepared[name])["median"]
        elsewhere = {"JAX_PLATFORMS": "cpu"} if name == "matrix" else {}
        found[f"{name}_bytes"] = call(
            "bench.matting:peak", elsewhere, way=name, height=height, width=width
        )
    ratio = found["matrix_median"] / found["windows_median"]
    return found | {"ratio": ratio, "apart": abs(values[0] / values[1] - 1)}


def energy_and_gradient(
    image: jax.Array, local: matting.LocalColors
) -> tuple[jax.Array, jax.Array]:
    """Compute the matting energy of an image and its gradient by the image, as a step does.

    Args:
      image: height x width x 3.
      local: what ``matting.target`` keeps of the photo.
    """
    return jax.value_and_grad(matting.energy)(image, local)


def by_windows(photo: Picture, image: Picture) -> Gradient:
    """Prepare jaxstyle's computation; the returned function compiles at its first call."""
    local, on_device = matting.target(photo), jnp.asarray(image)
    compiled = jax.jit(energy_and_gradient)
    jax.block_until_ready(local)
    return lambda: jax.block_until_ready(compiled(on_device, local))


def by_matrix(photo: Picture, image: Picture) -> Gradient:
    """Prepare pymatting's sparse matrix; it is in float64."""
    laplacian = pymatting().cf_laplacian(photo.astype(np.float64))
    flat = image.reshape(-1, 3).astype(np.float64)

    def by_product() -> tuple[float, np.ndarray]:
        product = laplacian @ flat
        return float(np.vdot(flat, product)), 2 * product

    return by_product


WAYS: dict[str, Callable[[Picture, Picture], Gradient]] = {
    "windows": by_windows,
    "matrix": by_matrix,
}


def pymatting() -> Any:
    """Import pymatting and return the module.

    Raises:
      UsageError: it is not installed.
    """
    try:
        return importlib.import_module("pymatting")
    except ModuleNotFoundError as error:
        if error.name != "pymatting":
            raise
        raise UsageError("matting needs pymatting: pip install 'jaxstyle[bench]'") from error


def peak(way: str, height: int, width: int) -> int | None:
    """Return the peak memory in bytes of preparing and using a way, None if it is unknown.

    It is prepared and used once before, so that compiling is not counted.
    """
    photo, image = (work.picture(seed, height, width) for seed in range(2))
    WAYS[way](photo, image)()
    begin = memory.settled_bytes()
    WAYS[way](photo, image)()
    most = memory.peak_in_use()
    if begin is None or most is None:
        return None
    return most if jax.default_backend() != "cpu" else most - begin


COLUMNS = {
    "size": "size",
    "compile_s": "compile s",
    "windows_prepare": "prepare photo, ms",
    "matrix_prepare": "matrix: build, ms",
    "windows_median": "energy and gradient, ms",
    "matrix_median": "matrix: energy and gradient, ms",
    "ratio": "speedup",
    "windows_mb": "peak MB",
    "matrix_mb": "matrix: peak MB",
    "apart": "relative difference of energies",
}


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    return markdown([each | shown(each) for each in rows], COLUMNS)


def shown(of: Row) -> Row:
    """Return cells to display: the size as one, and bytes as megabytes."""
    sizes = {f"{name}_mb": of[f"{name}_bytes"] for name in WAYS}
    megabytes = {key: size / 1e6 for key, size in sizes.items() if size is not None}
    return {"size": f"{of['width']} x {of['height']}", **megabytes}
