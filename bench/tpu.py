"""Predict memory and speed on TPUs by compiling the step with the TPU compiler; no TPU is needed.

Nothing here is measured. Memory is the compiler's own analysis. Times are computed in two ways:
from the chips' published peaks (a roofline, the best this program could do) and from the compiler's
cost model.
"""

import argparse
import importlib.util
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from bench import work
from bench.child import call
from bench.markdown import table as markdown
from bench.traffic import hbm_bytes
from convert_weights.weights_file import Convolution
from jaxstyle.errors import UsageError
from jaxstyle.execution import batched, sharded
from jaxstyle.execution.arithmetic import step_flops
from jaxstyle.execution.batched import Batched
from jaxstyle.execution.factories import matmul_precision, optimizer_of, rates_of, tuned_network
from jaxstyle.execution.inputs import inputs_of
from jaxstyle.execution.memory import peak_bytes
from jaxstyle.execution.plan import Scale, blank, plan
from jaxstyle.execution.sharded import Sharded, replicated
from jaxstyle.execution.strategy import WHOLE, Strategy
from jaxstyle.network import vgg
from jaxstyle.network.weights import Loaded
from jaxstyle.optim import solve
from jaxstyle.settings import Settings, resolve

HELP = "Memory and speed on TPU v5e and v6e as predicted by the TPU compiler; needs no TPU."

Row = dict[str, Any]


@dataclass(frozen=True)
class Chip:
    """A TPU generation.

    Attributes:
      accelerator: its name in the environment variable TPU_ACCELERATOR_TYPE.
      flops: peak FLOP/s in bfloat16.
      hbm: bytes of HBM.
      bandwidth: bytes/s of HBM.
      clock: Hz, computed as the peak over the FLOPs per cycle of four matrix units of 128 x 128 or
        256 x 256.
    """

    accelerator: str
    flops: float
    hbm: float
    bandwidth: float
    clock: float


# Published: https://cloud.google.com/tpu/docs/v6e has both in one table.
CHIPS = {
    "v5e": Chip("v5litepod", 197e12, 16e9, 819e9, 197e12 / (2 * 4 * 128**2)),
    "v6e": Chip("v6e", 918e12, 32e9, 1640e9, 918e12 / (2 * 4 * 256**2)),
}

EXCHANGES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")

TOPOLOGIES = ("v5e:2x4", "v6e:2x4")
CASES = ((512, 1, False), (512, 16, False), (1024, 1, False), (4096, 1, True), (8192, 1, True))
"""Size, number of images, and whether one image is split over all chips. If not, one image is on
one chip, and several are distributed over all chips of the topology."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add(
        "--split",
        action="store_true",
        help="compile only one image split over all chips, the slowest cases to compile",
    )
    add(
        "--topology",
        action="append",
        metavar="v5e:2x4",
        help="chip and shape, may be repeated (default: v5e:2x4 and v6e:2x4)",
    )


def measure(arguments: argparse.Namespace, show: Callable[[str], None]) -> list[Row]:
    """Compile every case for every topology; return one row for each, with "error" if it failed.

    Raises:
      UsageError: the TPU compiler is not installed, or a topology is invalid.
    """
    if importlib.util.find_spec("libtpu") is None:
        raise UsageError("tpu needs the TPU compiler: pip install 'jaxstyle[tpu]'")
    topologies = arguments.topology or TOPOLOGIES[: 1 if arguments.quick else None]
    for topology in topologies:
        if not re.fullmatch(rf"({'|'.join(CHIPS)}):\d+(x\d+)*", topology):
            known = " or ".join(CHIPS)
            raise UsageError(f"--topology {topology}: must be {known} and a shape, as in v5e:2x4")
    jax.config.update("jax_platforms", "cpu")  # if libtpu is installed, JAX looks for a TPU
    rows = []
    for topology in topologies:
        cases = [(64, 4, False), (64, 1, True)] if arguments.quick else CASES
        for size, batch, split in cases:
            if arguments.split and not split:
                continue
            row = {"topology": topology, "size": size, "batch": batch, "split": split}
            how = ", split" if split else ""
            show(f"{topology}, {size}x{size}, batch {batch}{how}: compiling, which takes minutes")
            try:
                row |= call("bench.tpu:compiled", environment(topology), **row, few=arguments.quick)
            except RuntimeError as error:
                row["error"] = str(error)
            rows.append(row)
    return rows


def environment(topology: str) -> dict[str, str]:
    """Return the environment variables that keep the TPU compiler from looking for a TPU."""
    generation, _, sides = topology.partition(":")
    chips = math.prod(map(int, sides.split("x")))
    return {
        "JAX_PLATFORMS": "cpu",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_ACCELERATOR_TYPE": f"{CHIPS[generation].accelerator}-{chips}",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_WORKER_ID": "0",
    }


def compiled(*, topology: str, size: int, batch: int, split: bool, few: bool) -> Row:
    """Compile one step in bfloat16 with Adam; return the compiler's analysis, per chip.

    Args:
      topology: chip and shape, such as "v5e:2x4".
      size: size of the square images.
      batch: number of images.
      split: split one image over all chips.
      few: use a network of few channels, for a trial.
    """
    from jax.experimental import topologies

    chip = CHIPS[topology.partition(":")[0]]
    devices = topologies.get_topology_desc(topology, platform="tpu").devices
    devices = devices[: 1 if batch == 1 and not split else None]
    settings = resolve(size=size, precision="bfloat16")
    loaded = work.few_channels() if few else shapes_only()
    start = time.perf_counter()
    mesh = (sharded if split else batched).mesh_of(devices)
    strategy = Sharded(mesh) if split else Batched(batch, mesh) if batch > 1 else WHOLE
    step = lower(loaded, settings, strategy, mesh).compile()
    seconds = time.perf_counter() - start
    memory, text, share = step.memory_analysis(), step.as_text() or "", batch / len(devices)
    costs = step.cost_analysis()
    assert memory and costs  # the TPU compiler provides both
    channels = work.FEW_CHANNELS if few else vgg.CHANNELS_PER_BLOCK
    row = {
        "chips": len(devices),
        "compile_seconds": seconds,
        "arguments": memory.argument_size_in_bytes,
        "outputs": memory.output_size_in_bytes - memory.alias_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
        "code": memory.generated_code_size_in_bytes,
        "peak": peak_bytes(step) + memory.generated_code_size_in_bytes,
        "direct_flops": share * step_flops(size, size, settings, channels),
        "flops": costs["flops"],
        "bytes": costs["bytes accessed"],
        "hbm_bytes": hbm_bytes(text),
        "exchanges": gathered(text),
        "model_seconds": model_cycles(text) / chip.clock,
    }
    return row | computed(row, chip, share, full_size_steps(settings))


def computed(row: Mapping[str, Any], chip: Chip, images: float, steps: float) -> Row:
    """Compute seconds per step and images per second by the chip's peaks and by the cost model.

    Args:
      row: the compiler's analysis.
      chip: the chip.
      images: number of images per chip.
      steps: cost of a run of one image, in steps at the full size.
    """
    times = {"compute": row["flops"] / chip.flops, "memory": row["hbm_bytes"] / chip.bandwidth}
    bound = max(times, key=times.__getitem__)
    return {
        "hbm": chip.hbm,
        "share_of_hbm": row["peak"] / chip.hbm,
        "bound": bound,
        "roofline_seconds": times[bound],
        "roofline_images": images / (times[bound] * steps),
        "model_images": images / (row["model_seconds"] * steps) if row["model_seconds"] else None,
        "all_bytes_seconds": row["bytes"] / chip.bandwidth,
    }


def full_size_steps(settings: Settings) -> float:
    """Return the cost of a run in steps at the full size, if cost is proportional to pixels."""
    blank = np.broadcast_to(np.float32(0), (settings.size, settings.size, 3))
    scales = plan(blank, [blank], settings)
    full = scales[-1].height * scales[-1].width
    return sum(scale.steps * scale.height * scale.width for scale in scales) / full


def model_cycles(text: str) -> int:
    """Return the cycles of a compiled program: the sum of its instructions in the cost model."""
    entry = text[text.index("ENTRY ") :]
    return sum(map(int, re.findall(r'"estimated_cycles":"(\d+)"', entry)))


def shapes_only() -> Loaded:
    """Return weights of the real shapes that take no memory (broadcast zeros)."""
    few, fan_in, layers = work.few_channels(), 3, {}
    for name in vgg.CONVOLUTIONS:
        fan_out = vgg.CHANNELS_PER_BLOCK[int(name[4]) - 1]
        kernel = np.broadcast_to(np.float32(0), (3, 3, fan_in, fan_out))
        layers[name] = Convolution(kernel, np.zeros(fan_out, np.float32))
        fan_in = fan_out
    return replace(few, weights=replace(few.weights, layers=layers))


def lower(loaded: Loaded, settings: Settings, strategy: Strategy, mesh: Mesh) -> jax.stages.Lowered:
    """Lower the step of one image on one chip, of a batch, or of one image split over all chips.

    The network is replicated.

    Args:
      loaded: weights of the network.
      settings: settings of a run.
      strategy: ``WHOLE``, ``Batched`` or ``Sharded``.
      mesh: the chips.
    """
    size, optimizer = settings.size, optimizer_of(settings)
    photo = blank(size, size)

    def arguments() -> PyTree:
        inputs = inputs_of(tuned_network(loaded, settings), photo, [photo], settings)
        return WHOLE.build(inputs, photo, [photo], None), rates_of(settings)

    objective, rates = jax.eval_shape(arguments)
    state = strategy.state_shape(Scale(size, size, size, 1), optimizer)
    if isinstance(strategy, Sharded):
        objective, rates = sharded.spread(objective, (size, size), mesh), replicated(rates, mesh)
    elif isinstance(strategy, Batched):
        terms, rates = each_its_own((objective.terms, rates), strategy.count, mesh)
        objective = replace(replicated(replace(objective, terms={}), mesh), terms=terms)
    else:
        objective, rates, state = replicated((objective, rates, state), mesh)
    program = solve.Program(optimizer, strategy, matmul_precision(settings), loop=False)
    return program.traced(objective, rates, state).lower()


def each_its_own(tree: PyTree, batch: int, mesh: Mesh) -> PyTree:
    """Add a batch axis, sharded over the chips, to the shapes of a tree."""
    over = NamedSharding(mesh, PartitionSpec(batched.PICTURES))
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((batch, *x.shape), x.dtype, sharding=over), tree
    )


def gathered(text: str) -> int:
    """Return the number of instructions of a compiled program that exchange data between chips."""
    return len(re.findall(rf" (?:{'|'.join(EXCHANGES)})(?:-start)?\(", text))


COLUMNS = {
    "topology": "topology",
    "chips": "chips",
    "size": "size",
    "batch": "batch",
    "split": "split",
    "arguments": "arguments MB",
    "outputs": "outputs MB",
    "temporaries": "temporaries MB",
    "code": "code MB",
    "peak": "peak MB",
    "hbm": "HBM MB",
    "direct_flops": "direct convolutions GFLOP",
    "flops": "XLA count GFLOP",
    "bytes": "XLA count MB",
    "hbm_bytes": "HBM traffic MB",
    "exchanges": "collectives",
    "bound": "bound",
    "roofline_seconds": "roofline ms",
    "roofline_images": "images/s/chip by roofline",
    "model_seconds": "cost model ms",
    "model_images": "images/s/chip by cost model",
}


def table(rows: list[Row]) -> str:
    """Return a Markdown table of memory, arithmetic and predicted speed per chip and step."""
    shown = [{key: scaled(column, row.get(key)) for key, column in COLUMNS.items()} for row in rows]
    failed = [f"{row['topology']} {row['size']}: {row['error']}" for row in rows if "error" in row]
    title = (
        "Computed, not measured: one step in bfloat16 with Adam, per chip; images/s: complete runs"
        " with default settings"
    )
    return "\n\n".join([title, markdown(shown, COLUMNS), *failed])


def scaled(column: str, value: Any) -> Any:
    """Convert a value to the unit at the end of the column's heading."""
    units = {"MB": 1e-6, "GFLOP": 1e-9, "ms": 1e3}
    unit = units.get(column.rsplit(" ", 1)[-1])
    return value if unit is None or value is None else value * unit
