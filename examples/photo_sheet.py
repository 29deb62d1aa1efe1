"""The picture of docs/photo.md: photos, photos whose light they take, and what comes out.

python examples/photo_sheet.py -o docs/photo.jpg
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxstyle import images, stylize
from jaxstyle.images import sizes

PHOTOS = Path(__file__).resolve().parent / "photos"
PAIRS = (("coffee", "chelsea"), ("rocket", "hubble"))
HEIGHT, GAP = 300, 8


def fitted(name: str, height: int) -> np.ndarray:
    """A photo at a height."""
    rgb = images.read(PHOTOS / f"{name}.jpg").rgb
    return images.resize(rgb, *sizes.fit(*rgb.shape[:2], height, "height"))


def column(photo: str, style: str) -> np.ndarray:
    """One pair and its result, from top to bottom, all of the photo's width."""
    above = fitted(photo, HEIGHT)
    width = above.shape[1]
    other = images.read(PHOTOS / f"{style}.jpg").rgb
    middle = images.resize(other, round(other.shape[0] * width / other.shape[1]), width)
    middle = cropped(middle, HEIGHT)
    source = PHOTOS / f"{photo}.jpg", PHOTOS / f"{style}.jpg"
    made = stylize(*source, preset="photo", size=512).image
    return np.concatenate(
        [above, line(width), middle, line(width), images.resize(made, HEIGHT, width)]
    )


def cropped(rgb: np.ndarray, height: int) -> np.ndarray:
    """Its middle rows, or all of them between white ones."""
    missing = max(0, height - len(rgb))
    padded = np.pad(
        rgb, ((missing // 2, missing - missing // 2), (0, 0), (0, 0)), constant_values=1
    )
    top = (len(padded) - height) // 2
    return padded[top : top + height]


def line(width: int) -> np.ndarray:
    """What is between two pictures."""
    return np.ones((GAP, width, 3), np.float32)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="SHEET.jpg")
    given = parser.parse_args(arguments)
    images.check_writable(given.output)
    columns = [column(*pair) for pair in PAIRS]
    between = np.ones((len(columns[0]), GAP, 3), np.float32)
    parts = [part for each in columns for part in (each, between)][:-1]
    images.write(given.output, images.Picture(np.concatenate(parts, axis=1), None))


if __name__ == "__main__":
    main()
