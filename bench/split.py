"""One picture split over the devices at hand, beside one device that has all of it: memory of each
device as XLA accounts for it, and how far apart a step's results are.

Computers without several accelerators have as many devices as they are told to have:

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

HELP = "One picture split over all devices against one device that has all of it."

Row = dict[str, Any]

SIZES = (512, 1024, 2048)
COMPARED = 512
"""Longest side up to which a step is taken both ways."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this command takes beside what all do."""
    parser.add_argument("--size", type=int, action="append", help=f"default: {SIZES}")


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """A row for each size.

    Raises:
      UsageError: there is one device.
    """
    if jax.device_count() == 1:
        raise UsageError("split needs several devices: see python -m bench split --help")
    loaded = work.weights_of(arguments, show)
    return [
        row(loaded, size, show) for size in arguments.size or ([64] if arguments.quick else SIZES)
    ]


def row(loaded: Any, size: int, show: Callable[[str], None]) -> Row:
    """Both ways at one size, by the compiler's own convolutions in float32."""
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
    """How far a step's loss and image are from those of one device."""
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
    "whole_bytes": "one device MB",
    "split_bytes": "each of them MB",
    "share": "share",
    "loss_apart": "losses apart",
    "image_apart": "pixels apart after a step",
}


def table(rows: list[Row]) -> str:
    """Markdown, in megabytes."""
    shown = [
        row | {name: row[name] / 1e6 for name in ("whole_bytes", "split_bytes")} for row in rows
    ]
    return markdown(shown, COLUMNS)
