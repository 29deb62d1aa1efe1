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


def parts(most, content, style, looks=EYE[:3], other=EYE[:3]):
    clusters = clusters_of(picture(content, looks), [picture(style, other, seed=1)])
    return sorted(sorted(group) for group in merged(clusters, most))


def test_clusters_that_differ_and_agree_are_regions():
    assert parts(3, EYE[:3], 0.4 * EYE[:3]) == [[0], [1], [2]]


def test_merges_the_most_similar_down_to_the_number_asked_for():
    looks = np.array([EYE[0], 3 * EYE[0], 9 * EYE[0]])
    assert parts(2, EYE[:3], EYE[:3], looks, looks) == [[0, 1], [2]]
    assert parts(1, EYE[:3], EYE[:3], looks, looks) == [[0, 1, 2]]


def test_clusters_that_look_alike_are_one_region():
    looks = np.array([EYE[0], EYE[0] + 0.05, EYE[2]])
    assert parts(3, EYE[:3], 0.4 * EYE[:3], looks, looks) == [[0, 1], [2]]


def test_clusters_that_look_alike_stay_apart_in_identical_pictures():
    assert parts(3, EYE[:3], EYE[:3], 0 * EYE[:3], 0 * EYE[:3]) == [[0], [1], [2]]


@pytest.mark.parametrize("style", [EYE[[1, 2, 0]], -EYE[:3]])
def test_clusters_that_do_not_agree_are_one_region(style):
    assert parts(3, EYE[:3], style) == [[0, 1, 2]]


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
