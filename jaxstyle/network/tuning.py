"""Which convolution algorithm is the fastest on this machine: measured once, and remembered.

Not guessed from the name of the processor: on one the direct convolution wins at 64 channels and
loses at 512 by a factor of three, and where that turns depends on its caches.
"""

import json
import math
import os
import statistics
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxstyle.network import machine
from jaxstyle.network.convolution import ALGORITHMS, convolve, prepare
from jaxstyle.network.vgg import CHANNELS_PER_BLOCK, CONVOLUTIONS

NARROW = 64
"""With fewer channels than this, transforming them costs more than it saves."""

TUNED = ("auto", "float32")
"""Precisions in which there is a choice, on CPU; elsewhere, and in others, it is the compiler's."""

GAIN = 0.9
"""Share of the direct convolution's time that another algorithm must not exceed."""

ROUNDS = 7

Channels = tuple[int, int]


def algorithms(precision: str) -> dict[str, str]:
    """The fastest algorithm for each convolution that is not best left to the compiler."""
    if not _is_tuned(precision):
        return {}
    times = remembered(remembered_path())
    chosen = {name: fastest(times[_key(pair)]) for name, pair in channels().items()}
    return {name: algorithm for name, algorithm in chosen.items() if algorithm != "direct"}


def to_be_measured(precision: str) -> bool:
    """Whether ``algorithms`` will have to measure, which takes some seconds."""
    return _is_tuned(precision) and read(remembered_path()) is None


def _is_tuned(precision: str) -> bool:
    return jax.default_backend() == "cpu" and precision in TUNED


@cache
def remembered(path: Path) -> dict[str, dict[str, float]]:
    """Seconds by channels and algorithm: from the file, or measured and written there. Once in a
    process, so that nothing changes within a run where the file cannot be written."""
    times = read(path)
    if times is None:
        times = {_key(pair): measured(pair) for pair in sorted(set(channels().values()))}
        _write(path, times)
    return times


def channels() -> dict[str, Channels]:
    """Channels in and out of every convolution that has enough of them."""
    outputs = {name: CHANNELS_PER_BLOCK[int(name[4]) - 1] for name in CONVOLUTIONS}
    inputs = dict(zip(CONVOLUTIONS, [3, *outputs.values()], strict=False))
    pairs = {name: (inputs[name], outputs[name]) for name in CONVOLUTIONS}
    return {name: pair for name, pair in pairs.items() if min(pair) >= NARROW}


def fastest(seconds: Mapping[str, float]) -> str:
    """The quickest algorithm, if it is clearly quicker than the direct one."""
    best = min(seconds, key=lambda name: seconds[name])
    return best if seconds[best] <= GAIN * seconds["direct"] else "direct"


def measured(pair: Channels) -> dict[str, float]:
    """Seconds that a convolution takes by each algorithm: medians, taken in turns.

    The maps are about as large as where VGG-19 has so many channels in a picture of 384 pixels.
    """
    side = 384 * NARROW // pair[1] // 2
    keys = jax.random.split(jax.random.key(0))
    x = jax.random.normal(keys[0], (1, side, side, pair[0]), jnp.float32)
    kernel = jax.random.normal(keys[1], (3, 3, *pair), jnp.float32)

    def program(algorithm: str) -> tuple[jax.stages.Compiled, tuple]:
        def tuned(x, kernel, prepared):
            return convolve(x, kernel, prepared)

        arguments = x, kernel, prepare(kernel, algorithm)
        return jax.jit(tuned).lower(*arguments).compile(), arguments

    programs = {name: program(name) for name in ALGORITHMS}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, (run, arguments) in programs.items():
            start = time.perf_counter()
            run(*arguments).block_until_ready()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def remembered_path() -> Path:
    """The file of this machine's times."""
    return machine.cache_directory() / f"convolutions-{machine.fingerprint()}.json"


def _key(pair: Channels) -> str:
    return f"{pair[0]}-{pair[1]}"


def read(path: Path) -> dict[str, dict[str, float]] | None:
    """The times, or None where there are none or others than these are needed."""
    try:
        times = json.loads(path.read_text())
        each = [times[_key(pair)][name] for pair in channels().values() for name in ALGORITHMS]
        usable = all(isinstance(time, float) and 0 < time < math.inf for time in each)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return times if usable else None


def _write(path: Path, times: Mapping[str, Mapping[str, float]]) -> None:
    """Remember them; where nothing can be written, they are measured again next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(times, indent=1))
        part.replace(path)
    except OSError:
        pass
