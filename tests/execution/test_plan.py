"""How large every picture is at every scale, and for how many steps, preset by preset."""

import itertools

import numpy as np
import pytest

from jaxstyle.errors import PictureSizeError, SettingError
from jaxstyle.execution.plan import (
    Scale,
    check_execution,
    plan,
    schedule,
    seamless,
    style_size,
    whole_periods,
)
from jaxstyle.images import sizes
from jaxstyle.settings import resolve


def blank(height, width):
    return np.zeros((height, width, 3), np.float32)


def planned(preset, height, width, style=(64, 64), **given):
    found = plan(blank(height, width), [blank(*style)], resolve(preset, **given))
    return [(scale.height, scale.width, scale.steps) for scale in found]


@pytest.mark.parametrize(
    ("rule", "sides", "size", "expected"),
    [
        ("longest", (768, 1024), 512, (384, 512)),
        ("longest", (1024, 768), 512, (512, 384)),
        ("longest", (734, 979), 512, (384, 512)),
        ("longest", (1, 5000), 512, (1, 512)),
        ("longest", (300, 200), 601, (601, 401)),
        ("longest-floor", (734, 979), 512, (383, 512)),  # neural-style makes 512x383
        ("longest-floor", (400, 760), 1024, (538, 1024)),
        ("longest-floor", (1, 5000), 512, (1, 512)),
        ("shortest", (768, 1024), 512, (512, 682)),
        ("shortest", (1024, 768), 512, (682, 512)),
        ("shortest", (1, 9), 3, (3, 27)),
        ("height", (600, 800), 400, (400, 533)),
        ("area", (512, 512), 512, (512, 512)),
        ("area", (300, 1200), 512, (256, 1024)),
    ],
)
def test_each_rule_fits_a_picture_to_a_size(rule, sides, size, expected):
    assert sizes.fit(*sides, size, rule) == expected
    assert rule != "longest" or sizes.fit(*sides, size) == expected  # by default


@pytest.mark.parametrize("rule", ["longest", "longest-floor", "shortest", "height"])
def test_the_measured_side_is_exactly_the_size(rule):
    of = {"shortest": min, "height": lambda size: size[0]}.get(rule, max)
    for height, width, size in itertools.product((7, 331, 1999), (9, 333, 2001), (63, 512, 1023)):
        assert of(sizes.fit(height, width, size, rule)) == size


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [(96, 128, 128, 300), (192, 256, 256, 200), (384, 512, 512, 100)]),
        ({"size": 128}, [(96, 128, 128, 300)]),
        ({"size": 90}, [(68, 90, 90, 300)]),
        ({"steps": (50,)}, [(96, 128, 128, 50), (192, 256, 256, 50), (384, 512, 512, 50)]),
        # Scales that cannot be run are left out, but never the last.
        ({"usable": lambda size: size > 128}, [(192, 256, 256, 200), (384, 512, 512, 100)]),
        ({"usable": lambda size: False}, [(384, 512, 512, 100)]),
    ],
)
def test_a_schedule_goes_from_coarse_to_fine(given, expected):
    assert scheduled(**given) == [Scale(*each) for each in expected]


def test_a_schedule_may_have_other_factors_and_many_scales():
    assert [scale.size for scale in scheduled(size=700, factor=1.5)] == [138, 207, 311, 467, 700]
    assert [scale.steps for scale in scheduled(size=2048)] == [300, 200, 100, 100, 100]


def scheduled(**given):
    usual = {"size": 512, "smallest": 128, "factor": 2.0, "steps": (300, 200, 100)}
    return schedule(lambda size: sizes.fit(300, 400, size), **{**usual, **given})


@pytest.mark.parametrize(
    ("preset", "sides", "expected"),
    [
        ("default", (75, 100), [(192, 256, 40), (384, 512, 26)]),
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
def test_every_preset_has_its_own_sizes_and_steps(preset, sides, expected):
    assert planned(preset, *sides) == expected


@pytest.mark.parametrize("preset", ["keras", "gatys-pytorch", "gatys-2017", "anishathalye"])
def test_a_size_without_a_rule_is_the_longest_side(preset):
    assert [found[:2] for found in planned(preset, 60, 80, size=120)] == [(90, 120)]
    assert [found[:2] for found in planned(preset, 80, 60, size=120)] == [(120, 90)]


@pytest.mark.parametrize(("preset", "given"), [("default", {"smallest_size": 120}), ("keras", {})])
def test_a_size_with_a_rule_is_measured_by_it(preset, given):
    found = planned(preset, 60, 80, size=120, size_rule="height", **given)
    assert found[-1][:2] == (120, 160)


@pytest.mark.parametrize(
    ("fit", "factor", "size", "expected"),
    [
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
    ],
)
def test_a_style_picture_is_fitted_in_four_ways(fit, factor, size, expected):
    settings, scale = resolve(style_fit=fit, style_scale=factor), Scale(size // 2, size, size, 1)
    assert style_size(blank(100, 50), 0, scale, settings) == expected


@pytest.mark.parametrize(
    ("given", "sides", "scale", "expected"),
    [
        ({"size": 40, "size_rule": "height"}, (20, 60), Scale(40, 80, 40, 1), [(40, 120)]),
        ({"size_rule": "own", "style_fit": "size"}, (20, 60), Scale(40, 80, 80, 1), [(27, 80)]),
        ({"style_scale": (1.0, 0.5)}, (64, 128), Scale(64, 128, 128, 1), [(64, 128), (32, 64)]),
    ],
)
def test_style_pictures_are_measured_as_the_result_and_scaled_each(given, sides, scale, expected):
    settings = resolve(**given)
    found = [style_size(blank(*sides), i, scale, settings) for i in range(len(expected))]
    assert found == expected


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


def test_one_style_scale_is_enough_for_all_style_pictures():
    assert plan(blank(40, 40), [blank(40, 40)] * 3, resolve(style_scale=0.5))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"tile": 72}, "^tile: must be a multiple of 16 for these layers, not 72"),
        ({"tile": 64, "optimizer": "lbfgs-zoom"}, "^tile: does not go with lbfgs-zoom.*use lbfgs"),
        ({"shard": "space", "tile": 64}, "^shard: space does not go with tiles"),
        ({"shard": "space"}, "^shard: space needs several devices, and JAX finds one"),
    ],
)
def test_impossible_tiles_and_sharding_are_refused(settings, problem):
    pictures = blank(80, 80), [blank(40, 40)]
    with pytest.raises(SettingError, match=problem):
        plan(*pictures, resolve(**settings))
    assert plan(*pictures, resolve())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"preset": "nnst", "tile": 64}, "tile: does not go with --style-loss neighbors, which"),
        ({"content_loss": "self-similarity", "shard": "space"}, "shard: space does not go with"),
        ({"last_style_loss": "neighbors-split", "normalize_gradients": True}, "--last-style-loss"),
    ],
)
def test_losses_on_several_layers_see_the_whole_picture(settings, problem):
    with pytest.raises(SettingError, match=problem):
        check_execution(resolve(**settings))


def test_a_last_pass_at_the_final_size_has_another_style_loss():
    given = {"size": 128, "smallest_size": 64, "steps": (5, 4, 3)}
    found = plan(blank(80, 128), [blank(40, 40)], resolve("nnst", **given))
    scales = [(scale.width, scale.steps, scale.style_loss) for scale in found]
    assert scales == [(64, 5, ""), (128, 4, ""), (128, 3, "neighbors-split")]
    both = plan(
        blank(80, 128),
        [blank(40, 40)],
        resolve("nnst", photorealism_weight=(0, 2), **given),
    )
    assert [scale.photorealism for scale in both] == [0, 0, 2, 2]


def test_shallow_layers_allow_any_even_tile():
    shallow = {"content_layers": "relu2_1", "style_layers": ["relu1_1", "relu2_1"]}
    check_execution(resolve(tile=74, **shallow))
    with pytest.raises(SettingError, match="multiple of 2 for"):
        check_execution(resolve(tile=75, **shallow))


def test_a_result_without_borders_has_whole_periods_at_every_scale():
    given = {"size": 100, "smallest_size": 25}
    found = planned("default", 70, 100, padding="circular", **given)
    # 17.5x25, 35x50 and 70x100 to the nearest multiples of 16
    assert [sides[:2] for sides in found] == [(16, 32), (32, 48), (64, 96)]
    assert planned("default", 70, 100, **given)[-1][:2] == (70, 100)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [((1, 16), (16, 16)), ((23, 25), (16, 32)), ((512, 500), (512, 496)), ((7, 8), (16, 16))],
)
def test_whole_periods_are_the_nearest_and_at_least_one(sides, expected):
    assert whole_periods(sides) == expected


def test_a_picture_without_borders_is_enlarged_across_its_seam():
    image = blank(16, 16)
    image[:, 8:] = 1
    larger, rolled = (
        seamless(each, Scale(32, 32, 32, 1), resolve()) for each in (image, np.roll(image, 4, 1))
    )
    assert larger.shape == (32, 32, 3)
    np.testing.assert_allclose(rolled, np.roll(larger, 8, axis=1), atol=1e-5)
    # Across the seam, from white to black, it is as smooth as across the edge inside.
    np.testing.assert_allclose(larger[0, :3, 0], larger[0, 15:12:-1, 0], atol=1e-5)


def test_a_result_beyond_all_bounds_is_refused_before_any_work():
    with pytest.raises(SettingError, match="^size: would make 102400x512 pixels: lower it$"):
        planned("default", 16, 3200, size=512, size_rule="shortest")


def test_a_fit_that_leaves_a_style_picture_too_small_is_refused():
    given = {"style": (32, 256), "size": 64, "smallest_size": 64}
    with pytest.raises(PictureSizeError, match="style picture 1 would be 64x8 pixels"):
        planned("default", 64, 64, **given)
    assert planned("default", 64, 64, **given, style_fit="stretch")
