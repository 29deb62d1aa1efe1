"""A garden window: dahlias, leaves and a streaming sky in leaded glass, the sun behind it.

`garden.py` cuts the window into labelled pieces. Here `glass` lets light through the pieces, and
`leaded` lays the lead along the borders between labels.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from drawing.fields import (
    Array,
    Labels,
    blur,
    fractal,
    mix,
    noise,
    palette,
    ramp,
    smoothstep,
    to_image,
)
from drawing.garden import HEIGHT, SIZE, WIDTH, Window, cut_window

LEAD = palette("#07080a", "#1a1b1f", "#6d7078")


def turned(texture: Array, angle: Array, shift: Labels) -> Array:
    """`texture` (a square) looked up by every pixel in its own piece's direction."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    last = len(texture) - 1
    u = (x * np.cos(angle) + y * np.sin(angle)).astype(int) + shift
    v = (y * np.cos(angle) - x * np.sin(angle)).astype(int) + 2 * shift
    row, column = (np.abs(way % (2 * last) - last) for way in (v, u))  # mirrored: no seams
    return texture[row, column]


def shading(labels: Labels, angle: Array) -> Array:
    """-1 to 1 across each piece along its angle."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    flat = labels.ravel()
    area = np.maximum(np.bincount(flat, minlength=len(angle)), 1)
    along = x * np.cos(angle[labels]) + y * np.sin(angle[labels])
    center = np.bincount(flat, along.ravel(), len(angle)) / area
    apart = along - center[labels]
    extent = np.sqrt(np.bincount(flat, (apart**2).ravel(), len(angle)) / area) + 1
    return np.clip(apart / (1.8 * extent[labels]), -1, 1)


def bubbles(rng: np.random.Generator, count: int) -> Array:
    """Seeds in the glass: small bright rims, each with a dark side."""
    image = Image.new("F", (WIDTH, HEIGHT))
    pen = ImageDraw.Draw(image)
    for x, y, r in zip(
        rng.uniform(0, WIDTH, count),
        rng.uniform(0, HEIGHT, count),
        rng.gamma(2, 0.5, count) + 0.9,
        strict=True,
    ):
        pen.ellipse((x - r, y - 1.4 * r, x + r, y + 1.4 * r), fill=-0.5)
        pen.ellipse((x - 0.6 * r, y - 0.8 * r, x + 0.9 * r, y + 1.3 * r), fill=0.9)
    return blur(np.asarray(image, dtype=np.float64), 0.8)


def glass(rng: np.random.Generator, window: Window, labels: Labels) -> Array:
    """Sunlight through the pieces: color to the power of a thickness that wavers."""
    count = len(window.angle)
    angle = np.array(window.angle)
    shift = rng.integers(0, 4000, count)[labels]
    lean = (angle + rng.choice([0, np.pi / 2], count, p=[0.7, 0.3]))[labels]
    streaks = turned(noise(rng, 2048, 2048, (9, 130)) + fractal(rng, 2048, 2048, 90), lean, shift)
    hammered = turned(noise(rng, 2048, 2048, 13), lean, shift)
    slope_y, slope_x = np.gradient(hammered)
    relief = 5 * (slope_y - slope_x)
    kind = rng.random(count)[labels]  # some pieces are streaky, some hammered
    color = mix(
        np.array(window.dark)[labels],
        np.array(window.light)[labels],
        (0.5 + 0.5 * shading(labels, angle) + 0.10 * streaks)[..., None],
    )
    thickness = 1 + (0.12 + 0.22 * (kind < 0.6)) * streaks + rng.normal(0, 0.12, count)[labels]
    color = np.clip(color, 0.012, 1) ** np.clip(thickness, 0.4, 2.2)[..., None]
    sparkle = 1 + np.clip(relief, -2, 2) * np.where(kind > 0.4, 0.09, 0.03)
    return color * (sparkle + 0.35 * bubbles(rng, 1800))[..., None]


def borders(labels: Labels) -> tuple[Array, Array]:
    """Where pieces meet, and where three or more meet (1 there, 0 elsewhere)."""
    right, down = np.roll(labels, -1, 1), np.roll(labels, -1, 0)
    corner = np.roll(down, -1, 1)
    a, b = labels != right, labels != down
    joints = (a & b & (right != down)) | (a & b & (corner != right) & (corner != labels))
    edges = a | b
    for mask in (edges, joints):
        mask[-1], mask[:, -1] = False, False
    return edges.astype(float), joints.astype(float)


def widened(mask: Array, pixels: int) -> Array:
    """The mask grown to lines `pixels` wide."""
    image = Image.fromarray((mask * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.MaxFilter(pixels)), dtype=np.float64) / 255


def leaded(rng: np.random.Generator, picture: Array, labels: Labels) -> Array:
    """Lay the lead over the glass: round, dull, blobbed with solder where pieces meet."""
    edges, joints = borders(labels)
    profile = blur(widened(edges, 7), 2.2) + 0.9 * blur(widened(joints, 11), 3)
    profile += 0.05 * noise(rng, HEIGHT, WIDTH, 14)
    shade = blur(widened(edges, 9), 9)
    picture = picture * (1.12 - 0.75 * np.clip(shade, 0, 1))[..., None]
    slope_y, slope_x = np.gradient(np.minimum(profile, 1.3))
    shine = np.clip(-(slope_x + slope_y) * 2.4, 0, 1) * (0.8 + 0.3 * noise(rng, HEIGHT, WIDTH, 9))
    lead = ramp(LEAD, np.clip(0.12 + 0.5 * shine, 0, 1))
    return mix(picture, lead, smoothstep(0.36, 0.56, profile)[..., None])


def sunlight() -> Array:
    """How bright the day is behind each place."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / WIDTH
    glow = np.exp(-(((x - 0.5) / 0.75) ** 2) - ((y - 0.42) / 0.8) ** 2)
    return 0.72 + 0.55 * glow


def draw() -> Image.Image:
    """The finished picture."""
    rng = np.random.default_rng(1144)
    window = cut_window()
    labels = np.asarray(window.image).astype(np.int64)
    picture = glass(rng, window, labels) * sunlight()[..., None]
    picture = leaded(rng, picture, labels)
    halo = np.stack([blur(channel, 14) for channel in np.moveaxis(picture, -1, 0)], -1)
    return to_image(1 - (1 - np.clip(picture, 0, 1)) * (1 - 0.22 * np.clip(halo, 0, 1)), SIZE)
