"""A batch at one of its reports: what is told of it afterwards, and what it needs to go on."""

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
"""All that a batch needs to go on from where it was: plain numbers, text and arrays by name."""


@dataclass(frozen=True)
class Reached:
    """What was reached after some steps of a scale. seconds: running, without compiling.

    finite: whether each picture's losses were, all along. losses: of the last step, on the host.
    """

    step: int
    seconds: float
    state: State
    finite: np.ndarray
    losses: Losses | None = None


@dataclass
class Record:
    """What is told of a batch afterwards: the losses of each cell, and what each scale took."""

    losses: list[list[dict[str, Any]]]
    scales: list[ScaleReport]


def saved_of(scale: int, reached: Reached, record: Record) -> RunCheckpoint:
    """All of it on the host."""
    leaves = jax.device_get(jax.tree.leaves(reached.state))
    told = {"losses": record.losses, "scales": [asdict(report) for report in record.scales]}
    return {
        "scale": scale,
        "step": reached.step,
        "seconds": reached.seconds,
        "finite": reached.finite,
        "state": {f"{index}": leaf for index, leaf in enumerate(leaves)},
        "record": json.dumps(told),
    }


def record_of(saved: RunCheckpoint) -> Record:
    """What was told before."""
    told = json.loads(saved["record"])
    return Record(told["losses"], [ScaleReport(**report) for report in told["scales"]])


def restored(saved: RunCheckpoint, blank: State, mesh: Mesh | None) -> Reached:
    """Where a batch was, on the devices again; ``blank`` has the shapes."""
    leaves = [saved["state"][f"{index}"] for index in range(len(saved["state"]))]
    state = jax.tree.unflatten(jax.tree.structure(blank), map(jnp.array, leaves))
    state = program.spread(state, mesh)
    return Reached(saved["step"], saved["seconds"], state, np.asarray(saved["finite"]))


def totals_of(reached: Reached) -> np.ndarray:
    """The loss of each picture, before the last step."""
    assert reached.losses is not None
    return np.asarray(reached.losses.total)


def note_losses(
    record: Record, cells: Sequence[Cell], scale: int, reached: Reached, learning_rates: np.ndarray
) -> None:
    """One more line of each picture's loss trace: as ``result.loss_record``, of its own layers."""
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
    """The names of the terms of an objective."""
    content, style = settings.content_weights(), settings.style_weights()
    return {
        "tv",
        *(f"content/{layer}" for layer in content),
        *(f"style/{layer}" for layer in style),
    }


def report_of(scale: Scale, compiled: Compilations, last: Reached) -> ScaleReport:
    """What one scale took, all pictures together."""
    compilations = sum(compiled.programs[name] for name in program.PROGRAMS)
    sides = scale.height, scale.width
    return ScaleReport(*sides, scale.steps, compiled.seconds, last.seconds, compilations)
