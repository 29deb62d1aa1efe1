"""Which clusters are worth telling apart: those that differ in looks, and agree across pictures.

A cluster of what deep layers see may be no region at all: such layers see a band of sky above
roofs as a thing of its own, and find parts in any two flowers. So the two clusters that look most
alike are merged, and again, until two things hold.

*Looks.* The pixels of a region, their colors and roughness, have a normal distribution in the
content and one in the styles. No two regions have a Bhattacharyya distance of less than `ALIKE`,
the mean of content and styles: there is an edge to be seen between them, and a light to tell them
apart by. (They may look alike where the features agree so well, `SAME`, that it is one picture.)

*Agreement.* Let c_k and s_k be the mean features of region k in the content and in the styles, from
which their own mean over all regions is taken, and w_k its share. To say c_k where s_k is true, and
the other way around, explains more of the features than to say one mean everywhere:

    sum_k w_k (|c_k|^2 + |s_k|^2)  >  2 sum_k w_k |c_k - s_k|^2

so that `agreement`, 2 sum_k w_k c_k . s_k over the sum on the left, is above one half.

What is left may be a single region, the whole picture. Of several clusterings, the one is `worth`
most whose regions explain most of the looks, each at a price.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

ALIKE = 1.0
"""Distance from which on two regions are two: their distributions overlap by 1/e."""

PAYS, SAME = 0.5, 0.85
"""Agreement from which on regions explain anything, and from which on content and style are one
picture in another light: 1 is the most."""

PRICE = 0.05
"""The share of the looks' variance that each region has to explain."""

NOISE = 0.02
"""Variance that each look has at least, where that of a whole picture is 1."""


class Clusters(NamedTuple):
    """Sums over the places of k clusters, as parts of their picture: of ones, of features, of looks
    and of the products of looks. Of the content, and of the mean style picture."""

    shares: Float64[np.ndarray, "2 k"]
    features: Float64[np.ndarray, "2 k d"]
    looks: Float64[np.ndarray, "2 k e"]
    products: Float64[np.ndarray, "2 k e e"]

    @property
    def count(self) -> int:
        """How many there are."""
        return self.shares.shape[1]


def summed(
    hard: Float64[np.ndarray, "p k"],
    features: Float64[np.ndarray, "p d"],
    soft: Float64[np.ndarray, "q k"],
    looks: Float64[np.ndarray, "q e"],
) -> list[np.ndarray]:
    """The sums of one picture: which of its places, and of its pixels, are in which cluster."""
    products = np.einsum("qk,qi,qj->kij", soft, looks, looks, optimize=True)
    sums = [soft.sum(axis=0), soft.T @ looks, products]
    shares, of_looks, of_products = (each / len(looks) for each in sums)
    # Features are weighed as looks are, so that both are means by the same shares.
    places = np.maximum(hard.sum(axis=0), 1)[:, None]
    return [shares, shares[:, None] * (hard.T @ features) / places, of_looks, of_products]


def clusters_of(content: Sequence[np.ndarray], styles: Sequence[Sequence[np.ndarray]]) -> Clusters:
    """The content beside the mean of the style pictures, as ``summed``."""
    means = [np.mean(each, axis=0) for each in zip(*styles, strict=True)]
    return Clusters(*(np.stack(both) for both in zip(content, means, strict=True)))


def merged(clusters: Clusters, most: int) -> list[list[int]]:
    """The regions, ``most`` at most: the clusters of which each is made."""
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
    """From -1 to 1, of two clusters or more: see above."""
    weights = clusters.shares.mean(axis=0)
    means = clusters.features / clusters.shares[..., None]
    content, style = means - (weights[:, None] * means).sum(axis=1, keepdims=True)
    both = (weights[:, None] * (content**2 + style**2)).sum()
    return float(2 * (weights[:, None] * content * style).sum() / max(both, 1e-12))


def worth(clusters: Clusters, groups: Sequence[Sequence[int]]) -> float:
    """What the means of these regions explain of the variance of the looks, less their price."""
    shares, looks = (
        np.stack([each[:, group].sum(axis=1) for group in groups], axis=1)
        for each in (clusters.shares, clusters.looks)
    )
    mean = looks.sum(axis=1)
    whole = np.einsum("skee->se", clusters.products) - mean**2
    explained = (looks**2 / shares[..., None]).sum(axis=1) - mean**2
    return float((explained / (whole + NOISE)).mean()) - PRICE * len(groups)


def _joined(clusters: Clusters, first: int, second: int) -> Clusters:
    """The second cluster added to the first."""
    sums = []
    for each in clusters:
        added = each.copy()
        added[:, first] += each[:, second]
        sums.append(np.delete(added, second, axis=1))
    return Clusters(*sums)


def _distance(clusters: Clusters, first: int, second: int) -> float:
    """Bhattacharyya's, between the looks of two clusters: the mean of content and styles."""
    return float(np.mean([_between(clusters, side, first, second) for side in (0, 1)]))


def _between(clusters: Clusters, side: int, first: int, second: int) -> float:
    (mean, spread), (other, width) = (_normal(clusters, side, k) for k in (first, second))
    both, apart = (spread + width) / 2, mean - other
    logs = [np.linalg.slogdet(matrix)[1] for matrix in (both, spread, width)]
    return float(apart @ np.linalg.solve(both, apart) / 8 + (logs[0] - (logs[1] + logs[2]) / 2) / 2)


def _normal(
    clusters: Clusters, side: int, k: int
) -> tuple[Float64[np.ndarray, " e"], Float64[np.ndarray, "e e"]]:
    """Mean and covariance of the looks."""
    share = clusters.shares[side, k]
    mean = clusters.looks[side, k] / share
    noise = NOISE * np.eye(len(mean))
    return mean, clusters.products[side, k] / share - np.outer(mean, mean) + noise
