"""The fastest convolution algorithm on this host: measured once and stored in the user's cache.

It cannot be predicted from the name of the processor: on one, the direct convolution is faster at
64 channels and three times slower at 512; the turning point depends on the CPU's caches.
"""

import json
import re
import statistics
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import jax
import numpy as np

from jaxstyle.errors import DamagedError
from jaxstyle.machine import host
from jaxstyle.machine.files import remove_leftovers, write_whole
from jaxstyle.machine.plain_json import parsed
from jaxstyle.network.convolution import ALGORITHMS, convolve, prepare
from jaxstyle.network.vgg import CHANNELS_PER_BLOCK, CONVOLUTIONS

NARROW = 64
"""Fewest channels for which "winograd" is considered: with fewer, its transforms cost more than it
saves."""

TUNED = ("auto", "float32")
"""Precisions for which the algorithm is chosen, on CPU; otherwise it is always "direct"."""

GAIN = 0.9
"""An algorithm is preferred to "direct" if it takes at most this share of its time."""

ROUNDS = 3
"""Number of measurements of each algorithm."""

_PARTS = re.compile(r"convolutions-[0-9a-f]+\.\d+")
"""Names of half-written files, as earlier versions have left them behind on a full disk."""

Channels = tuple[int, int]

Times = dict[str, dict[str, float]]
"""Seconds by channels and algorithm."""


def algorithms(precision: str) -> dict[str, str]:
    """Return the algorithm by layer name of the convolutions for which "direct" is not fastest.

    Measures the algorithms if there are no stored times.

    Args:
      precision: the setting, as "auto" or "float32".
    """
    if not _is_tuned(precision):
        return {}
    times = remembered(remembered_path())
    chosen = {name: fastest(times[_key(pair)]) for name, pair in channels().items()}
    return {name: algorithm for name, algorithm in chosen.items() if algorithm != "direct"}


def to_be_measured(precision: str) -> bool:
    """Return whether ``algorithms`` will have to measure, which takes some seconds."""
    path = remembered_path()
    return _is_tuned(precision) and (path is None or _usable(path) is None)


def damage(precision: str) -> str:
    """Return what is wrong with the stored times that ``algorithms`` would use; usually nothing."""
    path = remembered_path()
    if not _is_tuned(precision) or path is None:
        return ""
    try:
        read(path)
    except DamagedError as error:
        return str(error)
    return ""


def _is_tuned(precision: str) -> bool:
    return jax.default_backend() == "cpu" and precision in TUNED


@cache
def remembered(path: Path | None) -> Times:
    """Return the times: read from a file, or measured and written to it.

    The result is cached, so that it stays the same within a process even if the file cannot be
    written. Files of processes that were killed while they wrote are deleted.
    """
    if path:
        _sweep(path.parent)
    times = path and _usable(path)
    if times is None:
        times = {_key(pair): measured(pair) for pair in sorted(set(channels().values()))}
        if path:
            _write(path, times)
    return times


def channels() -> dict[str, Channels]:
    """Return the channels to measure for each convolution of which both sides have ``NARROW``.

    The first convolution of a block has half as many inputs as outputs. It is chosen by the time of
    the others, which saves measuring three more pairs.
    """
    outputs = {name: CHANNELS_PER_BLOCK[int(name[4]) - 1] for name in CONVOLUTIONS}
    inputs = dict(zip(CONVOLUTIONS, [3, *outputs.values()], strict=False))
    wide = [name for name in CONVOLUTIONS if min(inputs[name], outputs[name]) >= NARROW]
    return {name: (outputs[name], outputs[name]) for name in wide}


def fastest(seconds: Mapping[str, float]) -> str:
    """Return the fastest algorithm, if it is clearly faster than "direct"; else "direct"."""
    best = min(seconds, key=lambda name: seconds[name])
    return best if seconds[best] <= GAIN * seconds["direct"] else "direct"


def measured(pair: Channels) -> dict[str, float]:
    """Measure the seconds that a convolution takes by each algorithm, as medians.

    The algorithms take turns. The maps are about as large as those with as many channels in VGG-19
    for an image of 384 pixels.

    Args:
      pair: numbers of input and output channels.
    """
    side = 384 * NARROW // pair[1] // 2
    random = np.random.default_rng(0)  # on the host: for each shape, JAX's would be compiled
    shapes = (1, side, side, pair[0]), (3, 3, *pair)
    x, kernel = jax.device_put([random.standard_normal(each, np.float32) for each in shapes])

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


def remembered_path() -> Path | None:
    """Return the path of the file with this host's times; None without a cache directory."""
    directory = host.cache_directory()
    return directory and directory / f"convolutions-{host.fingerprint()}.json"


def _key(pair: Channels) -> str:
    return f"{pair[0]}-{pair[1]}"


def read(path: Path) -> Times | None:
    """Read the times; return None if there is no file, or none that can be read.

    Raises:
      DamagedError: the file does not hold a time for each algorithm and each pair of channels.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        data = path.read_bytes()
    except OSError:
        return None
    try:
        times = parsed(data, Times)
        for key in map(_key, channels().values()):
            if times.get(key, {}).keys() != set(ALGORITHMS):
                raise DamagedError(f"{key} does not have a time for each algorithm")
            if min(times[key].values()) <= 0:
                raise DamagedError(f"{key} has a time that is not above 0")
    except DamagedError as error:
        raise DamagedError(f"{path}: is damaged ({error})") from None
    return times


def _usable(path: Path) -> Times | None:
    try:
        return read(path)
    except DamagedError:
        return None


def _write(path: Path, times: Mapping[str, Mapping[str, float]]) -> None:
    """Write the times; if that fails, they are measured again by the next process."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(times, indent=1).encode(), follow=False)


def _sweep(folder: Path) -> None:
    """Delete what processes have left that were killed while they wrote."""
    with suppress(OSError):
        remove_leftovers(folder)
        for path in folder.iterdir():
            if _PARTS.fullmatch(path.name):
                path.unlink()
