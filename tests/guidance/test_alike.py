"""Clusters that are no regions of their own: those that look alike, and those that do not agree."""

import numpy as np
import pytest

from jaxstyle.guidance.alike import agreement, clusters_of, merged, summed, worth

PLACES = 400
EYE = np.eye(4)


def picture(features, looks, seed=0, shares=(1, 1, 1)):
    """Sums of clusters of these mean features and looks."""
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


def test_no_more_than_asked_for_and_the_nearest_looks_are_merged():
    looks = np.array([EYE[0], 3 * EYE[0], 9 * EYE[0]])
    assert parts(2, EYE[:3], EYE[:3], looks, looks) == [[0, 1], [2]]
    assert parts(1, EYE[:3], EYE[:3], looks, looks) == [[0, 1, 2]]


def test_clusters_that_look_alike_are_one_region():
    looks = np.array([EYE[0], EYE[0] + 0.05, EYE[2]])
    assert parts(3, EYE[:3], 0.4 * EYE[:3], looks, looks) == [[0, 1], [2]]


def test_in_the_same_picture_even_those_that_look_alike_are_regions():
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


def test_a_region_is_worth_what_it_explains_of_the_looks():
    looks = np.array([EYE[0], 4 * EYE[0], 4 * EYE[0] + 0.01])
    one = picture(EYE[:3], looks)
    clusters = clusters_of(one, [one])
    whole, two, three = ([[0, 1, 2]], [[0], [1, 2]], [[0], [1], [2]])
    assert worth(clusters, whole) < 0 < worth(clusters, three) < worth(clusters, two)
