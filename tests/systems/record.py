"""Loss terms of the published systems, evaluated in PyTorch and double precision.

    python tests/systems/record.py WEIGHTS.h5 IMAGE CONTENT STYLE -o values.json

An oracle for the presets: it shares nothing with jaxstyle but the file of weights. The values of a
system are its loss terms, each times its default weight, on the three pictures as they are: nothing
is resized. The files beside this one were recorded in this folder, with PyTorch 2.13, by

    python record.py vgg19-normalized.h5 image.png content.png style.png -o values.json
    python record.py vgg19-normalized.h5 image.png content.png style_same_size.png \
        -o values_same_size.json
    python record.py small.h5 image.png content.png style.png --every 2 -o values_small.json
    python record.py small.h5 image.png content.png style_same_size.png --every 2 \
        -o values_small_same_size.json

The first two have the default weights of jaxstyle, the others the network of few channels that
``few_channels.py`` writes: these can be compared with anywhere, and in little time.

Gatys et al. 2015 and Keras compare Gram matrices that are not divided by the number of
positions, for which the style must have the size of the image; for other styles their rows are the
bare formula.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from published import SYSTEMS, System, with_colors_of
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Weights:
    """A file of convert_weights whose channels are BGR, read without it."""

    layers: Mapping[str, tuple[Tensor, Tensor]]  # out x in x 3 x 3, out
    scale: Tensor
    mean: Tensor
    std: Tensor


def read_weights(path: Path) -> Weights:
    with h5py.File(path) as file:
        assert file.attrs["channel_order"] == b"BGR"
        layers = {
            name: (double(group["kernel"][()].transpose(3, 2, 0, 1)), double(group["bias"][()]))
            for name, group in file.items()
        }
        return Weights(layers, *(double(file.attrs[name]) for name in ("scale", "mean", "std")))


def read_picture(path: Path, every: int) -> Tensor:
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))[::every, ::every]
        return double(pixels.transpose(2, 0, 1)) / 255


def double(array: np.ndarray | tuple[float, ...]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float64))


def network_input(system: System, weights: Weights, image: Tensor) -> Tensor:
    unit = weights.scale if system.unit is None else system.unit
    mean = weights.mean if system.mean is None else double(system.mean)
    return (image.flip(0) * unit - mean[:, None, None]) / weights.std[:, None, None]


def features(system: System, weights: Weights, image: Tensor) -> dict[str, Tensor]:
    """All ReLUs and pools to relu5_3."""
    x, found = network_input(system, weights, image)[None], {}
    for block, convolutions in enumerate((2, 2, 4, 4, 3), start=1):
        for index in range(1, convolutions + 1):
            first = (block, index) == (1, 1)
            mode = "replicate" if first and system.replicate_first else "constant"
            x = functional.pad(x, (1, 1, 1, 1), mode)
            x = functional.conv2d(x, *weights.layers[f"conv{block}_{index}"]).relu()
            found[f"relu{block}_{index}"] = x[0]
        if block < 5:
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
    if system.whole:
        measure = partial(features, system, weights)
        return {n: float(x) for n, x in system.whole(measure, image, content, style).items()}
    if system.recolored:
        style = with_colors_of(content, style)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("weights", "image", "content", "style"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every N-th pixel, both ways")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    paths = given.image, given.content, given.style
    loaded, pictures = read_weights(given.weights), [read_picture(p, given.every) for p in paths]
    with torch.no_grad():
        found = {name: terms(system, loaded, *pictures) for name, system in SYSTEMS.items()}
    values = {name: {"terms": each, "total": sum(each.values())} for name, each in found.items()}
    names = ", ".join(path.name for path in (given.weights, *paths))
    what = f"Weighted loss terms of the published systems' defaults, float64, of {names}"
    what += f", every {given.every} pixels" if given.every > 1 else ""
    given.output.write_text(json.dumps({"what": what, "values": values}, indent=1) + "\n")


if __name__ == "__main__":
    main()
