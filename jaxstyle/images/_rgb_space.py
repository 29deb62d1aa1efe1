"""RGB color spaces of curves and primaries, and their conversion to sRGB in floating point.

The levels of a channel become light by a curve; a matrix leads from the light of the primaries to
XYZ. White is adapted to that of sRGB by the Bradford transform, as in ICC profiles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

Curve = Callable[[Float64[np.ndarray, "*n"]], Float64[np.ndarray, "*n"]]
"""A function from levels to light, both from 0 to 1."""

Primaries = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""The chromaticities x and y of red, green and blue."""

White = tuple[float, float]

D65: White = (0.3127, 0.3290)
SRGB: Primaries = (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)
ADOBE: Primaries = (0.64, 0.33), (0.21, 0.71), (0.15, 0.06)
D50_XYZ = np.array((0.9642, 1.0, 0.8249))

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def decode(encoded: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Convert sRGB values to linear light (IEC 61966-2-1)."""
    curve = ((np.maximum(encoded, 0) + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, curve)


def encode(linear: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Convert linear light to sRGB values; negative light continues the linear part."""
    curve = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve)


def power(exponent: float) -> Curve:
    """Return the curve whose light is a power of the levels."""
    return lambda levels: levels**exponent


@dataclass(frozen=True, eq=False)
class RgbSpace:
    """A color space of curves and a matrix.

    Attributes:
      curves: The curve of each channel, or one for all.
      matrix: From its linear light to that of sRGB; None if that is the same.
      black: Luminance of its black, which becomes 0.
    """

    curves: Sequence[Curve]
    matrix: Float64[np.ndarray, "3 3"] | None = None
    black: float = 0.0

    def to_srgb(self, levels: np.ndarray) -> Float32[np.ndarray, "h w 3"]:
        """Convert levels of 8 or 16 bits, of 1 or 3 channels, to sRGB from 0 to 1."""
        most = np.iinfo(levels.dtype).max
        scale = np.arange(most + 1) / most
        tables = [
            np.nan_to_num(curve(scale)).clip(0, 1).astype(np.float32) for curve in self.curves
        ]
        planes = [levels[..., c % levels.shape[-1]] for c in range(3)]
        light = np.stack([tables[c % len(tables)][plane] for c, plane in enumerate(planes)], -1)
        if self.matrix is not None:
            light = light @ self.matrix.T.astype(np.float32)
        light = ((light - self.black) / (1 - self.black)).clip(0, 1)
        return encode(light).astype(np.float32)


def from_primaries(curve: Curve, primaries: Primaries, white: White = D65) -> RgbSpace:
    """Return the space of a curve and of chromaticities.

    Raises:
      ValueError: No color space has these chromaticities.
    """
    matrix = np.linalg.inv(_adapted(SRGB, D65)) @ _adapted(primaries, white)
    return RgbSpace([curve], matrix)


def from_colorants(curves: Sequence[Curve], colorants: Float64[np.ndarray, "3 3"]) -> RgbSpace:
    """Return the space of curves and of the XYZ of red, green and blue, in columns, under D50."""
    matrix = np.linalg.inv(_adapted(SRGB, D65)) @ colorants
    return RgbSpace(curves, matrix, black_of(curves, colorants[1]))


def black_of(curves: Sequence[Curve], shares: Sequence[float] | np.ndarray = (1.0,)) -> float:
    """Return the luminance of black, from the shares of the channels in it; at most one half."""
    light = float(np.dot(shares, [curve(np.zeros(1))[0] for curve in curves]))
    return min(max(light, 0.0), 0.5)


def _adapted(primaries: Primaries, white: White) -> Float64[np.ndarray, "3 3"]:
    """Return the matrix from linear RGB to XYZ, with white adapted to D50."""
    chromaticities = np.array([*primaries, white], np.float64)
    x, y = chromaticities.T
    if not (np.isfinite(chromaticities).all() and (abs(chromaticities) <= 2).all() and y[3] > 0):
        raise ValueError("its chromaticities are no colors")
    columns = np.stack([x, y, 1 - x - y])
    each, of_white = columns[:, :3], columns[:, 3] / y[3]
    if abs(np.linalg.det(each)) < 1e-3:
        raise ValueError("its primaries lie on a line")
    shares = np.linalg.solve(each, of_white)
    if shares.min() <= 0:
        raise ValueError("its white is not a mixture of its primaries")
    before, after = _BRADFORD @ of_white, _BRADFORD @ D50_XYZ
    return np.linalg.inv(_BRADFORD) @ np.diag(after / before) @ _BRADFORD @ (each * shares)
