"""Golden whorls on malachite: a mosaic of some five thousand small stones laid along spirals.

Round whorls are packed over the ground. Stones are set one by one along rows: spirals inside the
whorls, rings around them outside. Each stone then claims the pixels nearest to it in a square
distance turned the way its row runs (after Hausner, "Simulating Decorative Mosaics", 2001), and
mortar shows where two claims are nearly even. Positions are in pixels of the finished picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from drawing.fields import (
    Array,
    Labels,
    blur,
    fractal,
    mix,
    noise,
    palette,
    ramp,
    rgb,
    smoothstep,
    to_image,
)

SIZE = 768, 576
SCALE = 2  # drawn this many times larger, then reduced
STONE = 9.0  # the width of a stone
BAND = 5  # rows of stones across an arm of a spiral and the gap beside it

GROUND = palette("#06211f", "#0b3d38", "#0f5c50", "#1c8069", "#54ab86")
GOLD = palette("#8a4f0e", "#c07a14", "#e6a725", "#f8cf55", "#fff0b0")
CRIMSON = palette("#3d0716", "#7c0f22", "#b81f2b", "#de4a34", "#f0885a")
CREAM = palette("#b99a6a", "#dcc493", "#f3e4bd", "#fff7e2")
LAPIS = palette("#0b1546", "#16318a", "#2454bd", "#4b8ad6", "#9cc8ea")
UMBER = palette("#2a1610", "#4a2916", "#6e421c", "#8f5c28")
TEAL = palette("#052e3a", "#0a5566", "#128a94", "#45bdb6", "#a8e2cf")
PAIRS = ((GOLD, CRIMSON), (CREAM, LAPIS), (GOLD, TEAL), (GOLD, LAPIS), (CREAM, CRIMSON))
MORTAR = rgb("#2b231d")


@dataclass(frozen=True)
class Whorls:
    """The packed disks: centers, radii, which way each winds, and its pair of palettes."""

    x: Array
    y: Array
    radius: Array
    winding: Labels
    pair: Labels

    def nearest(self, x: Array, y: Array) -> tuple[Labels, Array, Array]:
        """For each position: the disk whose rim is nearest, and the polar position about it."""
        dx, dy = x[:, None] - self.x, y[:, None] - self.y
        which = np.argmin(np.hypot(dx, dy) - self.radius, axis=1)
        rows = np.arange(len(x))
        dx, dy = dx[rows, which], dy[rows, which]
        return which, np.hypot(dx, dy), np.arctan2(dy, dx)


def pack(rng: np.random.Generator) -> Whorls:
    """Throw ever smaller disks at the picture and keep those that touch no other."""
    kept = [(250.0, 300.0, 176.0), (600.0, 170.0, 128.0), (560.0, 452.0, 104.0)]
    for radius in (92, 74, 58, 46, 36, 27):
        for _ in range(400):
            x, y = rng.uniform(-40, SIZE[0] + 40), rng.uniform(-40, SIZE[1] + 40)
            if all(np.hypot(x - a, y - b) > radius + r + 2.5 * STONE for a, b, r in kept):
                kept.append((x, y, float(radius)))
    x, y, radius = np.array(kept).T
    count = len(kept)
    pair = np.arange(count) % len(PAIRS)
    return Whorls(x, y, radius, rng.choice([-1, 1], count), pair)


def arms(whorls: Whorls, which: Labels) -> Labels:
    """How many arms wind into a whorl."""
    return np.where(whorls.radius[which] > 60, 2, 1)


def row_angle(whorls: Whorls, x: Array, y: Array) -> Array:
    """The way rows of stones run: along the spirals inside a whorl, around it outside."""
    which, r, turn = whorls.nearest(x, y)
    climb = arms(whorls, which) * BAND * STONE / (2 * np.pi)
    lean = np.where(r < whorls.radius[which] - STONE, np.arctan2(climb, r + 1), 0)
    return turn + np.pi / 2 + lean * whorls.winding[which]


def stone_colors(rng: np.random.Generator, whorls: Whorls, x: Array, y: Array) -> Array:
    """Each stone's color: arms and gaps of the spirals, rims, eyes, and the ground between."""
    which, r, turn = whorls.nearest(x, y)
    jitter = rng.normal(0, 0.10, len(x))
    beyond = (r - whorls.radius[which]) / STONE  # rows past the rim
    color = ramp(GROUND, 0.44 + 0.28 * np.cos(2 * np.pi * (beyond - 1.5) / 4) + jitter)
    sprinkle = (rng.random(len(x)) < 0.04) & (beyond > 1)
    color[sprinkle] = ramp(GOLD, 0.65 + jitter[sprinkle])
    winding = whorls.winding[which] * arms(whorls, which)
    phase = (r / (BAND * STONE) + winding * turn / (2 * np.pi)) % 1
    arm = phase < 0.6
    for k, (light, dark) in enumerate(PAIRS):
        glow = ramp(light, 0.30 + 0.55 * np.sin(np.pi * phase / 0.6) + jitter)
        deep = ramp(dark, 0.20 + 0.9 * (phase - 0.6) / 0.4 + jitter)
        inside = (whorls.pair[which] == k) & (beyond < -1)
        color = np.where((inside & arm)[:, None], glow, color)
        color = np.where((inside & ~arm)[:, None], deep, color)
    color = np.where(((beyond > -1) & (beyond < 0))[:, None], ramp(UMBER, 0.8 + jitter), color)
    color = np.where(((beyond > 0) & (beyond < 1))[:, None], ramp(GOLD, 0.55 + jitter), color)
    return np.where((r < 1.3 * STONE)[:, None], ramp(CREAM, 0.7 + jitter), color)


@dataclass(frozen=True)
class Claims:
    """Each pixel's stone, the distances to its center and to the next, and its place in it."""

    owner: Labels
    first: Array
    second: Array
    along: Array
    across: Array


def claim(x: Array, y: Array, angle: Array, scale: int) -> Claims:
    """Give each pixel (of a picture `scale` times larger) to the stone nearest in its square."""
    height, width = SIZE[1] * scale, SIZE[0] * scale
    first, second, along, across = (np.full((height, width), 1e3) for _ in range(4))
    owner = np.zeros((height, width), dtype=np.int64)
    reach = int(2.2 * STONE * scale)
    cosines, sines = np.cos(angle), np.sin(angle)
    for k in range(len(x)):
        left, top = int(x[k] * scale) - reach, int(y[k] * scale) - reach
        window = np.s_[max(top, 0) : top + 2 * reach, max(left, 0) : left + 2 * reach]
        best, next_best = first[window], second[window]
        rows = (max(top, 0) + 0.5 + np.arange(best.shape[0])[:, None]) / scale - y[k]
        columns = (max(left, 0) + 0.5 + np.arange(best.shape[1])) / scale - x[k]
        u = columns * cosines[k] + rows * sines[k]
        v = rows * cosines[k] - columns * sines[k]
        distance = np.maximum(np.abs(u), np.abs(v))
        closer = distance < best
        np.minimum(next_best, np.maximum(best, distance), out=next_best)
        np.minimum(best, distance, out=best)
        owner[window][closer] = k
        along[window][closer], across[window][closer] = u[closer], v[closer]
    return Claims(owner, first, second, along, across)


def ring(rng: np.random.Generator, radius: float) -> Array:
    """Stones evenly around a circle, n x 2."""
    count = round(2 * np.pi * radius / STONE)
    turn = 2 * np.pi * (np.arange(count) + rng.random()) / count
    return radius * np.stack([np.cos(turn), np.sin(turn)], -1)


def spiral(rng: np.random.Generator, radius: float, rows: int, winding: int) -> Array:
    """Stones along `rows` spirals that interleave to fill a disk, n x 2."""
    climb = rows * STONE / (2 * np.pi)
    stones = []
    for row in range(rows):
        turn, r = -row * STONE / climb, 0.5 * STONE
        while r < radius:
            stones.append((r * np.cos(turn), -winding * r * np.sin(turn)))
            turn += STONE / np.hypot(r, climb) * rng.uniform(0.85, 1.2)
            r = STONE * (row + 0.5) + climb * turn
    return np.array(stones)


def lay_stones(rng: np.random.Generator, whorls: Whorls) -> tuple[Array, Array]:
    """The centers of all stones, whorl by whorl, with none set too near another."""
    margin = 2 * STONE
    cells: dict[tuple[int, int], list[Array]] = {}
    for k in range(len(whorls.x)):
        center, radius = np.array([whorls.x[k], whorls.y[k]]), whorls.radius[k]
        rows = int(arms(whorls, np.array([k]))[0]) * BAND
        rings = [ring(rng, radius + STONE * (row + 0.5)) for row in range(-1, 12)]
        for stone in np.concatenate([*rings, spiral(rng, radius - STONE, rows, whorls.winding[k])]):
            x, y = center + stone
            seen = -margin < x < SIZE[0] + margin and -margin < y < SIZE[1] + margin
            if not seen or whorls.nearest(np.array([x]), np.array([y]))[0][0] != k:
                continue
            i, j = int(x // STONE), int(y // STONE)
            around = [(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
            near = [other for cell in around for other in cells.get(cell, [])]
            if all(np.hypot(*(other - (x, y))) > 0.72 * STONE for other in near):
                cells.setdefault((i, j), []).append(np.array([x, y]))
    x, y = np.array([stone for cell in cells.values() for stone in cell]).T
    return x, y


def shaded(rng: np.random.Generator, claims: Claims, colors: Array) -> Array:
    """The stones set in mortar, each tilted its own way under a lamp at the upper left."""
    height, width = claims.owner.shape
    count = len(colors)
    owner = claims.owner
    tilt = rng.normal(0, 1, (2, count))
    glint = rng.normal(0, 0.09, count)[owner]
    slope = (claims.along * tilt[0][owner] + claims.across * tilt[1][owner]) / STONE
    gap = claims.second - claims.first + 0.22 * noise(rng, height, width, 5)
    dome = blur(smoothstep(0.4, 3.2, gap), 1.0)
    down, right = np.gradient(dome)
    light = 1 + glint + 0.16 * slope + 1.5 * np.clip(right + down, -0.22, 0.22)
    grain = 0.05 * fractal(rng, height, width, 12, 3)
    face = colors[owner] * (light + grain)[..., None]
    shine = np.clip(slope + 0.4 * tilt[0][owner] - 0.75, 0, 1)[..., None]
    face = mix(face, 1, 0.28 * shine)
    mortar = MORTAR * (1 + 0.18 * fractal(rng, height, width, 8, 3))[..., None]
    return mix(mortar, face, smoothstep(0.5, 1.15, gap)[..., None])


def draw() -> Image.Image:
    """The finished picture."""
    rng = np.random.default_rng(547)
    whorls = pack(rng)
    x, y = lay_stones(rng, whorls)
    claims = claim(x, y, row_angle(whorls, x, y), SCALE)
    return to_image(shaded(rng, claims, stone_colors(rng, whorls, x, y)), SIZE)
