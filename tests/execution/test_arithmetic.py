"""The arithmetic of a step."""

from jaxstyle.execution.arithmetic import step_flops
from jaxstyle.settings import resolve


def shallow(**settings):
    return resolve(**{"style_layers": ["relu1_1"], "content_layers": ["relu1_1"], **settings})


def test_flops_are_counted_by_hand():
    pixels = 10 * 13
    conv1 = 9 * 3 * 64 * pixels + 9 * 64 * 64 * pixels
    conv2 = 9 * 64 * 128 * 5 * 6
    grams = 64**2 * pixels + 128**2 * 5 * 6
    layers = shallow(style_layers=["relu1_1", "relu2_1"])
    assert step_flops(10, 13, layers) == 2 * 2 * (conv1 + conv2 + grams)


def test_flops_follow_the_settings():
    deep = {"style_layers": ["relu1_1", "relu2_1"]}
    assert step_flops(11, 11, shallow(**deep, rounding="ceil")) > step_flops(
        11, 11, shallow(**deep)
    )
    plain = step_flops(11, 11, shallow())
    assert step_flops(11, 11, shallow(style_loss="mean-std")) < plain
    assert step_flops(11, 11, shallow(style_loss="wasserstein")) == plain
    assert step_flops(11, 11, shallow(), channels=(1, 1, 1, 1, 1)) < plain / 100
    assert step_flops(11, 11, shallow(content_weight=0, style_weight=0)) == 0
