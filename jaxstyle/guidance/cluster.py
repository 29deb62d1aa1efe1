"""Regions that content and style have in common, found without masks drawn by hand.

The places of all pictures are clustered together, by what the deep layers of VGG-19 see there: a
sky is to meet a sky, and houses houses, in another light. What light and weather do to a whole
picture is taken out first: each channel is standardized in each picture by itself, and only the
direction of a place's features counts. Luminance, relative to the picture's own, and height in the
picture add a little: skies are above, water is below.

Clusters are found by k-means, which starts from splits along principal axes (Su & Dy, "In search of
deterministic methods for initializing k-means", 2007): nothing is random. A cluster that is not in
the content and in some style picture is dissolved, and clusters that look alike, or do not agree
from one picture to the other, are merged (`jaxstyle.guidance.alike`). At last the masks, coarse as
the deep layers are, are drawn to the edges of their pictures by colors and texture, and with the
guided filter.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Float64, Int

from jaxstyle import images
from jaxstyle.guidance.alike import clusters_of, merged, summed, worth
from jaxstyle.guidance.masks import Regions
from jaxstyle.images.color import luminance
from jaxstyle.images.guided_filter import guided_filter, window_mean
from jaxstyle.network.vgg import VGG19, smallest_side

LAYERS = ("relu4_1", "relu5_1")
"""What places are described by, with the same weight; the first one has as many places."""

LUMINANCE, HEIGHT = 0.2, 0.4
"""Standard deviations of these two in a picture, where the features of a layer have length 1."""

COMPONENTS = 32
LEAST = 0.03
"""Of the places of the content, and of a style picture, that a region must have."""

SPARE = 3
"""Up to so many more clusters than regions are tried: some are in one picture only, or alike."""

ITERATIONS = 50
FEATURES_SIDE, MASKS_SIDE = 384, 512
"""The longest side of what the network sees, and at most of the masks."""

NEARBY, ROUNDS = 24, 4
"""How far, in pixels of a mask, an edge may be from where a round looks for it; how many rounds."""

RADIUS, EPSILON = 4, 1e-2
"""Of the guided filter, with a guide of standard deviation 1."""

_FAINT = 1e-3  # a standard deviation, or the length of features, under which nothing is seen

Image = Float[Array | np.ndarray, "_ _ 3"]
Picture = Float32[np.ndarray, "_ _ 3"]
Cells = Float64[np.ndarray, "_ _ _"]
Points = Float64[np.ndarray, "n d"]
Centers = Float64[np.ndarray, "k d"]
Labels = Int[np.ndarray, "_ _"]


def auto_regions(network: VGG19, content: Image, styles: Sequence[Image], count: int) -> Regions:
    """At most ``count`` regions that the content has in common with the style pictures.

    Masks are soft, sum to one in each pixel, and have a longest side of at most `MASKS_SIDE`
    pixels: time and memory do not depend on the pictures' sizes. The largest region of the content
    is the first. Each had a share of at least `LEAST` of the content and of some style picture
    until its edges were drawn, and has kept half of it. A note says if they are fewer than asked
    for: down to one, the whole of the pictures, where there is nothing that they share.
    """
    pictures = [np.asarray(picture, np.float32) for picture in (content, *styles)]
    labels = [np.zeros((1, 1), int) for _ in pictures]
    if count > 1:
        network = network.padded("replicate").direct()  # zeros around a picture would be a region
        labels = _common([_cells(network, picture) for picture in pictures], pictures, count)
    shares = np.bincount(labels[0].ravel())
    order = np.argsort(-shares, kind="stable")
    masks = [_masks(each, order, picture) for each, picture in zip(labels, pictures, strict=True)]
    found = len(order)
    fewer = f"asked for {count} regions: {found} found in both content and style"
    return Regions(
        names=tuple(f"region {number}" for number in range(1, found + 1)),
        content=masks[0],
        styles=tuple(masks[1:]),
        notes=(fewer,) if found < count else (),
    )


def _cells(network: VGG19, picture: Picture) -> Cells:
    """What is at each place: features of each layer, of length 1, then luminance and height."""
    smallest = smallest_side(LAYERS)
    sides = _sides(picture, FEATURES_SIDE / max(picture.shape[:2]), smallest)
    seen = images.resize(picture, *sides, "bilinear")
    features = np.asarray(_features(network, jax.device_put(seen)), np.float64)
    height, width, _ = features.shape
    light = luminance(images.resize(seen, height, width, "area"), "rec601").astype(np.float64)
    light = (light - light.mean()) / max(light.std(), _FAINT)
    heights = np.sqrt(12) * ((np.arange(height) + 0.5) / height - 0.5)
    # Nothing is above anything else in a picture of one color.
    rows = heights[:, None] * np.linalg.norm(features, axis=-1) / np.sqrt(len(LAYERS))
    return np.concatenate(
        [features, LUMINANCE * light[..., None], HEIGHT * rows[..., None]], axis=-1
    )


@jax.jit
def _features(network: VGG19, picture: Float[Array, "h w 3"]) -> Float32[Array, "gh gw c"]:
    features = network(picture, LAYERS)
    height, width, _ = features[LAYERS[0]].shape
    return jnp.concatenate(
        [_directions(features[layer], height, width) for layer in LAYERS], axis=-1
    )


def _directions(
    features: Float[Array, "h w c"], height: int, width: int
) -> Float32[Array, "{height} {width} c"]:
    """Standard scores of each channel in this picture, resized, of length 1 in each place."""
    precise = features.astype(jnp.float32)
    spread = jnp.std(precise, axis=(0, 1))
    # A channel that hardly answers to anything in the picture would be noise, made large.
    floor = 0.1 * jnp.mean(spread) + _FAINT
    scores = (precise - jnp.mean(precise, axis=(0, 1))) / jnp.maximum(spread, floor)
    resized = jax.image.resize(scores, (height, width, scores.shape[-1]), "linear")
    lengths = jnp.linalg.norm(resized, axis=-1, keepdims=True)
    return resized / jnp.maximum(lengths, _FAINT)


def _components(pictures: Sequence[Cells]) -> list[Cells]:
    """The first principal components of all pictures together, each with the same weight."""
    points = [cells.reshape(-1, cells.shape[-1]) for cells in pictures]
    mean = np.mean([p.mean(axis=0) for p in points], axis=0)
    covariance = np.mean([(p - mean).T @ (p - mean) / len(p) for p in points], axis=0)
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :COMPONENTS]
    return [(cells - mean) @ axes for cells in pictures]


def _common(cells: Sequence[Cells], pictures: Sequence[Picture], count: int) -> list[Labels]:
    """The region of each place: those that content and style share, ``count`` at most."""
    pieces = _components(cells)
    points = np.concatenate([c.reshape(-1, c.shape[-1]) for c in pieces])
    weights = np.concatenate([np.full(c[..., 0].size, 1 / c[..., 0].size) for c in pieces])
    best, regions = -np.inf, []
    for clusters in range(2, count + SPARE + 1):
        labels = _in_both(pieces, _k_means(points, weights, clusters))
        found = 1 + max(int(each.max()) for each in labels)
        sums = [_summed(*parts, found) for parts in zip(labels, cells, pictures, strict=True)]
        judged = clusters_of(sums[0], sums[1:])
        groups = merged(judged, count)
        if (value := worth(judged, groups)) > best:
            best, regions = value, [_grouped(each, groups) for each in labels]
    return regions


def _grouped(labels: Labels, groups: Sequence[Sequence[int]]) -> Labels:
    """The number of the group, in place of that of the cluster."""
    return np.argmax([np.isin(labels, group) for group in groups], axis=0)


def _summed(labels: Labels, cells: Cells, picture: Picture, count: int) -> list[np.ndarray]:
    """What the clusters of a picture are judged by. Height does not count: it is in every one."""
    seen, hard = _seen(picture), (labels[..., None] == np.arange(count)).astype(np.float32)
    height, width, _ = seen.shape
    soft = images.resize(hard, height, width, "bilinear")
    places, pixels = (each.reshape(-1, count).astype(np.float64) for each in (hard, soft))
    looks = _looks(seen).reshape(len(pixels), -1)
    return summed(places, cells[..., :-2].reshape(len(places), -1), pixels, looks)


def _in_both(pictures: Sequence[Cells], centers: Centers) -> list[Labels]:
    """The nearest center of each place, of those that content and style have; others dissolve."""
    distances = [np.asarray(window_mean(_distances(c, centers), 1)) for c in pictures]
    while True:
        labels = [each.argmin(axis=-1) for each in distances]
        shares = np.array([_shares(each, distances[0].shape[-1]) for each in labels])
        common = np.minimum(shares[0], shares[1:].max(axis=0))
        if len(common) == 1 or common.min() >= LEAST:
            return labels
        distances = [np.delete(each, common.argmin(), axis=-1) for each in distances]


def _shares(labels: Labels, count: int) -> Float64[np.ndarray, " k"]:
    return np.bincount(labels.ravel(), minlength=count) / labels.size


def _distances(cells: Float64[np.ndarray, "*n d"], centers: Centers) -> Float64[np.ndarray, "*n k"]:
    """Squared, from each center."""
    squares = (cells**2).sum(axis=-1, keepdims=True) + (centers**2).sum(axis=-1)
    return np.maximum(squares - 2 * cells @ centers.T, 0)


def _k_means(points: Points, weights: Float64[np.ndarray, " n"], count: int) -> Centers:
    """Lloyd's iteration until nothing changes; a cluster that runs empty keeps its center."""
    labels = _split(points, weights, count)
    centers = np.zeros((count, points.shape[1]))
    for _ in range(ITERATIONS):
        members = (labels == np.arange(count)[:, None]) * weights
        totals = members.sum(axis=1, keepdims=True)
        centers = np.where(totals > 0, members @ points / np.maximum(totals, 1e-12), centers)
        before, labels = labels, _distances(points, centers).argmin(axis=-1)
        if np.array_equal(labels, before):
            break
    return centers


def _split(points: Points, weights: Float64[np.ndarray, " n"], count: int) -> Int[np.ndarray, " n"]:
    """Labels to start from: the widest cluster is cut across its longest axis, until enough."""
    labels = np.zeros(len(points), int)
    for new in range(1, count):
        cuts = [_longest_axis(points[labels == k], weights[labels == k]) for k in range(new)]
        widest = int(np.argmax([error for error, _ in cuts]))
        labels[np.flatnonzero(labels == widest)[cuts[widest][1] > 0]] = new
    return labels


def _longest_axis(
    points: Points, weights: Float64[np.ndarray, " n"]
) -> tuple[float, Float64[np.ndarray, " n"]]:
    """The sum of squares around the mean, and where points are along the first component."""
    deviations = points - np.average(points, axis=0, weights=weights)
    scatter = (deviations * weights[:, None]).T @ deviations
    return float(np.trace(scatter)), deviations @ np.linalg.eigh(scatter)[1][:, -1]


def _masks(
    labels: Labels, order: Int[np.ndarray, " k"], picture: Picture
) -> Float32[np.ndarray, "k _ _"]:
    """Soft masks of the clusters in this order, with the edges of the picture."""
    seen, hard = _seen(picture), (labels[..., None] == order).astype(np.float32)
    height, width, _ = seen.shape
    coarse = images.resize(hard, height, width, "bilinear")
    masks = _drawn(coarse, seen)
    # A region that its neighbors would swallow keeps its coarse mask, and so do they.
    kept = (masks.mean(axis=(0, 1)) >= coarse.mean(axis=(0, 1)) / 2).all()
    return np.moveaxis(masks if kept else coarse, -1, 0)


def _seen(picture: Picture) -> Picture:
    """The picture at the size of its masks, its colors in standard deviations."""
    sides = _sides(picture, min(1.0, MASKS_SIDE / max(picture.shape[:2])), 1)
    seen = images.resize(picture, *sides, "area")
    return (seen - seen.mean(axis=(0, 1))) / max(seen.std(), _FAINT)


def _drawn(
    coarse: Float32[np.ndarray, "h w k"], seen: Float32[np.ndarray, "h w 3"]
) -> Float32[np.ndarray, "h w k"]:
    """Masks moved to the nearest edges: how deep layers see things is larger than they are.

    Each region's colors and roughness get a normal distribution. A pixel belongs to a region as
    these say, and as the pixels around it do.
    """
    looks, masks = _looks(seen), coarse
    for _ in range(ROUNDS):
        nearby = np.asarray(window_mean(masks, NEARBY), np.float64)
        each = [_log_density(looks, masks[..., k] * coarse[..., k]) for k in range(len(nearby.T))]
        densities = np.stack(each, axis=-1)
        # The root of densities: colors of neighboring pixels are no independent evidence.
        belongs = nearby * np.exp((densities - densities.max(axis=-1, keepdims=True)) / 2)
        belongs += 1e-9 * nearby  # where only a region that is far away has such colors
        masks = (belongs / belongs.sum(axis=-1, keepdims=True)).astype(np.float32)
    smooth = np.asarray(guided_filter(seen, masks, RADIUS, EPSILON)).clip(0, 1)
    return smooth / smooth.sum(axis=-1, keepdims=True)


def _looks(seen: Float32[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "h w 4"]:
    """Colors, and how much the brightness around a pixel varies: log of its deviation."""
    light = seen.mean(axis=-1, keepdims=True)
    variance = np.asarray(window_mean((light - window_mean(light, RADIUS)) ** 2, RADIUS))
    return np.concatenate([seen, np.log(np.sqrt(variance) + 0.05)], axis=-1, dtype=np.float64)


def _log_density(
    looks: Float64[np.ndarray, "h w d"], mask: Float32[np.ndarray, "h w"]
) -> Float64[np.ndarray, "h w"]:
    """Of the normal distribution of what the mask covers, but for a constant."""
    weights = mask.astype(np.float64) + 1e-12
    weights /= weights.sum()
    deviations = looks - np.tensordot(weights, looks, axes=2)
    covariance = np.tensordot(deviations * weights[..., None], deviations, axes=((0, 1), (0, 1)))
    covariance += 0.02 * np.eye(looks.shape[-1])
    distance = (deviations @ np.linalg.inv(covariance) * deviations).sum(axis=-1)
    return -(distance + np.linalg.slogdet(covariance)[1]) / 2


def _sides(picture: Picture, scale: float, smallest: int) -> tuple[int, int]:
    height, width = (max(smallest, round(side * scale)) for side in picture.shape[:2])
    return height, width
