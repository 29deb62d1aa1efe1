"""Small tools the pictures share: colors, noise, blur and interpolation on arrays of floats."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


def rgb(code: str) -> Array:
    """The color "#rrggbb" as three numbers in [0, 1]."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def palette(*codes: str) -> Array:
    """Several "#rrggbb" colors as one array, a row a color."""
    return np.array([rgb(code) for code in codes])


def ramp(colors: Array, position: ArrayLike) -> Array:
    """The color at each `position` in [0, 1] along evenly spaced `colors`, mixed linearly."""
    position, stops = np.asarray(position, dtype=float), np.linspace(0, 1, len(colors))
    return np.stack([np.interp(position, stops, channel) for channel in colors.T], axis=-1)


def mix(a: ArrayLike, b: ArrayLike, amount: ArrayLike) -> Array:
    """`a` where `amount` is 0, `b` where it is 1, and a blend between."""
    a, b, amount = np.asarray(a), np.asarray(b), np.asarray(amount)
    return a + (b - a) * amount


def smoothstep(low: float, high: float, x: ArrayLike) -> Array:
    """0 below `low`, 1 above `high`, with an S-shaped climb between (`low` > `high` descends)."""
    t = np.clip((np.asarray(x) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def resized(field: Array, height: int, width: int) -> Array:
    """A field resampled bicubically to another size."""
    image = Image.fromarray(field.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)


def noise(rng: np.random.Generator, height: int, width: int, scale: ArrayLike) -> Array:
    """Smooth noise with mean 0 and deviation 1; its blobs are `scale` pixels wide.

    `scale` may be a pair (vertical, horizontal), for noise drawn out into streaks.
    """
    down, across = np.broadcast_to(np.asarray(scale, dtype=float), 2)
    coarse = rng.normal(size=(int(height / down) + 3, int(width / across) + 3))
    field = resized(coarse, height, width)
    return (field - field.mean()) / field.std()


def fractal(
    rng: np.random.Generator, height: int, width: int, scale: float, octaves: int = 4
) -> Array:
    """Noise summed over octaves, each half as wide and half as strong; deviation 1."""
    field = sum(
        (noise(rng, height, width, max(scale / 2**k, 1.5)) / 2**k for k in range(octaves)),
        np.zeros((height, width)),
    )
    return field / field.std()


def blur(field: Array, sigma: float) -> Array:
    """A Gaussian blur (edges repeated) of a field, height x width."""
    if sigma > 6:  # a wide blur loses nothing on a coarser grid
        factor = sigma / 3
        height, width = field.shape
        image = Image.fromarray(field.astype(np.float32))
        small_size = max(int(width / factor), 2), max(int(height / factor), 2)
        small = np.asarray(image.resize(small_size, Image.Resampling.BOX), dtype=np.float64)
        return resized(blur(small, 3), height, width)
    reach = int(np.ceil(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (reach, reach)
        padded = np.pad(field, padding, mode="edge")
        length = field.shape[axis]
        shifted = (np.take(padded, range(k, k + length), axis) for k in range(len(taps)))
        field = sum(
            (tap * part for tap, part in zip(taps, shifted, strict=True)), np.zeros_like(field)
        )
    return field


def to_image(picture: Array, size: tuple[int, int]) -> Image.Image:
    """A picture (height x width x 3, values in [0, 1]) as an image of `size` (width, height)."""
    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
