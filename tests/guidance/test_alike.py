"""Tests of merging: clusters that look alike, and clusters that do not correspond."""

import numpy as np
import pytest

from jaxstyle.guidance.alike import agreement, clusters_of, merged, summed, worth

PLACES = 400
EYE = np.eye(4)


def picture(features, looks, seed=0, shares=(1, 1, 1)):
    """Return the sums of clusters with these mean features and appearances."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(shares)), PLACES * np.array(shares))
    hard = (labels[:, None] == np.arange(len(shares))).astype(float)
    noise = 0.1 * rng.normal(size=(2, len(labels), 4))
    return summed(hard, np.asarray(features)[labels] + noise[0], hard, looks[labels] + noise[1])


APART = [[0], [1], [2]]
ALIKE = np.array([EYE[0], EYE[0] + 0.05, EYE[2]])
SHRINKING = np.array([9 * EYE[0], 3 * EYE[0], EYE[0]])


@pytest.mark.parametrize(
    ("most", "style", "looks", "expected"),
    [
        pytest.param(3, 0.4 * EYE[:3], EYE[:3], APART, id="different clusters that agree"),
        pytest.param(2, EYE[:3], SHRINKING, [[0], [1, 2]], id="down to two, the most similar"),
        pytest.param(1, EYE[:3], SHRINKING, [[0, 1, 2]], id="down to one"),
        pytest.param(3, 0.4 * EYE[:3], ALIKE, [[0, 1], [2]], id="clusters that look alike"),
        pytest.param(3, EYE[:3], 0 * EYE[:3], APART, id="alike, but in identical pictures"),
        pytest.param(
            3, EYE[[1, 2, 0]], EYE[:3], [[0, 1, 2]], id="clusters that correspond to others"
        ),
        pytest.param(3, -EYE[:3], EYE[:3], [[0, 1, 2]], id="clusters that do not agree"),
    ],
)
def test_clusters_become_regions(most, style, looks, expected):
    clusters = clusters_of(picture(EYE[:3], looks), [picture(style, looks, seed=1)])
    assert sorted(sorted(group) for group in merged(clusters, most)) == expected


def test_agreement_is_of_means_by_the_shares_of_both():
    content = picture(EYE[:2], EYE[:2], shares=(1, 3))
    style = picture(3 * EYE[:2], EYE[:2], shares=(2, 2))
    # All that tells two regions apart is their difference d: 2 d . 3d / (d . d + 3d . 3d).
    assert agreement(clusters_of(content, [style])) == pytest.approx(6 / 10, abs=0.01)


def test_a_region_may_be_missing_in_one_of_several_styles():
    there = picture(EYE[:3], EYE[:3])
    not_there = picture(EYE[:3], EYE[:3], shares=(1, 1, 0))
    clusters = clusters_of(there, [there, not_there])
    np.testing.assert_allclose(clusters.shares[1], [5 / 12, 5 / 12, 1 / 6])
    assert sorted(merged(clusters, 3)) == [[0], [1], [2]]


def test_worth_is_the_explained_variance_of_the_appearance():
    looks = np.array([EYE[0], 4 * EYE[0], 4 * EYE[0] + 0.01])
    one = picture(EYE[:3], looks)
    clusters = clusters_of(one, [one])
    whole, two, three = ([[0, 1, 2]], [[0], [1, 2]], [[0], [1], [2]])
    assert worth(clusters, whole) < 0 < worth(clusters, three) < worth(clusters, two)
