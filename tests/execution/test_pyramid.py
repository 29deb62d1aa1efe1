"""Sizes and steps, coarse to fine."""

import itertools

import pytest

from jaxstyle.execution import pyramid
from jaxstyle.images import sizes


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
    assert sizes.fit(height, width, longest) == expected


@pytest.mark.parametrize(
    ("rule", "shape", "size", "expected"),
    [
        ("longest-floor", (734, 979), 512, (383, 512)),  # neural-style makes 512x383
        ("longest-floor", (400, 760), 1024, (538, 1024)),
        ("shortest", (768, 1024), 512, (512, 682)),
        ("shortest", (1024, 768), 512, (682, 512)),
        ("height", (600, 800), 400, (400, 533)),
        ("area", (512, 512), 512, (512, 512)),
        ("area", (300, 1200), 512, (256, 1024)),
        ("shortest", (1, 9), 3, (3, 27)),
        ("longest-floor", (1, 5000), 512, (1, 512)),
    ],
)
def test_every_system_measures_its_own_way(rule, shape, size, expected):
    assert sizes.fit(*shape, size, rule) == expected


@pytest.mark.parametrize("rule", ["longest", "longest-floor", "shortest", "height"])
def test_the_side_that_is_measured_comes_out_exactly(rule):
    of = {"shortest": min, "height": lambda size: size[0]}.get(rule, max)
    for height, width, size in itertools.product((7, 331, 1999), (9, 333, 2001), (63, 512, 1023)):
        assert of(sizes.fit(height, width, size, rule)) == size


def scales(size=512, smallest=128, factor=2.0, steps=(300, 200, 100), shape=(300, 400), **more):
    def fitted(size):
        return sizes.fit(*shape, size)

    return pyramid.schedule(
        fitted, size=size, smallest=smallest, factor=factor, steps=steps, **more
    )


def test_sizes_go_up_to_the_one_asked_for():
    assert [s.size for s in scales()] == [128, 256, 512]
    assert [(s.height, s.width) for s in scales()] == [(96, 128), (192, 256), (384, 512)]
    assert [s.size for s in scales(size=700, factor=1.5)] == [138, 207, 311, 467, 700]
    assert [s.size for s in scales(size=90)] == [90]


def test_the_last_number_of_steps_repeats():
    assert [s.steps for s in scales(size=2048)] == [300, 200, 100, 100, 100]
    assert [s.steps for s in scales(steps=(50,))] == [50, 50, 50]
    assert [s.steps for s in scales(size=128)] == [300]


def test_scales_that_cannot_be_run_are_left_out_but_never_the_last():
    narrow = scales(usable=lambda size: size > 128)
    assert [(s.size, s.steps) for s in narrow] == [(256, 200), (512, 100)]
    assert [s.size for s in scales(usable=lambda size: False)] == [512]
