"""A night sea under golden suns, in thick oil: strokes follow the wind and the swell.

The scene is two functions of position, where the wind blows and what color is there. Layers of
strokes, large to small, follow the one and sample the other. A stroke lays down color and also
height, hair by hair, and at the end a low lamp lights the relief.

Positions are in picture heights, x to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from drawing.fields import Array, blur, mix, noise, palette, ramp, smoothstep, to_image

SIZE = 768, 608
SCALE = 2  # drawn this many times larger, then reduced
WIDTH, HEIGHT = SIZE[0] * SCALE, SIZE[1] * SCALE
HORIZON = 0.665

NIGHT = palette("#0b1140", "#14206b", "#1b3a9c", "#2a63bd", "#3b93c6", "#63bfc2", "#e3eccb")
DISK = palette("#fffdf0", "#fff3b8", "#ffe066", "#fbb922")
HALO = palette("#f79a1e", "#ffd95a", "#e9772a", "#f7d873", "#8ccab0", "#f3e6a8", "#3f9fbd")
SEA = palette("#081036", "#0f2463", "#134a8e", "#1b77a6", "#2fa6ad", "#7fd0c0", "#f6f0d2")
HILLS = palette("#0b0d38", "#231c66", "#3a2f8c", "#3f56a8", "#5a7fc0")
GOLD = palette("#fff2ba", "#ffd44f", "#f7a823", "#e8702a")


@dataclass(frozen=True)
class Sun:
    """A glowing whirl: its center, the radius of its disk, how far its light reaches."""

    x: float
    y: float
    disk: float
    reach: float

    def distance(self, x: Array, y: Array) -> Array:
        return np.hypot(x - self.x, y - self.y)


SUNS = (
    Sun(0.915, 0.270, 0.072, 0.205),
    Sun(0.235, 0.185, 0.044, 0.130),
    Sun(1.180, 0.490, 0.022, 0.062),
)
WHIRL = Sun(0.515, 0.375, 0.0, 0.165)  # wind alone, no light
WHIRLS = (*SUNS, WHIRL)


@dataclass(frozen=True)
class Layer:
    """One pass of the brush; lengths in pixels of the finished picture."""

    width: float
    length: float
    spacing: float


LAYERS = (Layer(30, 150, 14), Layer(17, 100, 11), Layer(11, 70, 10), Layer(7, 44, 11))


def ridge(x: Array) -> Array:
    """The height of the far hills' edge at each x."""
    return HORIZON - 0.045 - 0.036 * np.sin(5.2 * x + 0.6) - 0.018 * np.sin(11.7 * x + 2.0)


def sky_stream(x: Array, y: Array) -> Array:
    """The stream function of the wind: it blows along this function's level lines."""
    stream = y + 0.050 * np.sin(4.1 * x + 0.4) + 0.022 * np.sin(8.3 * x + 5 * y + 2.1)
    for whirl in WHIRLS:  # first calm the wind there, or it would blow the whirl off its center
        r = whirl.distance(x, y) / whirl.reach
        stream = mix(stream, whirl.y, np.exp(-(r**2) / 0.9))
    for whirl in WHIRLS:
        r = whirl.distance(x, y) / whirl.reach
        stream = stream + 1.9 * whirl.reach * np.exp(-(r**2) / 0.7)
    return stream


def sea_stream(x: Array, y: Array) -> Array:
    """The same for the swell, whose waves grow and sharpen towards the viewer."""
    depth = np.clip((y - HORIZON) / (1 - HORIZON), 0, 1)
    phase = 8.5 * x + 7 * depth**0.7 + 0.7 + 0.5 * np.sin(3.1 * x - 4 * depth)
    swell = np.sin(phase + 0.7 * np.sin(phase)) + 0.25 * np.sin(17 * x - 9 * depth + 2.0)
    return y + (0.005 + 0.060 * depth) * swell


def stream(x: Array, y: Array) -> Array:
    """The stream function over the whole scene."""
    hills = y - ridge(x)
    return np.where(y > HORIZON, sea_stream(x, y), np.where(hills > 0, hills, sky_stream(x, y)))


def flow(x: Array, y: Array) -> tuple[Array, Array]:
    """The unit direction along the stream's level lines, spiralling inward in the whirl."""
    step = 1e-4
    u = stream(x, y + step) - stream(x, y - step)
    v = stream(x - step, y) - stream(x + step, y)
    inward = 0.32 * np.exp(-((WHIRL.distance(x, y) / WHIRL.reach) ** 4))
    u, v = u * np.cos(inward) - v * np.sin(inward), u * np.sin(inward) + v * np.cos(inward)
    speed = np.hypot(u, v) + 1e-12
    return u / speed, v / speed


def wind_bands(x: Array, y: Array) -> Array:
    """0 to 1 and back across the wind; in the whirl the bands wind up into two arms."""
    bands = np.sin(2 * np.pi * sky_stream(x, y) / 0.085)
    r = WHIRL.distance(x, y)
    arms = np.sin(2 * np.arctan2(y - WHIRL.y, x - WHIRL.x) + 2 * np.pi * r / 0.085) + 0.35
    return 0.5 + 0.5 * mix(bands, arms, smoothstep(0.95, 0.6, r / WHIRL.reach))


def sky_color(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """Blue bands along the wind, paler towards the horizon, and the suns' rings over them."""
    tone = 0.08 + 0.52 * wind_bands(x, y) ** 1.6 + 0.30 * smoothstep(0.2, HORIZON, y)
    color = ramp(NIGHT, tone + rng.normal(0, 0.10, x.shape))
    for sun in SUNS:
        r = sun.distance(x, y) + rng.normal(0, 0.03 * sun.reach, x.shape)
        disk = ramp(DISK, r / sun.disk)
        halo = ramp(HALO, (r - sun.disk) / (sun.reach - sun.disk))
        glow = np.where((r < sun.disk)[:, None], disk, halo)
        near = rng.random(x.shape) < smoothstep(1.15, 0.55, r / sun.reach)
        color = np.where(near[:, None], glow, color)
    return color


def sea_color(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """Dark troughs, turquoise backs, pale crests, and the suns' gold broken on the water."""
    depth = np.clip((y - HORIZON) / (1 - HORIZON), 0, 1)
    pitch = 0.030 + 0.075 * depth
    bands = 0.5 + 0.5 * np.sin(2 * np.pi * sea_stream(x, y) / pitch)
    tone = 0.10 + 0.74 * bands**1.5 + 0.12 * (1 - depth)
    color = ramp(SEA, tone + rng.normal(0, 0.08, x.shape))
    for sun in SUNS[:2]:  # the small ones are too faint
        spread = sun.disk * (0.55 + 1.3 * depth)
        chance = np.exp(-(((x - sun.x) / spread) ** 2)) * (0.3 + 0.7 * bands)
        golden = rng.random(x.shape) < 0.95 * chance
        color = np.where(golden[:, None], ramp(GOLD, rng.random(x.shape) * 0.9), color)
    return color


def color_at(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """A color the painter might pick for a stroke at each position."""
    below = (y - ridge(x)) / 0.06
    hills = ramp(HILLS, 0.9 - below * 0.7 + rng.normal(0, 0.2, x.shape))
    land = np.where((below > 0)[:, None], hills, sky_color(rng, x, y))
    color = np.where((y > HORIZON)[:, None], sea_color(rng, x, y), land)
    return np.clip(color * rng.normal(1, 0.06, (len(x), 1)), 0, 1)


def trace(x: Array, y: Array, length: float, steps: int) -> Array:
    """Paths along the flow through each start, strokes x steps x 2, in picture heights."""
    stride = length / steps
    halves = []
    for sign in (-1, 1):
        at_x, at_y, points = x, y, []
        for _ in range(steps // 2):
            u, v = flow(at_x, at_y)
            at_x, at_y = at_x + sign * u * stride, at_y + sign * v * stride
            points.append(np.stack([at_x, at_y], -1))
        halves.append(points)
    start = np.stack([x, y], -1)
    return np.stack([*halves[0][::-1], start, *halves[1]], axis=1)


class Canvas:
    """Wet paint: color (height x width x 3) and relief (height x width)."""

    def __init__(self, ground: Array) -> None:
        self.color = np.broadcast_to(ground, (HEIGHT, WIDTH, 3)).copy()
        self.relief = np.zeros((HEIGHT, WIDTH))

    def stroke(self, rng: np.random.Generator, path: Array, width: float, pair: Array) -> None:
        """Lay one stroke along `path` (points x 2, pixels), the brush loaded with two colors."""
        steps = np.hypot(*np.diff(path, axis=0).T)
        reach = np.concatenate([[0], np.cumsum(steps)])
        rows, columns = int(reach[-1] / 0.7) + 2, int(width / 0.7) + 2
        along = np.linspace(0, 1, rows)[:, None]
        across = np.linspace(-1, 1, columns)
        x = np.interp(along[:, 0] * reach[-1], reach, path[:, 0])[:, None]
        y = np.interp(along[:, 0] * reach[-1], reach, path[:, 1])[:, None]
        dx, dy = np.gradient(np.hstack([x, y]), axis=0).T[..., None]
        norm = np.hypot(dx, dy) + 1e-9
        tip = width / (2 * reach[-1] + 1e-9)
        body = np.sqrt(np.clip(along / tip, 0, 1)) * (1 - 0.35 * along**3)
        offset = across * body * width / 2
        ix = np.rint(x - dy / norm * offset).astype(int)
        iy = np.rint(y + dx / norm * offset).astype(int)

        hairs = max(int(width / 3), 4)
        hair = np.interp(across, np.linspace(-1, 1, hairs), rng.normal(size=hairs))
        streak = hair + 0.5 * noise(rng, rows, columns, (40, 3))
        ends = np.interp(across, np.linspace(-1, 1, hairs), rng.uniform(0.8, 1.08, hairs))
        covers = (along < ends) & (ix >= 0) & (ix < WIDTH) & (iy >= 0) & (iy < HEIGHT)
        blend = smoothstep(-0.9, 0.9, across + 0.55 * streak)[..., None]
        color = mix(pair[0], pair[1], blend) * (1 + 0.075 * streak[..., None])
        rim = np.exp(-(((1 - np.abs(across)) / 0.2) ** 2))
        lump = np.exp(-(((along - 0.93) / 0.06) ** 2))
        relief = 1 + 0.40 * streak + 0.55 * rim + 0.5 * lump
        ix, iy = ix[covers], iy[covers]
        self.color[iy, ix] = mix(self.color[iy, ix], color[covers], 0.94)
        self.relief[iy, ix] = 0.35 * self.relief[iy, ix] + relief[covers] * np.sqrt(width / 20)

    def lit(self) -> Array:
        """The painting under a lamp at its upper left."""
        relief = blur(self.relief, 1.0)
        slope_y, slope_x = np.gradient(relief)
        facing = np.asarray(slope_x * 0.75 + slope_y * 0.9)
        shade = 1 + np.clip(facing * 1.45, -0.45, 0.40)
        gloss = 0.55 * np.clip(facing - 0.16, 0, 0.5)[..., None] ** 1.3
        return self.color * np.asarray(shade)[..., None] + gloss * np.array([1.0, 0.97, 0.88])


def paint_layer(rng: np.random.Generator, canvas: Canvas, layer: Layer) -> None:
    """Cover the canvas with one layer's strokes, in random order."""
    gap = layer.spacing / SIZE[1]
    margin = 0.04
    rows = np.arange(-margin, 1 + margin, gap)
    columns = np.arange(-margin, SIZE[0] / SIZE[1] + margin, gap * 1.6)
    x, y = (grid.ravel() for grid in np.meshgrid(columns, rows))
    order = rng.permutation(len(x))
    x = x[order] + rng.uniform(-0.8, 0.8, len(x)) * gap
    y = y[order] + rng.uniform(-0.5, 0.5, len(x)) * gap
    paths = trace(x, y, layer.length / SIZE[1], steps=16) * HEIGHT
    first, second = color_at(rng, x, y), color_at(rng, x, y)
    second = mix(first, second, rng.uniform(0.2, 0.9, (len(x), 1)))
    for path, a, b in zip(paths, first, second, strict=True):
        cut = rng.integers(0, 4)
        width = layer.width * SCALE * rng.uniform(0.7, 1.15)
        canvas.stroke(rng, path[cut : len(path) - cut], width, np.stack([a, b]))


def draw() -> Image.Image:
    """The finished picture."""
    rng = np.random.default_rng(1889)
    canvas = Canvas(NIGHT[1])
    for layer in LAYERS:
        paint_layer(rng, canvas, layer)
    return to_image(canvas.lit(), SIZE)
