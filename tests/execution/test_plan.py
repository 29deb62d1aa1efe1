"""How large every picture is at every scale, system by system."""

import numpy as np
import pytest

from jaxstyle.errors import PictureSizeError, SettingError
from jaxstyle.execution.plan import plan, seamless, style_size, whole_periods
from jaxstyle.execution.pyramid import Scale
from jaxstyle.settings import resolve


def blank(height, width):
    return np.zeros((height, width, 3), np.float32)


def scales(preset, height, width, style=(64, 64), **given):
    found = plan(blank(height, width), [blank(*style)], resolve(preset, **given))
    return [(scale.height, scale.width, scale.steps) for scale in found]


@pytest.mark.parametrize(
    ("preset", "shape", "expected"),
    [
        ("default", (75, 100), [(96, 128, 100), (192, 256, 60), (384, 512, 30)]),
        ("gatys-pytorch", (64, 96), [(512, 768, 520), (800, 1200, 220)]),
        ("gatys-pytorch", (96, 64), [(768, 512, 520), (1200, 800, 220)]),
        ("gatys-2017", (60, 60), [(512, 512, 500), (1024, 1024, 200)]),
        ("gatys-2017", (75, 300), [(256, 1024, 500), (512, 2048, 200)]),
        ("gatys-2016", (75, 100), [(384, 512, 500)]),
        ("neural-style", (734, 979), [(383, 512, 1000)]),
        ("neural-style-pt", (734, 979), [(383, 512, 1000)]),
        ("keras", (60, 80), [(400, 533, 4000)]),
        ("keras", (80, 60), [(400, 300, 4000)]),
        ("anishathalye", (45, 67), [(45, 67, 1000)]),
        ("anishathalye", (90, 40), [(90, 40, 1000)]),
        ("quanfita", (45, 67), [(45, 67, 1000)]),
        (
            "crowsonkb",
            (100, 50),
            [(128, 64, 1000), (181, 90, 500), (256, 128, 500), (362, 181, 500), (512, 256, 500)],
        ),
    ],
)
def test_every_system_has_its_own_sizes_and_steps(preset, shape, expected):
    assert scales(preset, *shape) == expected


@pytest.mark.parametrize("preset", ["keras", "gatys-pytorch", "gatys-2017", "anishathalye"])
def test_size_by_itself_is_the_longest_side(preset):
    assert [found[:2] for found in scales(preset, 60, 80, size=120)] == [(90, 120)]
    assert [found[:2] for found in scales(preset, 80, 60, size=120)] == [(120, 90)]


def test_size_with_a_rule_is_measured_by_it():
    assert scales("default", 60, 80, size=120, size_rule="height", smallest_size=120)[-1][:2] == (
        120,
        160,
    )
    assert scales("keras", 60, 80, size=120, size_rule="height")[-1][:2] == (120, 160)


FITS = [
    ("size", 1.0, 128, (128, 64)),
    ("size", 1.0, 64, (64, 32)),
    ("size", 0.5, 128, (64, 32)),
    ("no-enlarging", 1.0, 128, (100, 50)),
    ("no-enlarging", 1.0, 100, (100, 50)),
    ("no-enlarging", 1.0, 64, (64, 32)),
    ("no-enlarging", 0.5, 128, (64, 32)),
    ("width", 1.0, 128, (256, 128)),
    ("width", 0.5, 128, (128, 64)),
    ("width", 1.0, 33, (66, 33)),
    ("stretch", 1.0, 128, (64, 128)),
    ("stretch", 0.5, 128, (64, 128)),
]


@pytest.mark.parametrize(("fit", "factor", "size", "expected"), FITS)
def test_four_ways_to_fit_a_style_picture(fit, factor, size, expected):
    settings = resolve(style_fit=fit, style_scale=factor)
    scale = Scale(size // 2, size, size, 1)
    assert style_size(blank(100, 50), 0, scale, settings) == expected


def test_style_pictures_are_measured_as_the_result_is():
    settings = resolve(size=40, size_rule="height")
    assert style_size(blank(20, 60), 0, Scale(40, 80, 40, 1), settings) == (40, 120)
    own = resolve(size_rule="own", style_fit="size")
    assert style_size(blank(20, 60), 0, Scale(40, 80, 80, 1), own) == (27, 80)


def test_each_style_picture_can_have_a_scale_of_its_own():
    settings = resolve(style_scale=(1.0, 0.5))
    scale = Scale(64, 128, 128, 1)
    found = [style_size(blank(64, 128), i, scale, settings) for i in (0, 1)]
    assert found == [(64, 128), (32, 64)]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"style_scale": (1.0, 0.5, 2.0)}, "style_scale: has 3 scales for 2 style pictures"),
        ({"style_blend": (1.0,)}, "style_blend: has 1 shares for 2 style pictures"),
        ({"style_blend": (1.0, 0.0, 1.0)}, "style_blend: has 3 shares for 2 style pictures"),
    ],
)
def test_counts_that_do_not_fit_are_refused(given, problem):
    with pytest.raises(SettingError, match=f"^{problem}$"):
        plan(blank(40, 40), [blank(40, 40)] * 2, resolve(**given))


def test_one_scale_is_for_all():
    assert plan(blank(40, 40), [blank(40, 40)] * 3, resolve(style_scale=0.5))


def test_a_result_without_borders_has_whole_periods_at_every_scale():
    found = scales("default", 70, 100, size=100, smallest_size=25, padding="circular")
    # 17.5x25, 35x50 and 70x100 to the nearest multiples of 16
    assert [sides[:2] for sides in found] == [(16, 32), (32, 48), (64, 96)]
    assert scales("default", 70, 100, size=100, smallest_size=100)[-1][:2] == (70, 100)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [((1, 16), (16, 16)), ((23, 25), (16, 32)), ((512, 500), (512, 496)), ((7, 8), (16, 16))],
)
def test_whole_periods_are_the_nearest_and_at_least_one(sides, expected):
    assert whole_periods(sides) == expected


def test_a_picture_without_borders_is_enlarged_across_its_seam():
    image = np.zeros((16, 16, 3), np.float32)
    image[:, 8:] = 1
    scale = Scale(32, 32, 32, 1)
    larger = seamless(image, scale, resolve())
    assert larger.shape == (32, 32, 3)
    rolled = seamless(np.roll(image, 4, axis=1), scale, resolve())
    np.testing.assert_allclose(rolled, np.roll(larger, 8, axis=1), atol=1e-5)
    # Across the seam, from white to black, it is as smooth as across the edge inside.
    np.testing.assert_allclose(larger[0, :3, 0], larger[0, 15:12:-1, 0][::1], atol=1e-5)


def test_a_result_beyond_all_bounds_is_refused_before_any_work():
    with pytest.raises(SettingError, match="^size: would make 102400x512 pixels: lower it$"):
        scales("default", 16, 3200, size=512, size_rule="shortest")


def test_a_fit_that_leaves_a_style_too_small_is_refused():
    with pytest.raises(PictureSizeError, match="style picture 1 would be 64x8 pixels"):
        scales("default", 64, 64, style=(32, 256), size=64, smallest_size=64)
    assert scales(
        "default", 64, 64, style=(32, 256), size=64, smallest_size=64, style_fit="stretch"
    )
