"""A woodblock print: a breaking wave reaches for a vermilion sun over twin peaks.

Everything is a curve: a wave is two splines, its back and its face, which meet at the tip of the
crest, and the carved lines between them are blends of the two. Lines swell where the tone is dark
and run out to a point where it is light. Positions are in pixels of the finished picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from drawing.fields import Array, mix, rgb, smoothstep, to_image
from drawing.press import Blocks, arc, even, spline, taper, washi

SIZE = 768, 560
HORIZON = 372
SUN = 585, 165, 84  # center and radius
COLORS = {
    "ink": rgb("#12183a"),
    "blue": rgb("#2a66a4"),
    "pale": rgb("#9cc6c6"),
    "ochre": rgb("#eeb44f"),
    "red": rgb("#dd4427"),
}
PAPER = rgb("#f3e7cb")


@dataclass(frozen=True)
class Wave:
    """A breaking wave: its back and its face, both from the water to the tip of the crest."""

    back: tuple[tuple[float, float], ...]
    face: tuple[tuple[float, float], ...]
    lines: int


TIP = 452, 205
GREAT = Wave(
    ((-60, 520), (0, 400), (70, 270), (160, 160), (265, 95), (370, 92), (440, 140), TIP),
    ((520, 540), (400, 490), (315, 425), (275, 345), (282, 262), (330, 205), (395, 188), TIP),
    26,
)
SMALL = Wave(
    ((400, 640), (470, 545), (545, 455), (630, 405), (705, 402), (748, 432), (752, 470)),
    ((850, 640), (745, 600), (668, 560), (640, 510), (655, 468), (705, 452), (752, 470)),
    20,
)
CLOUDS = ((700, 262, 1.0), (470, 44, 0.9), (738, 60, 0.8), (560, 258, 0.6), (95, 70, 1.0))


def carve_sky(blocks: Blocks) -> None:
    """Rings of air around the sun, broken into pointed strokes, heavier towards the top."""
    rng = blocks.rng
    for top in range(HORIZON + 8):  # a wash from blue down to gold and rose
        strip = np.array([(0, top), (SIZE[0], top), (SIZE[0], top + 1), (0, top + 1)])
        down = top / HORIZON
        blocks.fill("blue", strip, 0.75 * float(smoothstep(0.55, 0, down)))
        blocks.fill("ochre", strip, 0.75 * float(smoothstep(0.15, 0.8, down)))
        blocks.fill("red", strip, 0.42 * float(smoothstep(0.62, 1, down)))
    x, y, radius = SUN
    r = radius + 13.0
    while r < 760:
        turn = rng.uniform(0, 2 * np.pi)
        end = turn + 2 * np.pi
        while turn < end:
            sweep = rng.uniform(50, 190) / r
            stroke = arc(x, y, r, turn, turn + sweep, 60)
            stroke[:, 1] += 4 * np.sin(stroke[:, 0] / 55 + r / 40)
            dark = smoothstep(HORIZON, -40, stroke[:, 1])
            blocks.line(stroke, taper(60) * (0.7 + 2.9 * dark))
            turn += sweep + rng.uniform(4, 16) / r
        r += 6.2 + 0.004 * r


def carve_sun(blocks: Blocks) -> None:
    """A flat disk with light cut into its lower half."""
    x, y, radius = SUN
    blocks.cut(arc(x, y, radius + 7, 0, 2 * np.pi))
    blocks.fill("red", arc(x, y, radius, 0, 2 * np.pi))
    blocks.fill("ochre", arc(x, y, radius, 0, 2 * np.pi), 0.5)
    for k in range(13):
        height = -0.1 * radius + k * radius * 0.083
        half = np.sqrt(max(radius**2 - height**2, 0)) * 0.97
        across = np.linspace(-half, half, 80)
        curve = np.stack([x + across, y + height + 2 * np.sin(across / 17 + k)], -1)
        width = (0.5 + 0.28 * k) * taper(80, 0.35, 0.35)
        blocks.line(curve, width, "red", 0)
    blocks.line(arc(x, y, radius + 1, 0, 2 * np.pi, 240), 2.2)


def carve_cloud(blocks: Blocks, x: float, y: float, size: float) -> None:
    """A bank of overlapping disks, each with rings inside, like scales, lying on a bar of mist."""
    rng = blocks.rng
    for row, count in ((0, 3), (1, 5), (2, 7)):
        for j in rng.permutation(count):
            aside = j - (count - 1) / 2
            cx = x + aside * 27 * size + rng.normal(0, 3)
            cy = y + (row * 13 + 2 * abs(aside)) * size
            radius = size * rng.uniform(19, 25)
            disk = arc(cx, cy, radius, 0, 2 * np.pi)
            blocks.cut(disk)
            blocks.fill("pale", arc(cx, cy, radius * 0.75, 0, 2 * np.pi), 0.3 + 0.2 * row)
            blocks.line(disk, 2.0)
            for part in (0.78, 0.58, 0.39, 0.2):
                blocks.line(arc(cx, cy, radius * part, 0, 2 * np.pi), 0.5 + 1.1 * part)
    for k, (half, thick) in enumerate(((118, 13), (80, 11))):
        cx, cy = x + (-14 + 50 * k) * size, y + (38 + 17 * k) * size
        turn = np.linspace(0, 2 * np.pi, 200)
        away = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.6
        bar = np.stack([cx + half * size * away, cy + thick * size * np.sin(turn)], -1)
        blocks.cut(bar)
        blocks.fill("pale", mix(bar, (cx, cy + 3 * size), 0.25), 0.55)
        blocks.line(bar, 2.0)
        for level in (-0.45, -0.1, 0.25, 0.6):
            span = np.linspace(-0.9, 0.9, 80) * half * size * np.sqrt(1 - level**2)
            curve = np.stack([cx + span, np.full(80, cy + level * thick * size)], -1)
            blocks.line(curve, 1.5 * taper(80))


def carve_peak(blocks: Blocks, x: float, y: float, half: float, side: float) -> None:
    """A mountain: its lines fan out from the summit, dark on one side, snow on its head."""
    height = HORIZON - y
    left = spline([(x, y), (x - 0.22 * half, y + 0.36 * height), (x - half, HORIZON + 8)], 120)
    right = spline([(x, y), (x + 0.2 * half, y + 0.34 * height), (x + half, HORIZON + 8)], 120)
    outline = np.concatenate([left[::-1], right])
    blocks.cut(outline)
    blocks.fill("blue", outline, 0.8)
    snow = 34
    teeth = mix(left[snow], right[snow], np.linspace(0, 1, 10)[:, None])
    teeth[::2, 1] += 9
    cap = np.concatenate([left[:snow][::-1], right[:snow], teeth[::-1]])
    blocks.fill("blue", cap, 0)
    for k, s in enumerate(np.linspace(0.03, 0.97, 34)):
        first = 12 + (k * 37) % 26
        curve = mix(left, right, s)[first:]
        curve[:, 0] += 1.5 * np.sin(curve[:, 1] / 9 + k)
        dark = 0.8 + 1.9 * smoothstep(0.2, 0.9, s if side > 0 else 1 - s)
        blocks.line(curve, dark * taper(len(curve), 0.5, 0.15))
    blocks.line(outline, 2.4)


def carve_swell(blocks: Blocks, y: float, step: float, lift: float, shift: float) -> None:
    """A row of rollers across the sheet, lines falling away beneath each crest."""
    x = np.linspace(-20, SIZE[0] + 20, 500)
    phase = x / step + shift
    peak = 1 - np.abs(np.sin(phase + 0.35 * np.sin(phase))) ** 0.8
    crest = y - lift * (peak + 0.25 * np.sin(phase * 0.37 + shift))
    edge = np.stack([x, crest], -1)
    floor = np.array([(SIZE[0] + 20, SIZE[1] + 20), (-20, SIZE[1] + 20)])
    blocks.cut(np.concatenate([edge, floor]))
    blocks.fill("blue", np.concatenate([edge, floor]), 0.9)
    foam = np.stack([x, crest + 0.10 * lift + 0.16 * lift * peak], -1)
    blocks.fill("blue", np.concatenate([edge, foam[::-1]]), 0)
    blocks.line(edge, 1.5 + 0.05 * lift)
    blocks.line(foam, 0.8 + 0.8 * peak)
    rows = 9
    for k in range(1, rows):
        drop = lift * (0.22 + 0.20 * k)
        flatter = crest + drop + 0.10 * k * lift * peak
        for piece in np.array_split(np.arange(500), max(int(SIZE[0] / step / 1.5), 3) + k % 3):
            if len(piece) < 8:
                continue
            curve = np.stack([x[piece], flatter[piece]], -1)
            blocks.line(curve, (0.7 + 0.06 * lift * (1 - 0.5 * k / rows)) * taper(len(piece)))
            light = piece[len(piece) // 4 :][: len(piece) // 2]  # the knife lets some paper through
            gleam = np.stack([x[light], flatter[light] + 0.10 * lift], -1)
            blocks.line(gleam, (0.4 + 0.045 * lift) * taper(len(light)), "blue", 0)
    if lift > 20:
        tops = np.flatnonzero(peak > 0.62)[::5]
        size = 0.04 * lift + 0.22 * lift * (peak[tops] - 0.55)
        carve_foam(blocks, edge[tops], size)


def carve_glitter(blocks: Blocks) -> None:
    """The sun's red road on the water."""
    rng = blocks.rng
    for y in np.arange(HORIZON + 12, 470, 5.5):
        half = 22 + 0.35 * (y - HORIZON)
        for _ in range(2):
            x, length = SUN[0] + rng.normal(0, half), rng.uniform(14, 50)
            s = np.linspace(-0.5, 0.5, 40)
            dash = np.stack([x + s * length, y + 1.5 * np.cos(5 * s)], -1)
            width = (2.4 + 0.03 * (y - HORIZON)) * taper(40, 0.4, 0.4)
            for name, on in (("blue", 0), ("ink", 0), ("red", 0.95), ("ochre", 0.6)):
                blocks.line(dash, width, name, on)


def carve_foam(blocks: Blocks, edge: Array, size: Array) -> None:
    """Curls of foam along an edge, each a scroll; then the spray they throw."""
    rng = blocks.rng
    for (x, y), radius in zip(edge, size, strict=True):
        blocks.cut(arc(x, y, radius, 0, 2 * np.pi, 60))
    for (x, y), radius in zip(edge, size, strict=True):
        start = rng.uniform(0, 2 * np.pi)
        blocks.cut(arc(x, y, radius - 1, 0, 2 * np.pi, 60))
        turn = np.linspace(0, 2.6 * np.pi, 90)
        shrink = radius * (1 - turn / (3.0 * np.pi))
        way = np.stack([np.cos(start + turn), np.sin(start + turn)], -1)
        scroll = (x, y) + shrink[:, None] * way
        blocks.line(scroll, (0.9 + 0.09 * radius) * taper(90, 0.1, 0.5))


def carve_wave(blocks: Blocks, wave: Wave) -> None:
    """The body in ribbons of blue and paper, carved lines along it, foam on the crest."""
    rng = blocks.rng
    back, face = even(spline(wave.back), 240), even(spline(wave.face), 240)
    body = np.concatenate([back, face[::-1]])
    blocks.cut(body)
    shares = np.linspace(0, 1, wave.lines + 1)
    for k in range(wave.lines):
        a, b = mix(back, face, shares[k]), mix(back, face, shares[k + 1])
        if k % 3 != 1:
            blocks.fill("blue", np.concatenate([a, b[::-1]]), 1.0 if k % 3 else 0.85)
        else:
            blocks.fill("pale", np.concatenate([a, b[::-1]]), 0.75 * (k % 2))
        tone = 0.35 + 0.65 * np.sin(np.pi * shares[k]) ** 2 * np.linspace(1, 0.25, 240)
        blocks.line(a, 3.2 * tone * taper(240, 0.05, 0.12))
        for part in (0.33, 0.66):  # more lines where the ribbons are broad
            end = int(rng.uniform(90, 170))
            between = mix(a, b, part)[:end]
            blocks.line(between, 1.5 * taper(end, 0.1, 0.8))
    blocks.line(back, 4.2 * taper(240, 0.02, 0.02))
    blocks.line(face, 4.0 * taper(240, 0.02, 0.02))
    scale = np.ptp(back[:, 1]) / 420
    crest = back[np.linspace(110, 239, 26).astype(int)]
    size = scale * rng.uniform(11, 19, len(crest)) * np.linspace(0.55, 1.15, len(crest))
    lip = face[np.linspace(205, 239, 7).astype(int)]
    carve_foam(blocks, crest + rng.normal(0, 3 * scale, crest.shape), size)
    carve_foam(blocks, lip + rng.normal(0, 2, lip.shape), scale * rng.uniform(9, 14, len(lip)))
    for _ in range(90):
        x, y = crest[rng.integers(6, len(crest))] + scale * rng.normal((22, -20), 24)
        drop = arc(x, y, scale * rng.gamma(2.5, 0.9) + 0.8, 0, 2 * np.pi, 24)
        blocks.cut(drop)
        blocks.line(drop, 1.0)


def draw() -> Image.Image:
    """The finished picture."""
    blocks = Blocks(SIZE, ("ochre", "pale", "blue", "red"), seed=1831)
    carve_sky(blocks)
    carve_sun(blocks)
    for x, y, size in CLOUDS:
        carve_cloud(blocks, x, y, size)
    carve_peak(blocks, 668, 292, 120, 1)
    carve_peak(blocks, 560, 322, 90, 1)
    for k in range(5):
        carve_swell(blocks, HORIZON + 6 + 13 * k + 3.2 * k * k, 16 + 7 * k, 7 + 3.4 * k, 1.7 * k)
    carve_glitter(blocks)
    carve_wave(blocks, GREAT)
    carve_swell(blocks, 500, 60, 30, 0.9)
    carve_wave(blocks, SMALL)
    carve_swell(blocks, 548, 74, 34, 2.4)
    paper = washi(blocks.rng, blocks.height, blocks.width, PAPER)
    return to_image(blocks.printed(COLORS, paper), SIZE)
