"""Sizes and steps, coarse to fine."""

import pytest

from jaxstyle import pyramid


@pytest.mark.parametrize(
    ("height", "width", "longest", "expected"),
    [
        (768, 1024, 512, (384, 512)),
        (1024, 768, 512, (512, 384)),
        (734, 979, 512, (384, 512)),
        (1, 5000, 512, (1, 512)),
        (300, 200, 601, (601, 401)),
    ],
)
def test_fit_keeps_the_shape_and_the_longest_side(height, width, longest, expected):
    assert pyramid.fit(height, width, longest) == expected


def scales(size=512, smallest=128, factor=2.0, steps=(300, 200, 100), shape=(300, 400), **more):
    return pyramid.schedule(
        *shape, size=size, smallest=smallest, factor=factor, steps=steps, **more
    )


def test_sizes_go_up_to_the_one_asked_for():
    assert [s.longest for s in scales()] == [128, 256, 512]
    assert [(s.height, s.width) for s in scales()] == [(96, 128), (192, 256), (384, 512)]
    assert [s.longest for s in scales(size=700, factor=1.5)] == [138, 207, 311, 467, 700]
    assert [s.longest for s in scales(size=90)] == [90]


def test_the_last_number_of_steps_repeats():
    assert [s.steps for s in scales(size=2048)] == [300, 200, 100, 100, 100]
    assert [s.steps for s in scales(steps=(50,))] == [50, 50, 50]
    assert [s.steps for s in scales(size=128)] == [300]


def test_scales_that_cannot_be_run_are_left_out_but_never_the_last():
    narrow = scales(usable=lambda longest: longest > 128)
    assert [(s.longest, s.steps) for s in narrow] == [(256, 200), (512, 100)]
    assert [s.longest for s in scales(usable=lambda longest: False)] == [512]
