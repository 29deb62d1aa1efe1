"""How photorealistic results compare with those of Luan et al., on pairs of theirs.

    python examples/photo_table.py DEEP_PHOTO 1 5 9 -o table.md --pictures OUT/

DEEP_PHOTO is a copy of https://github.com/luanfujun/deep-photo-styletransfer: of each pair its
photo, style, segmentations and the authors' final picture are read. Needs scikit-image, which the
extra "test" has.
For every pair and way there are three numbers, of the picture at the authors' size:

    style     the masked style loss of preset deep-photo, all regions
    energy    v^T L v, the matting-Laplacian energy: how far it is from local affine recoloring
    edges     structural similarity (SSIM) of its luminance's edges (Sobel) to the photo's
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from skimage.filters import sobel
from skimage.metrics import structural_similarity

from jaxstyle import images, score, stylize
from jaxstyle.guidance.recolor import recolored
from jaxstyle.images import color
from jaxstyle.images.histogram import match_histograms
from jaxstyle.network import weights

COLUMNS = "| pair | way | style | energy | edges |\n|---|---|---:|---:|---:|"


class Pair(NamedTuple):
    """Files of one pair."""

    photo: Path
    style: Path
    photo_mask: Path
    style_mask: Path
    authors: Path

    @property
    def masks(self) -> dict[str, list[str]]:
        """As settings."""
        return {"content_mask": [str(self.photo_mask)], "style_mask": [str(self.style_mask)]}


class Made(NamedTuple):
    """A picture, and how it was made."""

    way: str
    picture: np.ndarray


def pair_of(folder: Path, number: str) -> Pair:
    """The files of a pair in the authors' repository."""
    examples = folder / "examples"
    return Pair(
        examples / f"input/in{number}.png",
        examples / f"style/tar{number}.png",
        examples / f"segmentation/in{number}.png",
        examples / f"segmentation/tar{number}.png",
        folder / f"examples/final_results/best{number}_t_1000.png",
    )


def ways(pair: Pair, loaded: weights.Loaded) -> Iterator[Made]:
    """The authors' picture, ours, and baselines, all of the photo's size."""
    photo, style = images.read(pair.photo).rgb, images.read(pair.style).rgb
    yield Made("the photo itself", photo)
    yield Made("Luan et al., final", images.read(pair.authors).rgb)
    yield Made("one color map (`--method color`)", recolored(photo, [style]))
    yield Made("`--method histogram`", match_histograms(photo, style))
    size = max(photo.shape)
    for way, given in (
        ("photo, masks", pair.masks),
        ("photo, `--auto-masks 4`", {"auto_masks": 4}),
        ("photo, no masks", {}),
    ):
        result = stylize(
            str(pair.photo),
            str(pair.style),
            weights_file=loaded,
            preset="photo",
            size=size,
            **given,
        )
        yield Made(way, result.image)


def figures(pair: Pair, picture: np.ndarray, loaded: weights.Loaded) -> tuple[float, float, float]:
    """Style loss, energy and similarity of edges."""
    photo = images.read(pair.photo).rgb
    measured = score(
        picture,
        str(pair.photo),
        str(pair.style),
        weights_file=loaded,
        preset="deep-photo",
        content_weight=1.0,
        style_weight=1e5,
        photorealism_weight=1.0,
        **pair.masks,
    ).terms
    style = sum(value for name, value in measured.items() if name.startswith("style/"))
    return style, measured["photorealism"], edges(picture, photo)


def edges(picture: np.ndarray, photo: np.ndarray) -> float:
    """SSIM of the edges of the two."""
    ours, theirs = (sobel(color.luminance(each, "rec601")) for each in (picture, photo))
    return structural_similarity(ours, theirs, data_range=1.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the pictures, measure them, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DEEP_PHOTO")
    parser.add_argument("pairs", nargs="+", metavar="NUMBER")
    parser.add_argument("-o", "--output", type=Path, metavar="table.md")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write the pictures there")
    given = parser.parse_args(arguments)
    loaded, lines = weights.load(weights.find()), [COLUMNS]
    print(COLUMNS, flush=True)
    for number in given.pairs:
        pair = pair_of(given.folder, number)
        for index, (way, picture) in enumerate(ways(pair, loaded)):
            style, energy, similar = figures(pair, picture, loaded)
            lines.append(f"| {number} | {way} | {style:.3g} | {energy:.4g} | {similar:.3f} |")
            print(lines[-1], flush=True)
            if given.pictures:
                path = given.pictures / f"{number}-{index}.png"
                images.write(path, images.Picture(picture, None))
    if given.output:
        images.write_text(given.output, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
