"""Measure wall time fairly, and the best this machine can do."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SIZES = {"cpu": (1024, 2048), "gpu": (4096, 8192, 16384), "tpu": (4096, 8192)}
"""Sides of the square matrices whose products the peak is taken from."""

PEAK_SECONDS = 0.3
"""How long each product is repeated for: long enough to leave the lowest clock."""


def interleaved(
    cases: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int = 1,
    show: Callable[[str], None] | None = None,
) -> dict[str, list[float]]:
    """Seconds of every call, the cases taking turns (A B A B): drift of the machine hits all alike.

    A case must block until its work is done. ``warmup`` rounds come first and are not counted.
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
    """The median, the 10th and 90th percentile, and of how many."""
    low, median, high = (float(q) for q in np.percentile(seconds, (10, 50, 90)))
    return {"median": median, "low": low, "high": high, "rounds": len(seconds)}


def matrix_peak(dtype: str, device: Any = None, sizes: Sequence[int] = ()) -> float:
    """GFLOP/s of the fastest of a few square matrix products.

    Args:
      dtype: "float32" (in full), "tf32" (float32 as the device rounds it by itself) or "bfloat16"
        (accumulated in float32).
      device: the first one if not given.
      sizes: sides of the matrices; by the platform if not given.
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
