"""The state of a batch while it runs, its loss records, and conversion to and from a checkpoint."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxstyle.batch import program
from jaxstyle.batch.cells import Cell
from jaxstyle.execution.compilation import Compilations
from jaxstyle.execution.pyramid import Scale
from jaxstyle.optim.solve import Losses, State
from jaxstyle.runs.result import ScaleReport
from jaxstyle.settings import Settings

RunCheckpoint = dict[str, Any]
"""All that a batch needs to be resumed: plain numbers, text and arrays by name."""


@dataclass(frozen=True)
class Reached:
    """The state of a batch after some steps of a scale.

    Attributes:
      step: steps taken at this scale.
      seconds: time spent on them, without compilation.
      state: stacked states of the pictures.
      finite: for each picture, whether all its losses so far were finite.
      losses: losses before the last step, on the host; None before the first step.
    """

    step: int
    seconds: float
    state: State
    finite: np.ndarray
    losses: Losses | None = None


@dataclass
class Record:
    """Loss records and timings of a batch, as its results report them.

    Attributes:
      losses: loss records of each cell, in order.
      scales: reports of the finished scales.
    """

    losses: list[list[dict[str, Any]]]
    scales: list[ScaleReport]


def saved_of(scale: int, reached: Reached, record: Record) -> RunCheckpoint:
    """Return a checkpoint of a batch, copied to the host.

    Args:
      scale: index of the current scale.
      reached: the current state.
      record: what was recorded so far.
    """
    leaves = jax.device_get(jax.tree.leaves(reached.state))
    contents = {"losses": record.losses, "scales": [asdict(report) for report in record.scales]}
    return {
        "scale": scale,
        "step": reached.step,
        "seconds": reached.seconds,
        "finite": reached.finite,
        "state": {f"{index}": leaf for index, leaf in enumerate(leaves)},
        "record": json.dumps(contents),
    }


def record_of(saved: RunCheckpoint) -> Record:
    """Return the record stored in a checkpoint."""
    contents = json.loads(saved["record"])
    return Record(contents["losses"], [ScaleReport(**report) for report in contents["scales"]])


def restored(saved: RunCheckpoint, blank: State, mesh: Mesh | None) -> Reached:
    """Return the state stored in a checkpoint, on the devices.

    Args:
      saved: the checkpoint.
      blank: a state of the same tree structure; its leaves may be ``jax.ShapeDtypeStruct``.
      mesh: devices to shard the pictures over.
    """
    leaves = [saved["state"][f"{index}"] for index in range(len(saved["state"]))]
    state = jax.tree.unflatten(jax.tree.structure(blank), map(jnp.array, leaves))
    state = program.spread(state, mesh)
    return Reached(saved["step"], saved["seconds"], state, np.asarray(saved["finite"]))


def totals_of(reached: Reached) -> np.ndarray:
    """Return the total loss of each picture before the last step."""
    assert reached.losses is not None
    return np.asarray(reached.losses.total)


def note_losses(
    record: Record, cells: Sequence[Cell], scale: int, reached: Reached, learning_rates: np.ndarray
) -> None:
    """Append a loss record for each picture, with the terms of its own layers only.

    The format is that of ``result.loss_record``.

    Args:
      record: the record to append to.
      cells: the pictures.
      scale: index of the current scale.
      reached: the current state.
      learning_rates: learning rate of each picture.
    """
    assert reached.losses is not None
    for index, (cell, records) in enumerate(zip(cells, record.losses, strict=True)):
        own = terms_of(cell.settings)
        records.append(
            {
                "scale": scale,
                "step": reached.step,
                "total": float(reached.losses.total[index]),
                "terms": {k: float(v[index]) for k, v in reached.losses.terms.items() if k in own},
                "learning_rate": float(learning_rates[index]),
            }
        )


def terms_of(settings: Settings) -> set[str]:
    """Return the names of the loss terms that these settings use."""
    content, style = settings.content_weights(), settings.style_weights()
    return {
        "tv",
        *(f"content/{layer}" for layer in content),
        *(f"style/{layer}" for layer in style),
    }


def report_of(scale: Scale, compiled: Compilations, last: Reached) -> ScaleReport:
    """Return the report of a finished scale, for all pictures together."""
    compilations = sum(compiled.programs[name] for name in program.PROGRAMS)
    sides = scale.height, scale.width
    return ScaleReport(*sides, scale.steps, compiled.seconds, last.seconds, compilations)
