"""Loss terms of the published systems, evaluated in PyTorch and double precision.

    python tests/systems/record.py WEIGHTS.h5 IMAGE CONTENT STYLE -o values.json

An oracle for the presets: it shares nothing with jaxstyle but the file of weights. The values of a
system are its loss terms, each times its default weight, on the three pictures as they are: nothing
is resized. Three of the papers, and Keras, compare Gram matrices that are not divided by the number
of positions, for which the style must have the size of the image; for other styles their rows are
the bare formula.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

CONV1_TO_5 = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
TEXTURE = ("relu1_1", "pool1", "pool2", "pool3", "pool4")
CHANNELS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}

# Images are 3 x H x W of sRGB in [0, 1], maps C x H x W. The terms of a layer are functions of the
# image's maps and the other picture's; style terms also of the image's number of pixels.
ContentTerm = Callable[[Tensor, Tensor], Tensor]
StyleTerm = Callable[[Tensor, Tensor, int], Tensor]


def gram(maps: Tensor) -> Tensor:
    flat = maps.flatten(1)
    return flat @ flat.T


def mean_square(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) ** 2).mean()


def sum_square(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) ** 2).sum()


def half_sum_square(a: Tensor, b: Tensor) -> Tensor:
    return sum_square(a, b) / 2


def gram_per_entry(maps: Tensor, style: Tensor, pixels: int) -> Tensor:
    """Gram / (C H W), mean square."""
    return mean_square(gram(maps) / maps.numel(), gram(style) / style.numel())


def gram_per_position(maps: Tensor, style: Tensor, pixels: int) -> Tensor:
    """Gram / (H W), mean square."""
    return mean_square(gram(maps) / maps[0].numel(), gram(style) / style[0].numel())


def gram_of_the_papers(maps: Tensor, style: Tensor, pixels: int) -> Tensor:
    """1 / (4 N^2 M^2) sum (G - A)^2, of N channels and M positions."""
    return sum_square(gram(maps), gram(style)) / (4 * maps.numel() ** 2)


def gram_of_keras(maps: Tensor, style: Tensor, pixels: int) -> Tensor:
    """The same with the image's own size in place of the maps': three channels, all its pixels."""
    return sum_square(gram(maps), gram(style)) / (4 * 3**2 * pixels**2)


def wasserstein(maps: Tensor, style: Tensor, pixels: int) -> Tensor:
    """Squared 2-Wasserstein distance of two Gaussians, divided by the number of channels."""
    (mean, covariance), (mean2, covariance2) = moments(maps), moments(style)
    root2 = square_root(covariance2)
    cross = square_root(root2 @ covariance @ root2)
    return mean_square(mean, mean2) + torch.diag(covariance + covariance2 - 2 * cross).mean()


def moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    mean = maps.flatten(1).mean(1)
    second = gram(maps) / maps[0].numel()
    return mean, second - torch.outer(mean, mean) + 1e-4 * torch.eye(len(mean), dtype=maps.dtype)


def square_root(matrix: Tensor) -> Tensor:
    """As far as twelve Newton-Schulz iterations bring it, which is not all the way: the terms are
    some percent larger than with the exact root."""
    norm = torch.linalg.norm(matrix)
    identity = torch.eye(len(matrix), dtype=matrix.dtype)
    root, inverse = matrix / norm, identity
    for _ in range(12):
        step = (3 * identity - inverse @ root) / 2
        root, inverse = root @ step, step @ inverse
    return root * norm.sqrt()


def differences(image: Tensor) -> tuple[Tensor, Tensor]:
    """Along a row and down a column."""
    return image[:, :, 1:] - image[:, :, :-1], image[:, 1:] - image[:, :-1]


def variation_power(image: Tensor, exponent: float) -> Tensor:
    """Sum of (dx^2 + dy^2)^exponent where both exist: not in the last row, nor the last column."""
    dx, dy = differences(image)
    return ((dx[:, :-1] ** 2 + dy[:, :, :-1] ** 2) ** exponent).sum()


def variation_absolute(image: Tensor) -> Tensor:
    dx, dy = differences(image)
    return dx.abs().sum() + dy.abs().sum()


def variation_mean_square(image: Tensor) -> Tensor:
    dx, dy = differences(image)
    return (dx**2).mean() + (dy**2).mean()


def variation_nine_points(image: Tensor) -> Tensor:
    """With diagonals, and a border that is repeated once."""
    x = functional.pad(image[None], (1, 1, 1, 1), "replicate")[0]
    right = x[:, 1:-1, 2:] - x[:, 1:-1, 1:-1]
    down = x[:, 2:, 1:-1] - x[:, 1:-1, 1:-1]
    falling = x[:, 1:, 1:] - x[:, :-1, :-1]
    rising = x[:, 1:, :-1] - x[:, :-1, 1:]
    straight = (right**2).mean() + (down**2).mean()
    diagonal = (falling**2).mean() + (rising**2).mean()
    return 2 * (straight / 3 + diagonal / 12)


@dataclass(frozen=True)
class System:
    """What a system computes by default.

    Attributes:
      content, style: weights by layer.
      content_term, style_term: what they multiply.
      variation: the weighted total variation of an image in [0, 1].
      unit: the network's input per unit of the image; the file's own scale where None.
      mean: BGR, of the network's input; the file's own where None.
      pooling: "max" or "average".
      keep_odd: pools a last odd row or column, as ceil mode and TensorFlow's SAME do.
      replicate_first: repeats the border of the image for the first convolution; all others, and
        all those of the other systems, see zeros.
    """

    content: Mapping[str, float]
    style: Mapping[str, float]
    content_term: ContentTerm = mean_square
    style_term: StyleTerm = gram_per_entry
    variation: Callable[[Tensor], Tensor] | None = None
    unit: float | None = None
    mean: tuple[float, float, float] | None = None
    pooling: str = "max"
    keep_odd: bool = False
    replicate_first: bool = False


def each(weight: float, layers: tuple[str, ...] = CONV1_TO_5) -> dict[str, float]:
    return dict.fromkeys(layers, weight)


GATYS_WEIGHTS = {layer: 1e3 / channels**2 for layer, channels in CHANNELS.items()}
GATYS_PAPER = System(
    content={"relu4_2": 1.0},
    content_term=half_sum_square,
    style=each(1e3 / 5),
    style_term=gram_of_the_papers,
    pooling="average",
)
SYSTEMS = {
    "neural-style": System(
        content={"relu4_2": 5.0},
        style=each(100.0),
        variation=lambda image: 1e-3 / 2 * variation_power(256 * image, 1),
        unit=256.0,
        keep_odd=True,
    ),
    "neural-style-pt": System(
        content={"relu4_2": 5.0},
        style=each(100.0),
        variation=lambda image: 1e-3 * variation_absolute(255 * image),
    ),
    "anishathalye": System(
        content={"relu4_2": 5.0},
        style=each(500.0 / 5),
        variation=lambda image: 100 * variation_mean_square(255 * image),
        keep_odd=True,
    ),
    "gatys-pytorch": System(
        content={"relu4_2": 1.0},
        style=GATYS_WEIGHTS,
        style_term=gram_per_position,
        mean=(0.40760392 * 255, 0.45795686 * 255, 0.48501961 * 255),
    ),
    "crowsonkb": System(
        content={"relu4_2": 0.015},
        style=dict(zip(CONV1_TO_5, (w / 341 for w in (256, 64, 16, 4, 1)), strict=True)),
        style_term=wasserstein,
        variation=lambda image: 2 * variation_nine_points(image),
        replicate_first=True,
    ),
    "keras": System(
        content={"relu5_2": 2.5e-8},
        content_term=sum_square,
        style=each(1e-6 / 5),
        style_term=gram_of_keras,
        variation=lambda image: 1e-6 * variation_power(255 * image, 1.25),
    ),
    "tf-tutorial": System(
        content={"relu5_2": 1e3}, style=each(1e-3 / 5), style_term=gram_per_position
    ),
    "tf-mat": System(content={"relu4_2": 5.0}, style=each(0.2), pooling="average", keep_odd=True),
    "gatys-2015": GATYS_PAPER,
    "gatys-2016": GATYS_PAPER,
    "gatys-2017": System(
        content={"relu4_2": 1.0},
        style=GATYS_WEIGHTS,
        style_term=gram_per_position,
        keep_odd=True,
    ),
    "gatys-texture": System(
        content={}, style=each(1.0, TEXTURE), style_term=gram_of_the_papers, pooling="average"
    ),
}


@dataclass(frozen=True)
class Weights:
    """A file of convert_weights, read without it."""

    layers: Mapping[str, tuple[Tensor, Tensor]]  # out x in x 3 x 3, out
    order: str
    scale: float
    mean: Tensor
    std: Tensor


def read_weights(path: Path) -> Weights:
    with h5py.File(path) as file:
        layers = {
            name: (double(group["kernel"][()].transpose(3, 2, 0, 1)), double(group["bias"][()]))
            for name, group in file.items()
        }
        attributes = {name: np.asarray(value) for name, value in file.attrs.items()}
        return Weights(
            layers,
            order=attributes["channel_order"].item().decode(),
            scale=float(attributes["scale"]),
            mean=double(attributes["mean"]),
            std=double(attributes["std"]),
        )


def read_picture(path: Path) -> Tensor:
    with Image.open(path) as picture:
        return double(np.asarray(picture.convert("RGB")).transpose(2, 0, 1)) / 255


def double(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, np.float64))


def network_input(system: System, weights: Weights, image: Tensor) -> Tensor:
    unit = weights.scale if system.unit is None else system.unit
    mean = weights.mean
    if system.mean is not None:
        mean = torch.tensor(system.mean, dtype=image.dtype)
        mean = mean if weights.order == "BGR" else mean.flip(0)
    ordered = image.flip(0) if weights.order == "BGR" else image
    return (ordered * unit - mean[:, None, None]) / weights.std[:, None, None]


def features(system: System, weights: Weights, image: Tensor) -> dict[str, Tensor]:
    """All ReLUs and pools to relu5_2."""
    x, found = network_input(system, weights, image)[None], {}
    for block, convolutions in enumerate((2, 2, 4, 4, 2), start=1):
        for index in range(1, convolutions + 1):
            first = (block, index) == (1, 1)
            mode = "replicate" if first and system.replicate_first else "constant"
            x = functional.pad(x, (1, 1, 1, 1), mode)
            x = functional.conv2d(x, *weights.layers[f"conv{block}_{index}"]).relu()
            found[f"relu{block}_{index}"] = x[0]
        x = pool(system, x)
        found[f"pool{block}"] = x[0]
    return found


def pool(system: System, x: Tensor) -> Tensor:
    # A window that reaches beyond the map is averaged over the pixels that it has.
    pooled = functional.max_pool2d if system.pooling == "max" else functional.avg_pool2d
    return pooled(x, 2, ceil_mode=system.keep_odd)


def terms(
    system: System, weights: Weights, image: Tensor, content: Tensor, style: Tensor
) -> dict[str, float]:
    """The weighted terms, by name."""
    of_image, of_content, of_style = (
        features(system, weights, picture) for picture in (image, content, style)
    )
    found = {}
    for layer, weight in system.content.items():
        found[f"content/{layer}"] = weight * system.content_term(of_image[layer], of_content[layer])
    for layer, weight in system.style.items():
        pixels = image[0].numel()
        term = system.style_term(of_image[layer], of_style[layer], pixels)
        found[f"style/{layer}"] = weight * term
    if system.variation:
        found["tv"] = system.variation(image)
    return {name: float(value) for name, value in found.items()}


def record(weights: Path, image: Path, content: Path, style: Path) -> dict[str, dict]:
    """Terms and their total, by system."""
    loaded, pictures = read_weights(weights), [read_picture(p) for p in (image, content, style)]
    with torch.no_grad():
        found = {name: terms(system, loaded, *pictures) for name, system in SYSTEMS.items()}
    return {name: {"terms": t, "total": sum(t.values())} for name, t in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("weights", "image", "content", "style"):
        parser.add_argument(name, type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = vars(parser.parse_args())
    output = given.pop("output")
    names = ", ".join(path.name for path in given.values())
    what = f"Weighted loss terms of the published systems' defaults, float64, of {names}"
    values = record(**given)
    output.write_text(json.dumps({"what": what, "values": values}, indent=1) + "\n")


if __name__ == "__main__":
    main()
