"""Tests of `jaxstyle.images.resize` by all rules: examples, properties, and other programs."""

import math
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from jaxstyle import images
from jaxstyle.images import _strips as strips
from tests.cases import for_each
from tests.images.conftest import peak_memory

SIZES = [(5, 3), (3, 5), (7, 7), (40, 3), (2, 31), (1, 1), (9, 14), (23, 8)]


def along(line, size: int, rule: str, axis: int) -> np.ndarray:
    """Resize a line along one axis of a picture that is constant along the other."""
    plane = np.tile(np.asarray(line, np.float32), (4, 1))
    if axis == 0:
        return images.resize(plane.T.copy(), size, 4, rule)[:, 1]
    return images.resize(plane, 4, size, rule)[1]


# --- by hand --------------------------------------------------------------------------------------


AREA = [
    ([0, 1, 0.5, 0.7], 2, [0.5, 0.6]),
    # 5 -> 3, windows of 5/3 pixels: [0, 5/3), [5/3, 10/3), [10/3, 5)
    (
        [0.0, 0.1, 0.3, 0.6, 1.0],
        3,
        [(2 / 3 * 0.1) * 0.6, (0.1 / 3 + 0.3 + 0.6 / 3) * 0.6, (0.6 * 2 / 3 + 1) * 0.6],
    ),
    ([0, 0.3, 0.9], 2, [0.1, 0.7]),  # the middle pixel counts half to both
    ([0.2, 0.4, 0.9], 1, [0.5]),
    # 3 -> 5, at 0, 1/2, 1, 3/2 and 2
    ([0, 0.4, 1], 5, [0, 0.2, 0.4, 0.7, 1]),
    # 3 -> 4, at 0, 2/3, 4/3 and 2
    ([0, 0.3, 0.9], 4, [0, 0.2, 0.5, 0.9]),
    ([0.3], 4, [0.3] * 4),
]
LINEAR = [
    # 4 -> 2, at 1/2 and 5/2
    ([0, 1, 0.5, 0.7], 2, [0.5, 0.6]),
    # 5 -> 3, at 1/3, 2 and 11/3
    ([0.0, 0.1, 0.3, 0.6, 1.0], 3, [0.1 / 3, 0.3, 0.6 + 0.4 * 2 / 3]),
    # 6 -> 2, at 1 and 4: the others are not seen, for nothing is averaged
    ([1, 0, 1, 1, 0, 1], 2, [0, 0]),
    # 3 -> 5, at -1/5 (held to 0), 2/5, 1, 8/5 and 11/5 (held to 2)
    ([0, 0.5, 1], 5, [0, 0.2, 0.5, 0.8, 1]),
    ([0, 1], 4, [0, 0.25, 0.75, 1]),
    ([0.3], 4, [0.3] * 4),
]


EXAMPLES = [("area", *each) for each in AREA] + [("linear", *each) for each in LINEAR]


@for_each(("rule", "line", "size", "expected"), EXAMPLES)
@for_each("axis", [0, 1])
def test_worked_examples_along_a_line(rule, line, size, expected, axis):
    np.testing.assert_allclose(along(line, size, rule, axis), expected, atol=1e-7)


def test_each_axis_has_its_own_direction():
    # 2 rows become 3 (at 0, 1/2 and 1), 3 columns become 2 (windows of 3/2).
    plane = np.array([[0, 0.3, 0.9], [0.6, 0.6, 0]], np.float32)
    expected = [[0.1, 0.7], [0.35, 0.45], [0.6, 0.2]]
    np.testing.assert_allclose(images.resize(plane, 3, 2, "area"), expected, atol=1e-7)
    np.testing.assert_allclose(
        images.resize(plane.T.copy(), 2, 3, "area"), np.transpose(expected), atol=1e-7
    )


@for_each(("before", "after"), [(13, 5), (100, 99), (97, 41), (64, 7), (1000, 3)])
def test_area_is_the_overlap_of_pixels(before, after):
    line = np.random.default_rng(before).random(before, dtype=np.float32)
    window = Fraction(before, after)
    expected = []
    for i in range(after):
        start, stop = i * window, (i + 1) * window
        inside = range(math.floor(start), math.ceil(stop))
        total = sum(float(min(stop, j + 1) - max(start, j)) * float(line[j]) for j in inside)
        expected.append(total / float(window))
    np.testing.assert_allclose(along(line, after, "area", 0), expected, atol=1e-7)


# --- properties -----------------------------------------------------------------------------------


@for_each("rule", images.RESAMPLINGS)
@for_each("shape", [(9, 14, 3), (9, 14), (9, 14, 1), (1, 1)])
@for_each("size", SIZES)
def test_size_type_and_range(rule, shape, size):
    hard = np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)  # rings the most
    resized = images.resize(hard, *size, resampling=rule)
    assert resized.shape == (*size, *shape[2:])
    assert resized.dtype == np.float32
    assert 0 <= resized.min() <= resized.max() <= 1


@for_each("rule", images.RESAMPLINGS)
def test_an_unchanged_size_changes_no_bit(rule):
    values = np.random.default_rng(1).normal(size=(7, 5, 3)).astype(np.float32)
    same = images.resize(values, 7, 5, rule)
    np.testing.assert_array_equal(same, values)
    assert not np.shares_memory(same, values)


@for_each("rule", ["area", "linear"])
def test_an_axis_of_unchanged_size_is_not_resampled(rule):
    values = np.random.default_rng(2).random((7, 5, 3), dtype=np.float32)
    both = images.resize(values, 7, 3, rule)
    each = [images.resize(row[None], 1, 3, rule) for row in values]
    np.testing.assert_array_equal(both, np.concatenate(each))


@for_each("rule", images.RESAMPLINGS)
@for_each("size", [(5, 4), (17, 6)])
def test_channels_are_resized_like_planes(rule, size):
    values = np.random.default_rng(3).random((8, 11, 3), dtype=np.float32)
    planes = [images.resize(values[..., c].copy(), *size, resampling=rule) for c in range(3)]
    np.testing.assert_array_equal(images.resize(values, *size, rule), np.dstack(planes))


def test_area_loses_no_precision_along_long_axes():
    line = (0.5 + 0.5 * np.cos(np.arange(8000) / 50)).astype(np.float32)
    integral = np.append(0, line.cumsum(dtype=np.float64))
    windows = np.diff(np.interp(np.linspace(0, 8000, 1999 + 1), np.arange(8001), integral))
    expected = windows * 1999 / 8000
    np.testing.assert_allclose(along(line, 1999, "area", 1), expected, atol=2e-7)


@for_each("size", [(5, 6), (9, 14), (40, 31)])
def test_the_rule_is_lanczos_unless_told_otherwise(size):
    values = np.random.default_rng(0).random((9, 14, 3), dtype=np.float32)
    expected = images.resize(values, *size, resampling="lanczos")
    np.testing.assert_array_equal(images.resize(values, *size), expected)


@for_each("rule", images.RESAMPLINGS)
@for_each("size", [(20, 17), (60, 50)])
def test_strips_change_no_bit(rule, size, monkeypatch):
    values = np.random.default_rng(3).random((31, 29, 3), dtype=np.float32)
    whole = images.resize(values, *size, rule)
    with monkeypatch.context() as patch:
        patch.setattr(strips, "STRIP_PIXELS", 100)
        np.testing.assert_array_equal(images.resize(values, *size, rule), whole)


def test_memory_is_little_more_than_the_result(monkeypatch):
    monkeypatch.setattr(strips, "STRIP_PIXELS", 2**13)
    values = np.zeros((300, 300, 3), np.float32)
    assert peak_memory(lambda: images.resize(values, 900, 800)) < 1.6 * 900 * 800 * 3 * 4


# --- the same rules elsewhere ---------------------------------------------------------------------


@for_each("rule", ["lanczos", "bicubic", "bilinear", "nearest"])
@for_each("size", [size for size in SIZES if size != (9, 14)])
def test_rules_of_pillow(rule, size):
    values = np.random.default_rng(7).uniform(0.3, 0.7, (9, 14)).astype(np.float32)
    enlarges = size[0] * size[1] >= 9 * 14
    kernel = "bicubic" if rule == "lanczos" and enlarges else rule
    expected = Image.fromarray(values).resize(size[::-1], Image.Resampling[kernel.upper()])
    resized = images.resize(values, *size, resampling=rule)
    np.testing.assert_array_equal(resized, np.asarray(expected).clip(0, 1))


GROWING = [(9, 15), (10, 14), (31, 40), (18, 28)]


@for_each(
    ("rule", "size", "options"),
    [("area", size, {"align_corners": True}) for size in GROWING]
    + [("linear", size, {"align_corners": False, "antialias": False}) for size in SIZES],
)
def test_rules_of_torch(rule, size, options):
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(8).random((9, 14, 3), dtype=np.float32)
    batch = torch.from_numpy(values.transpose(2, 0, 1).copy())[None]
    expected = torch.nn.functional.interpolate(batch, size, mode="bilinear", **options)
    resized = images.resize(values, *size, resampling=rule)
    np.testing.assert_allclose(resized, expected[0].numpy().transpose(1, 2, 0), atol=2e-6)


@for_each(
    ("size", "rule", "message"),
    [
        ((0, 4), "area", "at least 1"),
        ((2, 2), "cubic", "choose from lanczos, bicubic, bilinear, nearest, area, linear"),
        ((4, 4), "cubic", "choose from lanczos, bicubic, bilinear, nearest, area, linear"),
    ],
)
def test_empty_sizes_and_unknown_rules_are_refused(size, rule, message):
    with pytest.raises(ValueError, match=message):
        images.resize(np.zeros((4, 4, 3), np.float32), *size, resampling=rule)
