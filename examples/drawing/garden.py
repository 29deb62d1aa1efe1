"""The design of the garden window: which pieces of glass it is cut into, and their colors.

`cut_window` paints every piece as a polygon into a map of labels, back to front, and notes the
piece's two colors and its direction. Positions are in picture widths, x to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from drawing.fields import Array, mix, palette, ramp

SIZE = 640, 768
SCALE = 2  # drawn this many times larger, then reduced
WIDTH, HEIGHT = SIZE[0] * SCALE, SIZE[1] * SCALE
TALL = SIZE[1] / SIZE[0]

SKY = palette("#0a1e78", "#1038b0", "#1f62d8", "#2f96e0", "#5cc6e6", "#b5e8ea")
RUBY = palette("#5a0418", "#a00a24", "#d41a2c", "#f04a30", "#fb8a3c")
AMBER = palette("#7a2a04", "#c25a08", "#ee9412", "#fcc23a", "#fff0a0")
VIOLET = palette("#2c0a5c", "#5a189a", "#9432b8", "#d055b4", "#f59ac0")
EMERALD = palette("#03301c", "#06583a", "#0f8a4c", "#4cba52", "#b4de62")


@dataclass(frozen=True)
class Flower:
    """A dahlia: its center and radius, the colors of its petals from heart to rim, its rings."""

    x: float
    y: float
    radius: float
    petals: Array
    heart: Array
    rings: tuple[int, ...]


FLOWERS = (
    Flower(0.86, 0.17, 0.20, AMBER, RUBY, (13, 11, 8)),
    Flower(0.13, 0.93, 0.25, AMBER, VIOLET, (15, 12, 9)),
    Flower(0.81, 0.92, 0.27, VIOLET, AMBER, (16, 13, 9)),
    Flower(0.41, 0.46, 0.36, RUBY, AMBER, (20, 18, 15, 10)),
)
# Each leaf: start, the point that bends it, tip, and half its width.
LEAVES = (
    ((0.44, 0.80), (0.44, 1.00), (0.52, 1.18), 0.075),
    ((0.50, 0.72), (0.40, 0.92), (0.36, 1.10), 0.065),
    ((0.70, 0.66), (0.86, 0.56), (1.02, 0.60), 0.060),
    ((0.72, 0.56), (0.86, 0.46), (0.98, 0.40), 0.055),
    ((0.10, 0.72), (0.02, 0.60), (-0.02, 0.46), 0.055),
    ((0.62, 0.16), (0.60, 0.06), (0.52, -0.03), 0.050),
    ((0.20, 0.72), (0.24, 0.80), (0.30, 0.90), 0.050),
)


@dataclass
class Window:
    """The cut glass: a map of labels, and for each label the piece's colors and direction."""

    rng: np.random.Generator
    image: Image.Image = field(default_factory=lambda: Image.new("I", (WIDTH, HEIGHT)))
    dark: list[Array] = field(default_factory=list)
    light: list[Array] = field(default_factory=list)
    angle: list[float] = field(default_factory=list)

    def add(self, colors: Array, tone: float, angle: float) -> int:
        """A new label, whose glass shades along `angle` from darker to lighter around `tone`."""
        tone += self.rng.normal(0, 0.07)
        self.dark.append(ramp(colors, tone - 0.24))
        self.light.append(ramp(colors, tone + 0.24))
        self.angle.append(angle + self.rng.normal(0, 0.25))
        return len(self.angle) - 1

    def piece(self, outline: Array, colors: Array, tone: float, angle: float) -> None:
        """TileMask one piece along `outline` (points x 2)."""
        label = self.add(colors, tone, angle)
        points = [(float(x), float(y)) for x, y in outline * WIDTH]
        ImageDraw.Draw(self.image).polygon(points, fill=label)


def cut_sky(window: Window) -> None:
    """Ribbons of sky that stream around the flowers, each cut across at uneven lengths."""
    rng = window.rng
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / WIDTH
    across = y + 0.05 * np.sin(5 * x + 1) + 0.22 * x
    for flower in FLOWERS:
        r = np.hypot(x - flower.x, y - flower.y)
        near = np.exp(-((r / (1.5 * flower.radius)) ** 3))
        across = mix(across, flower.y - 0.5 * (r - flower.radius), near)
    along = x - 0.30 * y + 0.05 * np.sin(7 * y)
    band = np.floor(across / 0.062).astype(int)
    band -= band.min()
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.int32)
    for k in range(band.max() + 1):
        cuts = np.cumsum(rng.uniform(0.09, 0.2, 24)) - 0.6 - rng.uniform(0, 0.1)
        slant = rng.uniform(-0.05, 0.05)
        column = np.searchsorted(cuts, along + slant * (across / 0.062 % 1))
        for j in range(len(cuts) + 1):
            here = (band == k) & (column == j)
            if here.any():
                height = np.argwhere(here)[:, 0].mean() / HEIGHT
                tone = 0.62 - 0.52 * height + (0.14 if k % 2 else -0.10)
                labels[here] = window.add(SKY, tone, rng.uniform(0, 2 * np.pi))
    window.image = Image.fromarray(labels)


def bezier(start: Array, bend: Array, end: Array, s: Array) -> Array:
    """Points on a quadratic curve."""
    s = s[:, None]
    return (1 - s) ** 2 * start + 2 * s * (1 - s) * bend + s**2 * end


def cut_leaf(window: Window, leaf: tuple, pieces: int = 4) -> None:
    """A leaf in two halves along its rib, each cut by slanted veins."""
    start, bend, end = (np.array(point) for point in leaf[:3])
    half_width = leaf[3]
    for side in (-1, 1):
        for k in range(pieces):
            low, high = k / pieces, (k + 1) / pieces
            slant = 0.5 / pieces
            inner = np.linspace(low, high, 12)
            outer = np.clip(np.linspace(high + slant, low + slant * (k > 0), 12), 0, 1)
            rib, edge = bezier(start, bend, end, inner), bezier(start, bend, end, outer)
            tangent = bezier(start, bend, end, np.clip(outer + 0.01, 0, 1.01)) - edge
            normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1)
            normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
            bulge = half_width * np.sin(np.pi * outer**0.8) ** 0.8
            edge += side * normal * bulge[:, None]
            angle = float(np.arctan2(*(end - start)[::-1]))
            tone = 0.42 + 0.16 * side + 0.05 * k
            window.piece(np.concatenate([rib, edge]), EMERALD, tone, angle + side * 0.8)


def cut_petal(window: Window, flower: Flower, angle: float, span: Array, tone: float) -> None:
    """A pointed petal in two halves; `span` is its inner radius, tip radius and half angle."""
    inner, tip, half = span
    s = np.linspace(0, 1, 40)
    radius = inner + (tip - inner) * s
    width = half * (0.55 + 0.6 * s) * np.clip(1 - s**5, 0, 1) ** 0.6
    center = np.array([flower.x, flower.y])

    def points(turn: Array) -> Array:
        return center + radius[:, None] * np.stack([np.cos(turn), np.sin(turn)], -1)

    fold = angle + 0.12 * half * np.sin(np.pi * s)
    for side in (-1, 1):
        outline = np.concatenate([points(fold), points(angle + side * width)[::-1]])
        window.piece(outline, flower.petals, tone + 0.09 * side, angle)


def cut_heart(window: Window, flower: Flower, radius: float) -> None:
    """The seeds at the middle, in the golden spiral of a sunflower."""
    count = 26
    n = np.arange(count)
    turn, r = n * np.pi * (3 - np.sqrt(5)), radius * np.sqrt((n + 0.3) / count)
    seeds = np.stack([flower.x + r * np.cos(turn), flower.y + r * np.sin(turn)], -1)
    labels = np.array(window.image)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / WIDTH
    disk = np.hypot(x - flower.x, y - flower.y) < radius
    place = np.stack([x[disk], y[disk]], -1)
    nearest = np.argmin(((place[:, None] - seeds) ** 2).sum(-1), axis=1)
    tones = 0.85 - 0.5 * r / radius
    fresh = np.array([window.add(flower.heart, t, a) for t, a in zip(tones, turn, strict=True)])
    labels[disk] = fresh[nearest]
    window.image = Image.fromarray(labels)


def cut_calyx(window: Window, flower: Flower) -> None:
    """What shows between the petals: one round of dark green."""
    turn = np.linspace(0, 2 * np.pi, 120)
    rim = 0.9 * flower.radius * np.stack([np.cos(turn), np.sin(turn)], -1)
    window.piece(rim + np.array([flower.x, flower.y]), EMERALD, 0.15, 0)


def cut_flower(window: Window, flower: Flower) -> None:
    """Rings of petals from the rim inwards, then the heart."""
    heart = 0.24 * flower.radius
    cut_calyx(window, flower)
    edges = np.linspace(flower.radius, heart, len(flower.rings) + 1)
    for k, count in enumerate(flower.rings):
        tip, inner = edges[k], edges[k + 1] * 0.8
        tone = 0.25 + 0.55 * k / (len(flower.rings) - 1)
        for j in range(count):
            angle = 2 * np.pi * (j + 0.5 * (k % 2)) / count + 0.2 * flower.radius
            reach = tip * (1 + window.rng.normal(0, 0.012))
            cut_petal(window, flower, angle, np.array([inner, reach, 0.98 * np.pi / count]), tone)
    cut_heart(window, flower, heart)


def cut_window() -> Window:
    """The whole window, back to front."""
    window = Window(np.random.default_rng(1163))
    cut_sky(window)
    for leaf in LEAVES:
        cut_leaf(window, leaf)
    for flower in FLOWERS:
        cut_flower(window, flower)
    return window
