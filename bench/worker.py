"""Measurements of ``bench.compile``, each of which runs in a new process (see ``bench.child``).

New processes are needed because compiled programs are cached within a process. Import time is
measured too, so this module imports nothing that imports jax before a measurement begins.
"""

import sys
import time
from argparse import Namespace
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

Row = dict[str, Any]

SPANS = ("prepare", "trace", "lower", "compile", "first_step")
"""The timed stages of ``stages``, in order."""


def imports() -> Row:
    """Return the seconds to import jax, and then jaxstyle."""
    start = time.perf_counter()
    import jax  # noqa: F401

    between = time.perf_counter()
    import jaxstyle  # noqa: F401

    return {"jax": between - start, "jaxstyle": time.perf_counter() - between}


def stages(*, sizes: list[int], cache: str, steps: int, **options: Any) -> list[Row]:
    """Time the stages up to the first step, and a later step.

    Args:
      sizes: sizes of the pictures.
      cache: folder of the persistent compilation cache.
      steps: timings of a later step, of which the median is taken.
      **options: "quick", "weights" and "settings".

    Returns:
      One row per size, with the seconds of every stage in ``SPANS`` and of a later step. "prepare"
      is everything before the solver: preparing the network, compiling and computing targets.
    """
    import jax

    from bench import timing, work
    from jaxstyle.execution import compilation
    from jaxstyle.execution.factories import report_every
    from jaxstyle.machine import host

    host.keep_memory()
    compilation.persist(Path(cache))
    loaded, rows = _weights(options), []
    for size in sizes:
        clock = [time.perf_counter()]
        problem = work.problem(loaded, size, size, **options["settings"])
        arguments = problem.objective, problem.rates, problem.state
        clock.append(time.perf_counter())
        traced = problem.program.traced(*arguments)
        clock.append(time.perf_counter())
        lowered = traced.lower()
        clock.append(time.perf_counter())
        lowered.compile()
        clock.append(time.perf_counter())
        first = jax.block_until_ready(problem.program(*arguments, 1))
        clock.append(time.perf_counter())
        spans = [after - before for before, after in pairwise(clock)]
        chunk = report_every(problem.settings)
        many = work.stepping(replace(problem, state=first[0]), chunk)
        later = timing.interleaved({"": many}, steps)[""]
        row = {"size": size, **dict(zip(SPANS, spans, strict=True))}
        rows.append(row | {"step": timing.spread(later)["median"] / chunk})
    return rows


def start(*, size: int, cache: str, began: float, **options: Any) -> Row:
    """Time a run up to its first step.

    Args:
      size: size of the pictures.
      cache: folder of the persistent compilation cache.
      began: time (``time.time()``) at which the process was started.
      **options: "quick", "weights" and "settings".

    Returns:
      The seconds since import until the weights are read ("weights") and until the first step is
      reported ("first_step"), and the latter since ``began`` ("from_process_start").
    """
    from bench import work
    from jaxstyle import settings
    from jaxstyle.execution import compilation
    from jaxstyle.images import Picture
    from jaxstyle.machine import host
    from jaxstyle.runs.inputs import Inputs
    from jaxstyle.runs.optimize import Hooks
    from jaxstyle.runs.stylize import run

    begin = time.perf_counter()
    host.keep_memory()
    compilation.persist(Path(cache))
    loaded = _weights(options)
    reached = {"weights": time.perf_counter() - begin}
    chosen = settings.resolve(
        **options["settings"], size=size, smallest_size=settings.ONE_SCALE, steps=1
    )
    content, style = work.picture(0, size, size), work.picture(1, size, size)

    def note(*_: Any) -> None:
        reached["first_step"] = time.perf_counter() - begin
        reached["from_process_start"] = time.time() - began

    run(loaded, Inputs(Picture(content), [style], chosen), Hooks(note, every=1))
    return reached


def eager(*, size: int, rounds: int, **options: Any) -> Row:
    """Time steps that are executed operation by operation, not compiled as a whole.

    Args:
      size: size of the pictures.
      rounds: number of later steps, of which the median is taken.
      **options: "quick", "weights" and "settings".

    Returns:
      The seconds of the first step, in which every operation is compiled, and of a later one.
    """
    import jax

    from bench import timing, work
    from jaxstyle.machine import host
    from jaxstyle.optim import solve

    host.keep_memory()
    problem = work.problem(_weights(options), size, size, **options["settings"])
    # With XLA's own convolutions: Winograd's is dozens of operations, fast only when compiled.
    plain = replace(problem.objective, network=problem.objective.network.direct())
    state, optimizer = problem.state, problem.program.optimizer

    def step() -> None:
        nonlocal state
        state, _ = solve.step(plain, problem.rates, state, optimizer=optimizer)
        jax.block_until_ready(state)

    first, *later = timing.interleaved({"": step}, 1 + rounds, warmup=0)[""]
    return {"size": size, "first_step": first, "step": timing.spread(later)["median"]}


def counts(*, size: int, smallest_size: int, **options: Any) -> list[Row]:
    """Count how often the solver is compiled in a run, and in further runs with other values."""
    from bench import work
    from jaxstyle.execution.compilation import counted
    from jaxstyle.images import Picture
    from jaxstyle.runs.inputs import Inputs
    from jaxstyle.runs.stylize import run
    from jaxstyle.settings import resolve

    base = {"size": size, "smallest_size": smallest_size, "steps": 2, "init_noise": 0.1}
    changes: dict[str, dict[str, Any]] = {
        "a whole run": {},
        "the same again": {},
        "other loss weights": {"content_weight": 2.0, "style_weight": 3.0, "tv_weight": 1.0},
        "other steps": {"steps": 3},
        "another learning rate": {"learning_rate": 0.01},
        "another seed": {"seed": 1},
        "other pictures": {},
    }
    loaded, rows = _weights(options), []
    for name, change in changes.items():
        seed = 2 if name == "other pictures" else 0
        content, style = (work.picture(seed + i, size, size) for i in (0, 1))
        settings = resolve(**{**options["settings"], **base, **change})
        with counted() as compiled:
            result = run(loaded, Inputs(Picture(content), [style], settings))
        solver = sum(scale.compilations for scale in result.scales)
        expected = len(result.scales) if name == "a whole run" else 0
        other = compiled.count - solver
        rows.append({"run": name, "solver": solver, "expected": expected, "other": other})
    return rows


def _weights(options: dict[str, Any]) -> Any:
    from bench.work import weights_of

    arguments = Namespace(quick=options["quick"], weights=options["weights"])
    return weights_of(arguments, lambda line: print(line, file=sys.stderr))
