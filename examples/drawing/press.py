"""A little printing press: carved lines on blocks, one block a color, printed onto paper.

Shapes are drawn in pixels of the finished picture. The key block carries the ink lines; tint blocks
carry flat colors. Cutting a shape clears it from every block, so that near things hide far ones.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from drawing.fields import Array, blur, fractal, mix, noise, resized, smoothstep

SCALE = 3  # carved this many times larger, then reduced


def spline(points: Iterable[tuple[float, float]], count: int = 200) -> Array:
    """A smooth (Catmull-Rom) curve through the points, `count` x 2."""
    knots = np.array(list(points), dtype=float)
    knots = np.concatenate([[2 * knots[0] - knots[1]], knots, [2 * knots[-1] - knots[-2]]])
    s = np.linspace(0, len(knots) - 3 - 1e-9, count)
    k, t = s.astype(int), (s % 1)[:, None]
    a, b, c, d = (knots[k + i] for i in range(4))
    curve = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2
    return 0.5 * (curve + (3 * b - a - 3 * c + d) * t**3)


def even(curve: Array, count: int = 200) -> Array:
    """The curve with its points spread evenly along its length."""
    reach = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    s = np.linspace(0, reach[-1], count)
    return np.stack([np.interp(s, reach, axis) for axis in curve.T], -1)


def arc(x: float, y: float, radius: float, start: float, end: float, count: int = 120) -> Array:
    """Part of a circle, between two angles."""
    turn = np.linspace(start, end, count)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], -1)


def taper(count: int, start: float = 0.3, end: float = 0.3) -> Array:
    """A line's width along its length: pointed over its first and last parts."""
    s = np.linspace(0, 1, count)
    return np.minimum(np.clip(s / start, 0, 1), np.clip((1 - s) / end, 0, 1)) ** 0.7


class Blocks:
    """The blocks of one print: the key block and a tint block for each color."""

    def __init__(self, size: tuple[int, int], tints: Iterable[str], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.width, self.height = size[0] * SCALE, size[1] * SCALE
        names = ("ink", *tints)
        self.block = {name: Image.new("L", (self.width, self.height)) for name in names}
        self.pen = {name: ImageDraw.Draw(image) for name, image in self.block.items()}

    def fill(self, name: str, outline: Array, strength: float = 1.0) -> None:
        """Leave one shape standing on a block."""
        points = [(float(x), float(y)) for x, y in outline * SCALE]
        self.pen[name].polygon(points, fill=round(255 * strength))

    def cut(self, outline: Array) -> None:
        """Clear a shape from every block."""
        for name in self.block:
            self.fill(name, outline, 0)

    def line(self, curve: Array, width: Array | float, name: str = "ink", on: float = 1) -> None:
        """A line of changing width, its edges a little unsteady as a knife leaves them."""
        curve = even(curve, len(curve))
        slope = np.gradient(curve, axis=0)
        normal = np.stack([-slope[:, 1], slope[:, 0]], -1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        count = len(curve)
        wobble = np.interp(
            np.arange(count),
            np.linspace(0, count - 1, max(count // 12, 3)),
            self.rng.normal(1, 0.13, max(count // 12, 3)),
        )
        half = (np.broadcast_to(width, count) * wobble / 2)[:, None] * normal
        self.fill(name, np.concatenate([curve + half, (curve - half)[::-1]]), on)

    def printed(self, colors: dict[str, Array], paper: Array) -> Array:
        """Every block pressed onto `paper` (height x width x 3), tints first and the ink last."""
        sheet = paper
        grain = self.wood()
        for name, image in self.block.items():
            if name == "ink":
                continue
            plate = np.asarray(image, dtype=np.float64) / 255
            shift = self.rng.integers(-3, 4, 2)  # blocks never lie quite true
            plate = blur(np.roll(plate, shift, (0, 1)), 1.4)
            plate = plate * np.clip(0.91 + 0.09 * grain + self.speckle(0.05), 0, 1)
            sheet = sheet * mix(1, colors[name], plate[..., None])
        plate = np.asarray(self.block["ink"], dtype=np.float64) / 255
        rough = noise(self.rng, self.height, self.width, 4)
        plate = smoothstep(0.36, 0.64, blur(plate, 1.5) + 0.055 * rough)
        plate = plate * np.clip(0.965 + 0.03 * grain + self.speckle(0.04), 0, 1)
        return mix(sheet, colors["ink"], plate[..., None])

    def speckle(self, amount: float) -> Array:
        """Pinholes where the color did not take."""
        return -amount * np.clip(noise(self.rng, self.height, self.width, 5) - 0.8, 0, 3) ** 2

    def wood(self) -> Array:
        """The grain of the plank: long lines that part around a few knots; about -1 to 1."""
        h, w = self.height // SCALE, self.width // SCALE
        y, x = np.mgrid[0:h, 0:w].astype(float)
        rings = y + 9 * fractal(self.rng, h, w, 260, 2) + 2.0 * noise(self.rng, h, w, (14, 160))
        for _ in range(5):
            kx, ky = self.rng.uniform(0, w), self.rng.uniform(0, h)
            knot = np.exp(-(((x - kx) / 60) ** 2) - ((y - ky) / 16) ** 2)
            rings += 16 * knot * np.sign(y - ky) * np.clip(np.abs(y - ky) / 5, 0, 1)
        lines = np.interp(rings, np.arange(-80, h + 80), self.rng.normal(size=h + 160))
        return resized(np.tanh(0.8 * lines), self.height, self.width)


def washi(rng: np.random.Generator, height: int, width: int, color: Array) -> Array:
    """Warm paper, clouded and full of fibers, height x width x 3."""
    fibers = Image.new("F", (width, height))
    pen = ImageDraw.Draw(fibers)
    for _ in range(900):
        x, y, turn = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, np.pi)
        bend, length = rng.normal(0, 0.02), rng.uniform(15, 60)
        s = np.arange(0, length, 4)
        px, py = x + np.cos(turn + bend * s) * s, y + np.sin(turn + bend * s) * s
        shade = float(rng.normal(0, 1))
        pen.line([(float(a), float(b)) for a, b in zip(px, py, strict=True)], fill=shade, width=2)
    tone = 0.022 * fractal(rng, height, width, 300) + 0.02 * np.asarray(fibers, dtype=np.float64)
    tone += 0.012 * noise(rng, height, width, 3)
    return np.clip(color * (1 + tone[..., None] * np.array([1.0, 1.1, 1.4])), 0, 1)
