"""Merging of clusters into regions that look different and correspond across pictures.

A cluster of deep features need not be a meaningful region: deep layers give the band of sky above
roofs its own features, and find parts in any two flowers. So the two clusters with the most
similar appearance are merged, repeatedly, until two criteria hold:

*Appearance.* The appearance of a pixel is its color and local roughness. It is modeled by one
normal distribution per region in the content, and one in the styles. All pairs of regions have a
Bhattacharyya distance, averaged over content and styles, of at least `ALIKE`: they are visibly
distinct. (Regions may look alike if the agreement exceeds `SAME`: content and style are then the
same picture in different light.)

*Agreement.* Let c_k and s_k be the mean features of region k in the content and in the styles,
minus their mean over all regions, and w_k the share of the region. Predicting c_k by s_k, and the
other way around, must explain more of the features than one mean for all regions:

    sum_k w_k (|c_k|^2 + |s_k|^2)  >  2 sum_k w_k |c_k - s_k|^2

that is, `agreement`, 2 sum_k w_k c_k . s_k over the sum on the left, is more than one half.

The result may be a single region, the whole picture. Several clusterings are compared by `worth`:
the variance of the appearance that their regions explain, minus a price per region.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

ALIKE = 1.0
"""Least Bhattacharyya distance of two regions: their distributions overlap by 1/e."""

PAYS, SAME = 0.5, 0.85
"""Thresholds of the agreement, whose maximum is 1. Above `PAYS`, regions explain the features.
Above `SAME`, content and style are the same picture in different light."""

PRICE = 0.05
"""Fraction of the variance of the appearance that each region must explain."""

NOISE = 0.02
"""Variance added to each appearance feature, relative to a variance of 1 of the whole picture."""


class Clusters(NamedTuple):
    """Sums over the pixels of k clusters, divided by the pixels of the picture.

    The first axis is the content and the mean of the style pictures.

    Attributes:
      shares: Fraction of the picture that each cluster covers.
      features: Mean features of each cluster, times its share.
      looks: Sums of the appearance features.
      products: Sums of the products of pairs of appearance features.
    """

    shares: Float64[np.ndarray, "2 k"]
    features: Float64[np.ndarray, "2 k d"]
    looks: Float64[np.ndarray, "2 k e"]
    products: Float64[np.ndarray, "2 k e e"]

    @property
    def count(self) -> int:
        """The number of clusters."""
        return self.shares.shape[1]


def summed(
    hard: Float64[np.ndarray, "p k"],
    features: Float64[np.ndarray, "p d"],
    soft: Float64[np.ndarray, "q k"],
    looks: Float64[np.ndarray, "q e"],
) -> list[np.ndarray]:
    """Return the sums of one picture, in the order of the fields of `Clusters`.

    Args:
      hard: Cluster of each of p positions of the feature maps, one-hot.
      features: Features of each position.
      soft: Membership of each of q pixels in each cluster, which sums to one.
      looks: Appearance of each pixel.
    """
    products = np.einsum("qk,qi,qj->kij", soft, looks, looks, optimize=True)
    sums = [soft.sum(axis=0), soft.T @ looks, products]
    shares, of_looks, of_products = (each / len(looks) for each in sums)
    # Weight features by pixel shares, so that both kinds of sums have the same weights.
    places = np.maximum(hard.sum(axis=0), 1)[:, None]
    return [shares, shares[:, None] * (hard.T @ features) / places, of_looks, of_products]


def clusters_of(content: Sequence[np.ndarray], styles: Sequence[Sequence[np.ndarray]]) -> Clusters:
    """Combine the sums, from ``summed``, of the content and of the mean of the style pictures."""
    means = [np.mean(each, axis=0) for each in zip(*styles, strict=True)]
    return Clusters(*(np.stack(both) for both in zip(content, means, strict=True)))


def merged(clusters: Clusters, most: int) -> list[list[int]]:
    """Merge clusters into at most ``most`` regions; return the clusters of each region."""
    groups = [[k] for k in range(clusters.count)]
    while len(groups) > 1:
        pairs = list(combinations(range(len(groups)), 2))
        distances = [_distance(clusters, *pair) for pair in pairs]
        nearest = int(np.argmin(distances))
        least = PAYS if distances[nearest] >= ALIKE else SAME
        if len(groups) <= most and agreement(clusters) > least:
            break
        first, second = pairs[nearest]
        groups[first] = groups[first] + groups.pop(second)
        clusters = _joined(clusters, first, second)
    return groups


def agreement(clusters: Clusters) -> float:
    """Return the agreement of two clusters or more, from -1 to 1; see the module docstring."""
    weights = clusters.shares.mean(axis=0)
    means = clusters.features / clusters.shares[..., None]
    content, style = means - (weights[:, None] * means).sum(axis=1, keepdims=True)
    both = (weights[:, None] * (content**2 + style**2)).sum()
    return float(2 * (weights[:, None] * content * style).sum() / max(both, 1e-12))


def worth(clusters: Clusters, groups: Sequence[Sequence[int]]) -> float:
    """Return the fraction of the appearance's variance that regions explain, minus their price."""
    shares, looks = (
        np.stack([each[:, group].sum(axis=1) for group in groups], axis=1)
        for each in (clusters.shares, clusters.looks)
    )
    mean = looks.sum(axis=1)
    whole = np.einsum("skee->se", clusters.products) - mean**2
    explained = (looks**2 / shares[..., None]).sum(axis=1) - mean**2
    return float((explained / (whole + NOISE)).mean()) - PRICE * len(groups)


def _joined(clusters: Clusters, first: int, second: int) -> Clusters:
    """Merge the second cluster into the first."""
    sums = []
    for each in clusters:
        added = each.copy()
        added[:, first] += each[:, second]
        sums.append(np.delete(added, second, axis=1))
    return Clusters(*sums)


def _distance(clusters: Clusters, first: int, second: int) -> float:
    """Return the Bhattacharyya distance of two clusters, averaged over content and styles."""
    return float(np.mean([_bhattacharyya(clusters, side, first, second) for side in (0, 1)]))


def _bhattacharyya(clusters: Clusters, side: int, first: int, second: int) -> float:
    (mean, spread), (other, width) = (_normal(clusters, side, k) for k in (first, second))
    both, apart = (spread + width) / 2, mean - other
    logs = [np.linalg.slogdet(matrix)[1] for matrix in (both, spread, width)]
    return float(apart @ np.linalg.solve(both, apart) / 8 + (logs[0] - (logs[1] + logs[2]) / 2) / 2)


def _normal(
    clusters: Clusters, side: int, k: int
) -> tuple[Float64[np.ndarray, " e"], Float64[np.ndarray, "e e"]]:
    """Return mean and covariance of the appearance of a cluster."""
    share = clusters.shares[side, k]
    mean = clusters.looks[side, k] / share
    noise = NOISE * np.eye(len(mean))
    return mean, clusters.products[side, k] / share - np.outer(mean, mean) + noise
