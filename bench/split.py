"""Compare a picture split over all devices with the whole picture on one device.

Measures the memory per device, as XLA predicts it, and the difference of the results of a step.

Without several accelerators, let JAX simulate devices on the CPU:

    XLA_FLAGS=--xla_force_host_platform_device_count=4 python -m bench split
"""

import argparse
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from bench import work
from bench.markdown import table as markdown
from jaxstyle.errors import UsageError
from jaxstyle.execution.factories import network_of, optimizer_of, rates_of
from jaxstyle.execution.inputs import inputs_of
from jaxstyle.execution.memory import network_bytes
from jaxstyle.execution.plan import Scale, blank
from jaxstyle.execution.sharded import Sharded
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.network.vgg import VGG19
from jaxstyle.settings import Settings, resolve

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
    network, scale = network_of(loaded, settings), Scale(size, size, size, 1)
    used = network_bytes(network, settings)
    whole, split = (
        strategy.footprint(scale, network, [blank(size, size)], settings).steps + used
        for strategy in (WHOLE, Sharded())
    )
    found = {"size": size, "devices": jax.device_count()}
    found |= {"whole_bytes": whole, "split_bytes": split, "share": split / whole}
    return found | (compared(network, settings, scale) if size <= COMPARED else {})


def compared(network: VGG19, settings: Settings, scale: Scale) -> Row:
    """Return the differences of loss and image after one step, split and whole."""
    content, style = work.picture(0, *scale[:2]), work.picture(1, *scale[:2])
    inputs = inputs_of(network, content, [style], settings)
    optimizer, rates, after = optimizer_of(settings), rates_of(settings), []
    for strategy in (WHOLE, Sharded()):
        program = strategy.program(optimizer, inputs.precision)
        state = strategy.begin([content], optimizer)
        state, losses = program(strategy.objective([inputs]), rates, state, 1)
        after.append((float(losses.total), *strategy.images(state, scale, [False])))
    (whole, image), (split, other) = after
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
