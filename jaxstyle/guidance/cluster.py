"""Automatic detection of regions that content and style have in common.

The positions of all pictures are clustered jointly by their features in deep layers of VGG-19, so
that sky matches sky and houses match houses, even in different light. To remove the effects of
light and weather on a whole picture, each channel is standardized within each picture, and only the
direction of a position's features counts. Luminance, relative to that of the picture, and vertical
position contribute a little: sky is at the top, water at the bottom.

Clusters are found by k-means, initialized by splits along principal axes (Su & Dy, "In search of
deterministic methods for initializing k-means", 2007), so the result is deterministic. A cluster
that does not occur in both the content and some style picture is dissolved. Clusters that look
alike, or do not correspond across pictures, are merged (`jaxstyle.guidance.alike`). Finally the
masks, which have the coarse resolution of the deep layers, are refined to the edges of the pictures
by color and texture, and by the guided filter.
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
from jaxstyle.machine.programs import jit
from jaxstyle.network.vgg import VGG19, smallest_side

LAYERS = ("relu4_1", "relu5_1")
"""Layers of the features, equally weighted. The first determines the resolution."""

LUMINANCE, HEIGHT = 0.2, 0.4
"""Weights, as standard deviations within a picture; the features of a layer have length 1."""

COMPONENTS = 32
"""Number of principal components that are clustered."""

LEAST = 0.03
"""Fraction of the content, and of some style picture, that a region must cover."""

SPARE = 3
"""Clusters tried in addition to the regions asked for: some are dissolved or merged."""

ITERATIONS = 50
FEATURES_SIDE, MASKS_SIDE = 384, 512
"""Longest side in pixels of the network's input, and the maximum for masks."""

NEARBY, ROUNDS = 24, 4
"""Refinement of masks: distance in pixels that an edge can move in a round; number of rounds."""

RADIUS, EPSILON = 4, 1e-2
"""Parameters of the guided filter, for a guide of standard deviation 1."""

_FAINT = 1e-3  # lower bound of standard deviations and lengths that are divided by

Image = Float[Array | np.ndarray, "_ _ _"]
Picture = Float32[np.ndarray, "_ _ 3"]
Cells = Float64[np.ndarray, "_ _ _"]
Points = Float64[np.ndarray, "n d"]
Centers = Float64[np.ndarray, "k d"]
Labels = Int[np.ndarray, "_ _"]


def auto_regions(network: VGG19, content: Image, styles: Sequence[Image], count: int) -> Regions:
    """Find at most ``count`` regions that the content has in common with the style pictures.

    Time and memory do not depend on the sizes of the pictures.

    Args:
      network: The network whose features are clustered.
      content: The content picture.
      styles: The style pictures.
      count: The maximum number of regions.

    Returns:
      The regions, the largest of the content first. Masks are soft, sum to one in each pixel, and
      have a longest side of at most `MASKS_SIDE` pixels. Before refinement, a region covers at
      least `LEAST` of the content and of some style picture; refinement leaves at least half of
      that. If the pictures have nothing in common, there is one region, the whole picture. A note
      tells if there are fewer regions than asked for.
    """
    pictures = [np.asarray(picture, np.float32) for picture in (content, *styles)]
    labels = [np.zeros((1, 1), int) for _ in pictures]
    if count > 1:
        network = network.padded("replicate").direct()  # zero padding would form a region
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
    """Return the features of each position: those of each layer, of length 1, luminance, height."""
    smallest = smallest_side(LAYERS)
    sides = _sides(picture, FEATURES_SIDE / max(picture.shape[:2]), smallest)
    seen = images.resize(picture, *sides, "bilinear")
    features = np.asarray(_features(network, jax.device_put(seen)), np.float64)
    height, width, _ = features.shape
    light = luminance(images.resize(seen, height, width, "area"), "rec601").astype(np.float64)
    light = (light - light.mean()) / max(light.std(), _FAINT)
    heights = np.sqrt(12) * ((np.arange(height) + 0.5) / height - 0.5)
    # Scaled by the features, so that a picture of one color has no vertical structure.
    rows = heights[:, None] * np.linalg.norm(features, axis=-1) / np.sqrt(len(LAYERS))
    return np.concatenate(
        [features, LUMINANCE * light[..., None], HEIGHT * rows[..., None]], axis=-1
    )


@jit()
def _features(network: VGG19, picture: Float[Array, "h w 3"]) -> Float32[Array, "gh gw c"]:
    features = network(picture, LAYERS)
    height, width, _ = features[LAYERS[0]].shape
    return jnp.concatenate(
        [_directions(features[layer], height, width) for layer in LAYERS], axis=-1
    )


def _directions(
    features: Float[Array, "h w c"], height: int, width: int
) -> Float32[Array, "{height} {width} c"]:
    """Standardize each channel within the picture, resize, and normalize positions to length 1."""
    precise = features.astype(jnp.float32)
    spread = jnp.std(precise, axis=(0, 1))
    # The floor keeps the noise of nearly constant channels from being amplified.
    floor = 0.1 * jnp.mean(spread) + _FAINT
    scores = (precise - jnp.mean(precise, axis=(0, 1))) / jnp.maximum(spread, floor)
    resized = jax.image.resize(scores, (height, width, scores.shape[-1]), "linear")
    lengths = jnp.linalg.norm(resized, axis=-1, keepdims=True)
    return resized / jnp.maximum(lengths, _FAINT)


def _components(pictures: Sequence[Cells]) -> list[Cells]:
    """Project onto the first principal components of all pictures, equally weighted."""
    points = [cells.reshape(-1, cells.shape[-1]) for cells in pictures]
    mean = np.mean([p.mean(axis=0) for p in points], axis=0)
    covariance = np.mean([(p - mean).T @ (p - mean) / len(p) for p in points], axis=0)
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :COMPONENTS]
    return [(cells - mean) @ axes for cells in pictures]


def _common(cells: Sequence[Cells], pictures: Sequence[Picture], count: int) -> list[Labels]:
    """Return the region of each position, of at most ``count`` shared by content and styles."""
    pieces = _components(cells)
    points = np.concatenate([c.reshape(-1, c.shape[-1]) for c in pieces])
    weights = np.concatenate([np.full(c[..., 0].size, 1 / c[..., 0].size) for c in pieces])
    best, regions = -np.inf, []
    for clusters in range(2, count + SPARE + 1):
        labels = _shared_labels(pieces, _k_means(points, weights, clusters))
        found = 1 + max(int(each.max()) for each in labels)
        sums = [_summed(*parts, found) for parts in zip(labels, cells, pictures, strict=True)]
        judged = clusters_of(sums[0], sums[1:])
        groups = merged(judged, count)
        if (value := worth(judged, groups)) > best:
            best, regions = value, [_grouped(each, groups) for each in labels]
    return regions


def _grouped(labels: Labels, groups: Sequence[Sequence[int]]) -> Labels:
    """Map the labels of clusters to the indices of their groups."""
    return np.argmax([np.isin(labels, group) for group in groups], axis=0)


def _summed(labels: Labels, cells: Cells, picture: Picture, count: int) -> list[np.ndarray]:
    """Return the sums of a picture's clusters, without luminance and height in the features."""
    seen, hard = _seen(picture), (labels[..., None] == np.arange(count)).astype(np.float32)
    height, width, _ = seen.shape
    soft = images.resize(hard, height, width, "bilinear")
    places, pixels = (each.reshape(-1, count).astype(np.float64) for each in (hard, soft))
    looks = _looks(seen).reshape(len(pixels), -1)
    return summed(places, cells[..., :-2].reshape(len(places), -1), pixels, looks)


def _shared_labels(pictures: Sequence[Cells], centers: Centers) -> list[Labels]:
    """Label each position by its nearest center, dropping centers not in content and a style."""
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
    """Compute the squared distances from each center."""
    squares = (cells**2).sum(axis=-1, keepdims=True) + (centers**2).sum(axis=-1)
    return np.maximum(squares - 2 * cells @ centers.T, 0)


def _k_means(points: Points, weights: Float64[np.ndarray, " n"], count: int) -> Centers:
    """Run Lloyd's algorithm until it converges; an empty cluster keeps its center."""
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
    """Return initial labels: split the cluster of largest scatter along its principal axis."""
    labels = np.zeros(len(points), int)
    for new in range(1, count):
        cuts = [_longest_axis(points[labels == k], weights[labels == k]) for k in range(new)]
        widest = int(np.argmax([error for error, _ in cuts]))
        labels[np.flatnonzero(labels == widest)[cuts[widest][1] > 0]] = new
    return labels


def _longest_axis(
    points: Points, weights: Float64[np.ndarray, " n"]
) -> tuple[float, Float64[np.ndarray, " n"]]:
    """Return the scatter of points and their positions along the first principal axis."""
    deviations = points - np.average(points, axis=0, weights=weights)
    scatter = (deviations * weights[:, None]).T @ deviations
    return float(np.trace(scatter)), deviations @ np.linalg.eigh(scatter)[1][:, -1]


def _masks(
    labels: Labels, order: Int[np.ndarray, " k"], picture: Picture
) -> Float32[np.ndarray, "k _ _"]:
    """Return soft masks of the clusters in this order, refined to the edges of the picture."""
    seen, hard = _seen(picture), (labels[..., None] == order).astype(np.float32)
    height, width, _ = seen.shape
    coarse = images.resize(hard, height, width, "bilinear")
    masks = _refined(coarse, seen)
    # If refinement shrinks any region to less than half, keep the coarse masks of all.
    kept = (masks.mean(axis=(0, 1)) >= coarse.mean(axis=(0, 1)) / 2).all()
    return np.moveaxis(masks if kept else coarse, -1, 0)


def _seen(picture: Picture) -> Picture:
    """Resize the picture to the size of its masks and standardize its colors."""
    sides = _sides(picture, min(1.0, MASKS_SIDE / max(picture.shape[:2])), 1)
    seen = images.resize(picture, *sides, "area")
    return (seen - seen.mean(axis=(0, 1))) / max(seen.std(), _FAINT)


def _refined(
    coarse: Float32[np.ndarray, "h w k"], seen: Float32[np.ndarray, "h w 3"]
) -> Float32[np.ndarray, "h w k"]:
    """Refine coarse masks to nearby edges, which deep layers locate only roughly.

    Each region's appearance is modeled by a normal distribution. In each round, the membership of a
    pixel is the mean membership of the pixels around it, times the density of its appearance.
    """
    looks, masks = _looks(seen), coarse
    for _ in range(ROUNDS):
        nearby = np.asarray(window_mean(masks, NEARBY), np.float64)
        each = [_log_density(looks, masks[..., k] * coarse[..., k]) for k in range(len(nearby.T))]
        densities = np.stack(each, axis=-1)
        # The square root of densities, since neighboring pixels are not independent evidence.
        belongs = nearby * np.exp((densities - densities.max(axis=-1, keepdims=True)) / 2)
        belongs += 1e-9 * nearby  # for colors that occur in distant regions only
        masks = (belongs / belongs.sum(axis=-1, keepdims=True)).astype(np.float32)
    smooth = np.asarray(guided_filter(seen, masks, RADIUS, EPSILON)).clip(0, 1)
    return smooth / smooth.sum(axis=-1, keepdims=True)


def _looks(seen: Float32[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "h w 4"]:
    """Return the appearance: colors, and the log of the local standard deviation of brightness."""
    light = seen.mean(axis=-1, keepdims=True)
    variance = np.asarray(window_mean((light - window_mean(light, RADIUS)) ** 2, RADIUS))
    return np.concatenate([seen, np.log(np.sqrt(variance) + 0.05)], axis=-1, dtype=np.float64)


def _log_density(
    looks: Float64[np.ndarray, "h w d"], mask: Float32[np.ndarray, "h w"]
) -> Float64[np.ndarray, "h w"]:
    """Return the log density of a normal fit to the masked pixels, up to a constant."""
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
