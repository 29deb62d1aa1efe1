"""Time functions in alternation, and measure the machine's peak of matrix products."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SIZES = {"cpu": (1024, 2048), "gpu": (4096, 8192, 16384), "tpu": (4096, 8192)}
"""Sides of the square matrices whose products are timed, by platform."""

PEAK_SECONDS = 0.3
"""Duration of repeating each product: long enough for the clock frequency to rise."""


def interleaved(
    cases: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int = 1,
    show: Callable[[str], None] | None = None,
) -> dict[str, list[float]]:
    """Time functions in alternation (A B A B), so that drift of the machine affects all alike.

    Args:
      cases: functions by name; they must block until their work is done.
      rounds: timings of each function.
      warmup: rounds before those, which are not counted.
      show: shows a line of progress after each round.

    Returns:
      The seconds of every counted call, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for index in range(warmup + rounds):
        for name, call in cases.items():
            start = time.perf_counter()
            call()
            if index >= warmup:
                seconds[name].append(time.perf_counter() - start)
        if show and index >= warmup:
            latest = ", ".join(f"{name} {each[-1]:.4g} s" for name, each in seconds.items())
            show(f"  round {index - warmup + 1}/{rounds}: {latest}")
    return seconds


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, the 10th and 90th percentile ("low", "high"), and the number of values."""
    low, median, high = (float(q) for q in np.percentile(seconds, (10, 50, 90)))
    return {"median": median, "low": low, "high": high, "rounds": len(seconds)}


def matrix_peak(dtype: str, device: Any = None, sizes: Sequence[int] = ()) -> float:
    """Return the GFLOP/s of the fastest of a few square matrix products.

    Args:
      dtype: "float32" (full precision), "tf32" (float32 at the device's default precision) or
        "bfloat16" (accumulated in float32).
      device: by default, the first device.
      sizes: sides of the matrices; by default, those of ``SIZES`` for the platform.
    """
    device = device or jax.devices()[0]
    return max(
        _product_rate(dtype, result, side, device)
        for side in sizes or SIZES.get(device.platform, SIZES["cpu"])
        for result in (("float32", "bfloat16") if dtype == "bfloat16" else ("float32",))
    )


def _product_rate(dtype: str, result: str, side: int, device: Any) -> float:
    operand = "bfloat16" if dtype == "bfloat16" else "float32"
    precision = jax.lax.Precision.HIGHEST if dtype == "float32" else jax.lax.Precision.DEFAULT
    with jax.default_device(device):
        a, b = (jax.random.normal(jax.random.key(i), (side, side), operand) for i in (0, 1))

    @jax.jit
    def product(a, b):
        return jnp.matmul(a, b, precision=precision, preferred_element_type=result)

    def seconds(count: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready([product(a, b) for _ in range(count)][-1])
        return (time.perf_counter() - start) / count

    seconds(1)  # compiles
    count = max(1, min(200, round(PEAK_SECONDS / seconds(1))))
    return 2 * side**3 / min(seconds(count) for _ in range(3)) / 1e9
