"""Compare a picture split over all devices with the whole picture on one device.

Measures the memory per device, as XLA predicts it, and the difference of the results of a step.

Without several accelerators, let JAX simulate devices on the CPU:

    XLA_FLAGS=--xla_force_host_platform_device_count=4 python -m bench split
"""

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench import work
from bench.markdown import table as markdown
from jaxstyle.errors import UsageError
from jaxstyle.execution import sharding
from jaxstyle.execution.factories import exactness, network_of, optimizer_of, rates_of
from jaxstyle.execution.footprint import Programs, compile_scale
from jaxstyle.execution.formulation import mesh_of_all, objective_of, program_of, state_shape
from jaxstyle.execution.memory import peak_bytes
from jaxstyle.execution.plan import blank
from jaxstyle.execution.pyramid import Scale
from jaxstyle.execution.strategy import WHOLE, Strategy
from jaxstyle.optim import solve
from jaxstyle.settings import resolve

HELP = "One picture split over all devices against the whole picture on one device."

Row = dict[str, Any]

SIZES = (512, 1024, 2048)
COMPARED = 512
"""Largest size at which the results of a step are compared."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "--size",
        type=int,
        action="append",
        help=f"size to measure, may be repeated (default: {', '.join(map(str, SIZES))})",
    )


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """Measure every size; return one row for each.

    Raises:
      UsageError: there is only one device.
    """
    if jax.device_count() == 1:
        raise UsageError(
            "split needs several devices; to simulate them on the CPU, set "
            "XLA_FLAGS=--xla_force_host_platform_device_count=4"
        )
    loaded = work.weights_of(arguments, show)
    return [
        row(loaded, size, show) for size in arguments.size or ([64] if arguments.quick else SIZES)
    ]


def row(loaded: Any, size: int, show: Callable[[str], None]) -> Row:
    """Compare both ways at one size, with XLA's own convolutions in float32."""
    show(f"{size}x{size}")
    settings = resolve(size=size, precision="float32")
    network, optimizer = network_of(loaded, settings), optimizer_of(settings)
    scale, styles = Scale(size, size, size, 1), [blank(size, size)]
    peaks = {}
    for name, way in (("whole", WHOLE), ("split", Strategy(split=True))):
        programs = compile_scale(scale, network, styles, settings, way=way)
        assert isinstance(programs, Programs)
        peaks[name] = peak_bytes(programs.step.compiled)
    found = {
        "size": size,
        "devices": jax.device_count(),
    }
    found |= {f"{name}_bytes": peak for name, peak in peaks.items()}
    found["share"] = peaks["split"] / peaks["whole"]
    return found | (compared(network, optimizer, settings, size) if size <= COMPARED else {})


def compared(network: Any, optimizer: Any, settings: Any, size: int) -> Row:
    """Return the differences of loss and image after one step, split and whole."""
    content, style = work.picture(0, size, size), work.picture(1, size, size)
    rates, after = rates_of(settings), {}
    for name, way in (("whole", WHOLE), ("split", Strategy(split=True))):
        with exactness(settings):
            scored = objective_of(network, content, [style], settings, way=way)
            shape = state_shape(Scale(size, size, size, 1), optimizer, way)
            step = program_of(scored, rates, shape, optimizer)
        mesh = mesh_of_all()
        state = (
            sharding.init(content, optimizer, mesh)
            if way.split
            else solve.init(jnp.asarray(content), optimizer)
        )
        state, losses = step(scored, rates, state, 1)
        after[name] = float(losses.total), np.asarray(solve.picture(state))
    (whole, image), (split, other) = after["whole"], after["split"]
    return {"loss_apart": abs(split / whole - 1), "image_apart": float(np.abs(other - image).max())}


COLUMNS = {
    "size": "size",
    "devices": "devices",
    "whole_bytes": "MB, whole on one device",
    "split_bytes": "MB per device, split",
    "share": "ratio",
    "loss_apart": "relative difference of losses",
    "image_apart": "largest difference of pixels after a step",
}


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table, in megabytes."""
    shown = [
        row | {name: row[name] / 1e6 for name in ("whole_bytes", "split_bytes")} for row in rows
    ]
    return markdown(shown, COLUMNS)
