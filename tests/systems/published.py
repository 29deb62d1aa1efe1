"""What the published systems compute by default, in PyTorch: their formulas, weights and networks.

Shares nothing with jaxstyle, and was written from the papers and the systems' own code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

CONV1_TO_5 = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
TEXTURE = ("relu1_1", "pool1", "pool2", "pool3", "pool4")
CHANNELS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}

# Images are 3 x H x W of sRGB in [0, 1], maps C x H x W. The terms of a layer are functions of the
# image's maps and the other picture's; style terms also of the image's number of pixels.
ContentTerm = Callable[[Tensor, Tensor], Tensor]
StyleTerm = Callable[[Tensor, Tensor, int], Tensor]
Measure = Callable[[Tensor], Mapping[str, Tensor]]

NNST_LAYERS = (
    *("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3"),
    *("relu4_1", "relu4_2", "relu4_3"),
)
NNST_FACTORS = (0.1, 0.2, 0.5, 0.5, 1, 1, 1, 2, 2, 2)  # for normalized weights; else all 1
STROTSS_LAYERS = (*NNST_LAYERS[:7], "relu4_3", "relu5_3")
PALETTE = torch.tensor(
    [
        [0.577350, 0.577350, 0.577350],
        [-0.577350, 0.788675, -0.211325],
        [-0.577350, -0.211325, 0.788675],
    ],
    dtype=torch.float64,
)


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


def gram_of_the_paper(maps: Tensor, style: Tensor, pixels: int) -> Tensor:
    """1 / (4 N^2 M^2) sum (G - A)^2, of N channels and M positions: Gatys et al. 2015."""
    return sum_square(gram(maps), gram(style)) / (4 * maps.numel() ** 2)


def gram_of_keras(maps: Tensor, style: Tensor, pixels: int) -> Tensor:
    """The same with the image's own size in place of the maps': three channels, all its pixels."""
    return sum_square(gram(maps), gram(style)) / (4 * 3**2 * pixels**2)


def wasserstein(maps: Tensor, style: Tensor, pixels: int) -> Tensor:
    """Squared 2-Wasserstein distance of two Gaussians, divided by the number of channels."""
    (mean, covariance), (mean2, covariance2) = moments(maps, 1e-4), moments(style, 1e-4)
    root2 = square_root(covariance2)
    cross = square_root(root2 @ covariance @ root2)
    return mean_square(mean, mean2) + torch.diag(covariance + covariance2 - 2 * cross).mean()


def moments(maps: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Mean, and covariance with a ridge on its diagonal."""
    flat = maps.flatten(1)
    covariance = torch.cov(flat, correction=0)
    return flat.mean(1), covariance + ridge * torch.eye(len(flat), dtype=maps.dtype)


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


def with_colors_of(content: Tensor, style: Tensor) -> Tensor:
    """The style with the content's mean color and covariance, by way of their Cholesky factors."""
    (mean, covariance), (style_mean, style_covariance) = (
        moments(picture, 1e-5) for picture in (content, style)
    )
    root, style_root = torch.linalg.cholesky(covariance), torch.linalg.cholesky(style_covariance)
    centered = style.flatten(1) - style_mean[:, None]
    moved = root @ torch.linalg.inv(style_root) @ centered + mean[:, None]
    return moved.clamp(0, 1).view_as(style)


def hypercolumns(measure: Measure, picture: Tensor) -> Tensor:
    """Places x channels: maps over their number of channels, resized to a fourth of the picture."""
    size = picture.shape[1] // 4, picture.shape[2] // 4
    maps, mean = measure(picture), sum(NNST_FACTORS) / len(NNST_FACTORS)
    factors = zip(NNST_LAYERS, NNST_FACTORS, strict=True)
    each = [factor / mean * maps[layer][None] / len(maps[layer]) for layer, factor in factors]
    resized = [functional.interpolate(x, size, mode="bilinear", align_corners=True) for x in each]
    return torch.cat(resized, dim=1)[0].flatten(1).T


def neighbors(measure: Measure, image: Tensor, content: Tensor, style: Tensor) -> dict:
    """NNST: the distance of the image's hypercolumns to their neighbors, if it were to start."""
    detail = content - coarse(content)
    searched = 0.25 * (coarse(image) + detail) + 0.75 * content
    wanted = hypercolumns(measure, searched)
    turned = [torch.rot90(style, turn, (1, 2)) for turn in range(4)]
    styles = torch.cat([hypercolumns(measure, each) for each in turned])
    likeness = normal(wanted - wanted.mean(0)) @ normal(styles - styles.mean(0)).T
    targets = styles[likeness.argmax(1)]
    found = hypercolumns(measure, image)
    weight = sum(NNST_FACTORS) / len(NNST_FACTORS)
    return {"style/hypercolumns": weight * (1 - (normal(found) * normal(targets)).sum(1).mean())}


def coarse(image: Tensor) -> Tensor:
    height, width = image.shape[1:]
    small = functional.interpolate(image[None], (height // 2, width // 2), mode="bilinear")
    return functional.interpolate(small, (height, width), mode="bilinear")[0]


def normal(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-4)


def transport(measure: Measure, image: Tensor, content: Tensor, style: Tensor) -> dict:
    """STROTSS at its first scale, where the content's weight is 16."""
    ours, theirs, painted = (
        sampled(picture, measure(picture), count)
        for picture, count in ((image, 1024), (content, 1024), (style, 5000))
    )
    alike = [distances(x, x) / distances(x, x).sum(1, keepdim=True) for x in (ours, theirs)]
    features = relaxed(distances(ours[:, 3:], painted[:, 3:]))
    moments = (ours.mean(0) - painted.mean(0)).abs().mean()
    moments += (torch.cov(ours.T) - torch.cov(painted.T)).abs().mean()
    colors = [x[:, :3] @ PALETTE.T for x in (ours, painted)]
    apart = (torch.cdist(*colors) ** 2).clamp_min(1e-5).div(3).sqrt()
    palette = relaxed(distances(*colors) + apart)
    return {
        "content/hypercolumns": 16 * len(ours) * (alike[0] - alike[1]).abs().mean(),
        "style/hypercolumns": features + moments + palette / 16,
    }


def sampled(picture: Tensor, maps: Mapping[str, Tensor], count: int) -> Tensor:
    """Places x channels: pixels and features at the points of Roberts' sequence."""
    ratio = 1 / 1.32471795724474602596
    index = torch.arange(1, count + 1, dtype=torch.float64)
    rows, columns = (
        (((index * ratio**power) % 1 + 0.5) % 1 * side).floor()
        for power, side in ((1, picture.shape[1]), (2, picture.shape[2]))
    )
    parts = [picture[:, rows.long(), columns.long()]]
    for layer in STROTSS_LAYERS:
        stride = 2 ** (int(layer[4]) - 1)
        parts.append(between(maps[layer], rows / stride, columns / stride))
    return torch.cat(parts).T


def between(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Bilinear interpolation, with the border repeated."""
    found, (height, width) = 0, maps.shape[1:]
    for down in (0, 1):
        for beside in (0, 1):
            row, column = rows.floor() + down, columns.floor() + beside
            share = (1 - (rows - row).abs()) * (1 - (columns - column).abs())
            at = row.clamp(0, height - 1).long(), column.clamp(0, width - 1).long()
            found = found + share * maps[:, at[0], at[1]]
    return found


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Cosine distances of all pairs of rows."""
    a, b = (x / x.norm(dim=1, keepdim=True).clamp_min(1e-6) for x in (a, b))
    return 1 - a @ b.T


def relaxed(costs: Tensor) -> Tensor:
    return torch.maximum(costs.amin(0).mean(), costs.amin(1).mean())


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
      recolored: the style picture is given the content's colors first.
      whole: all of the terms, of a system whose losses are on several layers at once.
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
    recolored: bool = False
    whole: Callable[[Measure, Tensor, Tensor, Tensor], dict[str, Tensor]] | None = None


def each(weight: float, layers: tuple[str, ...] = CONV1_TO_5) -> dict[str, float]:
    return dict.fromkeys(layers, weight)


GATYS_WEIGHTS = {layer: 1e3 / channels**2 for layer, channels in CHANNELS.items()}
GATYS_MEAN = (0.40760392 * 255, 0.45795686 * 255, 0.48501961 * 255)
CAFFE = {"pooling": "average", "keep_odd": True}
"""Caffe pools a last odd row too, averaging over the pixels that there are."""

# The weights of leongatys/NeuralImageSynthesis, BasicStyleTransfer.ipynb, for the normalized
# network: means, where the paper's equations are sums.
GATYS_2016 = System(
    content={"relu4_2": 1e6},
    style=each(1e9 / 5),
    style_term=gram_per_position,
    mean=GATYS_MEAN,
    **CAFFE,
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
        mean=GATYS_MEAN,
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
    "gatys-2015": System(
        content={"relu4_2": 1.0},
        content_term=half_sum_square,
        style=each(1e3 / 5),
        style_term=gram_of_the_paper,
        **CAFFE,
    ),
    "nnst": System(content={}, style={}, whole=neighbors),
    "strotss": System(content={}, style={}, whole=transport),
    "gatys-2016": GATYS_2016,
    "gatys-color": replace(GATYS_2016, recolored=True),
    "gatys-2017": System(
        content={"relu4_2": 1.0},
        style=GATYS_WEIGHTS,
        style_term=gram_per_position,
        mean=GATYS_MEAN,
        keep_odd=True,
    ),
    # leongatys/DeepTextures: 1e9 a layer (Example.ipynb), a quarter of the mean square
    # (LossFunctions.py).
    "gatys-texture": System(
        content={},
        style=each(1e9 / 4, TEXTURE),
        style_term=gram_per_position,
        mean=GATYS_MEAN,
        **CAFFE,
    ),
}
