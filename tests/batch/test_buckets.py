"""Padding of pictures of many sizes to few shapes, without visible borders."""

from dataclasses import replace

import numpy as np
import pytest

from jaxstyle.batch.buckets import MOST_SHAPES, bucket_of, cell_of, cut, group_into_batches
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.retry import run_together
from jaxstyle.execution.plan import plan
from jaxstyle.images import Picture
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.stylize import run
from jaxstyle.settings import INITS, resolve

SETTINGS = resolve(
    size=64, smallest_size=32, steps=1, style_layers="relu1_1", content_layers="relu1_1"
)


def jobs_of(sides, settings=SETTINGS):
    """Return a job for each content picture, and the sides of all pictures."""
    jobs = [Job(f"c{i}.png", ("s.png",), settings, f"c{i}__s.png") for i in range(len(sides))]
    return jobs, {"s.png": (50, 40)} | {f"c{i}.png": each for i, each in enumerate(sides)}


def most(count):
    return lambda job, sides, wanted: min(count, wanted)


def test_few_shapes_stay_as_they_are():
    jobs, sides = jobs_of([(48, 64), (64, 48), (48, 64), (96, 128)])
    found, refused = group_into_batches(jobs, sides, most(2))
    assert not refused
    assert all(work.bucket is None for work in found)
    assert [[job.content for job in work.jobs] for work in found] == [
        ["c0.png", "c2.png"],
        ["c3.png"],
        ["c1.png"],
    ]
    assert [work.sides[0] for work in found] == [(48, 64), (48, 64), (64, 48)]


@pytest.mark.parametrize("rule", ["longest", "shortest", "area", "own"])
def test_many_shapes_are_padded_to_few_buckets(rule):
    settings = replace(SETTINGS, size_rule=rule)
    jobs, sides = jobs_of([(40 + i, 64) for i in range(24)], settings)
    found, refused = group_into_batches(jobs, sides, most(100))
    assert not refused
    assert len(found) <= 3
    for work in found:
        assert work.bucket is not None
        for job, result in zip(work.jobs, work.sides, strict=True):
            assert all(0 <= b - r < 16 for b, r in zip(work.bucket, result, strict=True))
            alone = plan(
                np.zeros((*sides[job.content], 3), np.float32),
                [np.zeros((50, 40, 3), np.float32)],
                settings,
            )
            assert result == (alone[-1].height, alone[-1].width)


def test_the_batch_of_a_job_does_not_depend_on_what_is_run_again():
    jobs, sides = jobs_of([(40 + i % 7, 64) for i in range(20)])
    first, _ = group_into_batches(jobs, sides, most(4))
    again, _ = group_into_batches(jobs, sides, most(4))
    assert first == again
    assert sorted(job.output for work in first for job in work.jobs) == sorted(
        job.output for job in jobs
    )
    assert all(work.slots == 4 for work in first if len(work.jobs) == 4)


def test_a_picture_that_is_too_small_is_refused_and_harms_no_other():
    settings = replace(SETTINGS, style_layers={"relu5_1": 1.0})
    jobs, sides = jobs_of([(48, 64), (3, 64)], settings)
    found, refused = group_into_batches(jobs, sides, most(4))
    assert [job.content for work in found for job in work.jobs] == ["c0.png"]
    assert [each.job.content for each in refused] == ["c1.png"]
    assert "too small" in refused[0].reason


def test_incompatible_settings_are_not_batched_together():
    jobs, sides = jobs_of([(48, 64)] * 4)
    other = replace(SETTINGS, optimizer="lbfgs")
    heavier = replace(SETTINGS, style_weight=7.0)
    mixed = [jobs[0], replace(jobs[1], settings=other), replace(jobs[2], settings=heavier), jobs[3]]
    found, _ = group_into_batches(mixed, sides, most(9))
    assert [len(work.jobs) for work in found] == [3, 1]


def test_a_bucket_changes_neither_steps_nor_the_sizes_of_styles():
    settings = resolve(
        size=50, smallest_size=20, steps=(4, 3), size_rule="shortest", style_layers="relu1_1"
    )
    jobs, sides = jobs_of([(50, 60 + 7 * i) for i in range(MOST_SHAPES + 2)], settings)
    found, _ = group_into_batches(jobs, sides, most(9))
    for work in found:
        for job, way in zip(work.jobs, work.schedules, strict=True):
            content = np.zeros((*sides[job.content], 3), np.float32)
            alone = plan(content, [np.zeros((50, 40, 3), np.float32)], settings)
            assert [(s.size, s.steps) for s in way] == [(s.size, s.steps) for s in alone]
            for own, padded in zip(alone, way, strict=True):
                assert padded.height >= own.height - 1 and padded.width >= own.width - 1


OWN_SIZES = [(41, 49), (44, 64), (48, 60), (45, 53), (46, 57)]


def test_pictures_of_their_own_sizes_go_together_each_with_its_own_sizes_of_styles(
    picture, small_weights
):
    settings = replace(SETTINGS, size_rule="own", smallest_size=64, steps=(3,))
    jobs, sides = jobs_of(OWN_SIZES, settings)
    ((work,), refused) = group_into_batches(jobs, sides, most(9))
    assert not refused and work.bucket == (48, 64)
    assert [way[-1].size for way in work.schedules] == [max(each) for each in OWN_SIZES]
    style = [np.asarray(picture(9, 50, 40))]
    photos = [Picture(np.asarray(picture(i, *each))) for i, each in enumerate(OWN_SIZES)]
    cells = [cell_of(work, i, photo, style) for i, photo in enumerate(photos)]
    together = run_together(small_weights, cells)
    made, cell = together[1].image, cells[1]
    assert cell.schedule == work.schedules[1]
    by_itself = run(small_weights, cell)
    np.testing.assert_allclose(made, by_itself.image, atol=2e-4)
    plain = run(small_weights, Inputs(photos[1], style, settings))
    assert cut(made, work.sides[1]).shape == plain.image.shape
    inner = np.abs(cut(made, work.sides[1]) - plain.image)[:-8, :-8]
    assert inner.mean() < 0.015  # a border that is not there is missed a little everywhere


def test_padding_is_decided_for_each_job():
    jobs, sides = jobs_of([(40 + i, 64) for i in range(2 * MOST_SHAPES + 2)])
    other = replace(SETTINGS, init="start.png")
    mixed = [replace(job, settings=other) if i % 2 else job for i, job in enumerate(jobs)]
    found, _ = group_into_batches(mixed, sides, most(9))
    for work in found:
        assert all((job.settings.init in INITS) is (work.bucket is not None) for job in work.jobs)


@pytest.mark.parametrize(
    "change", [{"padding": "circular"}, {"init": "start.png"}, {"style_fit": "width"}]
)
def test_a_picture_that_cannot_be_padded_is_not(change):
    settings = replace(SETTINGS, **change)
    jobs, sides = jobs_of(
        [(32 + 16 * i, 64 + 16 * (i % 3)) for i in range(MOST_SHAPES + 3)], settings
    )
    found, _ = group_into_batches(jobs, sides, most(9))
    assert all(work.bucket is None for work in found)


def test_a_padded_picture_is_mirrored_and_cropped_again():
    jobs, sides = jobs_of([(40 + i, 64) for i in range(MOST_SHAPES + 1)])
    found, _ = group_into_batches(jobs, sides, most(9))
    work = found[0]
    rng = np.random.default_rng(0)
    rgb = rng.uniform(size=(*work.sides[1], 3)).astype(np.float32)
    alpha = rng.uniform(size=work.sides[1]).astype(np.float32)
    cell = cell_of(work, 1, Picture(rgb, alpha), [])
    height, width = work.sides[1]
    assert cell.content.rgb.shape == (*work.bucket, 3)
    np.testing.assert_array_equal(cut(cell.content.rgb, work.sides[1]), rgb)
    np.testing.assert_array_equal(cut(cell.content.alpha, work.sides[1]), alpha)
    np.testing.assert_array_equal(cell.content.rgb[height], rgb[-1])
    last = cell.scales()[-1]
    assert (last.height, last.width) == work.bucket == bucket_of((height, width))
    assert work.jobs[1].settings == SETTINGS


@pytest.mark.parametrize("change", [{}, {"init_noise": 0.3}, {"original_colors": True}], ids=str)
def test_a_content_resized_in_advance_gives_the_same_picture(picture, small_weights, change):
    settings = replace(SETTINGS, smallest_size=16, size=32, steps=(2, 2), **change)
    jobs, sides = jobs_of([(90, 120)], settings)
    ((work,), _) = group_into_batches(jobs, sides, most(1))
    rgb = np.asarray(picture(0, 90, 120))
    alpha = np.linspace(0, 1, 90 * 120, dtype=np.float32).reshape(90, 120)
    styles = [np.asarray(picture(1, 50, 40))]
    small = cell_of(work, 0, Picture(rgb, alpha), styles)
    assert small.content.rgb.shape == (24, 32, 3)
    (made,) = run_together(small_weights, [small])
    (plain,) = run_together(small_weights, [Inputs(Picture(rgb, alpha), styles, settings)])
    np.testing.assert_array_equal(made.image, plain.image)
    np.testing.assert_array_equal(made.alpha, plain.alpha)


@pytest.mark.parametrize("match", ["cholesky", "luminance"])
def test_colors_matched_in_advance_give_the_same_picture(
    picture, small_weights, monkeypatch, match
):
    settings = replace(SETTINGS, smallest_size=16, size=32, steps=(2, 2), color_match=match)
    jobs, sides = jobs_of([(90, 120)], settings)
    ((work,), _) = group_into_batches(jobs, sides, most(1))
    content, styles = Picture(np.asarray(picture(0, 90, 120))), [np.asarray(picture(1, 50, 40))]
    (plain,) = run_together(small_weights, [Inputs(content, styles, settings)])
    ready = cell_of(work, 0, content, styles)
    monkeypatch.setattr("jaxstyle.runs.inputs.recolored", None)  # done already
    (made,) = run_together(small_weights, [ready])
    np.testing.assert_array_equal(made.image, plain.image)
    assert ready.content is content


def test_the_content_of_a_single_run_keeps_its_size(picture):
    jobs, sides = jobs_of([(90, 120)], replace(SETTINGS, auto_masks=2))
    ((work,), _) = group_into_batches(jobs, sides, most(1))
    content = Picture(np.asarray(picture(0, 90, 120)))
    assert cell_of(work, 0, content, []).content is content
