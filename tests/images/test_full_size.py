"""Tests of affine maps at full size: against a loop over pixels, at edges, and their files."""

import io

import numpy as np
import pytest

from jaxstyle.errors import ImageError, MapsError
from jaxstyle.images import affine, resize
from jaxstyle.images.full_size import EDGE, VERSION, applied_at, check_same, read_maps, write_maps
from tests.cases import for_each

RANDOM = np.random.default_rng(0)
WARM = np.array([[0.9, 0.1, 0, 0.1], [0, 0.8, 0.1, 0], [0, 0.1, 0.5, 0]], np.float32)
COLD = np.array([[0.5, 0, 0.1, 0], [0.1, 0.6, 0.1, 0.05], [0, 0.1, 0.7, 0.1]], np.float32)


def scene(height, width):
    """Return a textured picture, light above a slanted edge and dark below, and its light mask."""
    rows, columns = np.indices((height, width)) / height
    above = rows < 0.35 + 0.2 * columns
    texture = 0.05 * RANDOM.standard_normal((height, width, 3))
    photo = np.where(above[..., None], [0.7, 0.75, 0.9], [0.3, 0.25, 0.2]) + texture
    return photo.clip(0, 1).astype(np.float32), above


def mapped(photo, maps):
    return np.einsum("...cg,...g->...c", maps[..., :3], photo) + maps[..., 3]


FULL, _ = scene(26, 17)
SMALL = resize(FULL, 12, 8, "area")
MAPS = RANDOM.uniform(0, 0.3, (12, 8, 3, 4)).astype(np.float32)


def spline(x):
    x = abs(x)
    return (4 - 6 * x**2 + 3 * x**3) / 6 if x < 1 else max(2 - x, 0) ** 3 / 6


def upsampled(maps, small, full):
    """Upsample by the module's formula, pixel by pixel, with edge padding."""
    (height, width, _), small, full = small.shape, small.astype(float), full.astype(float)
    out = np.empty(full.shape)
    for i, j in np.ndindex(full.shape[:2]):
        down = (i + 0.5) * height / full.shape[0] - 0.5
        right = (j + 0.5) * width / full.shape[1] - 0.5
        total, value = 0.0, np.zeros(3)
        for y in range(int(np.floor(down)) - 1, int(np.floor(down)) + 3):
            for x in range(int(np.floor(right)) - 1, int(np.floor(right)) + 3):
                k = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
                unlike = np.mean((full[i, j] - small[k]) ** 2)
                alike = np.exp(-unlike / (2 * EDGE**2)) + 1e-4
                weight = spline(down - y) * spline(right - x) * alike
                total, value = total + weight, value + weight * mapped(full[i, j], maps[k])
        out[i, j] = value / total
    return out.clip(0, 1)


@for_each(
    ("sides", "of_small"),
    [
        ((26, 17), (12, 8)),
        ((70, 9), (31, 4)),  # two strips
        ((26, 17), (26, 17)),
        ((1, 1), (1, 1)),
        ((1, 9), (1, 9)),
        ((9, 1), (9, 1)),
    ],
)
def test_upsampling_is_that_of_the_formula(sides, of_small):
    full, _ = scene(*sides)
    small = resize(full, *of_small, "area")
    maps = RANDOM.uniform(-0.5, 1, (*of_small, 3, 4)).astype(np.float32)
    found = applied_at(maps, small, full)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, upsampled(maps, small, full), atol=2e-5)


def test_an_edge_between_two_maps_stays_sharp():
    full, above = scene(240, 320)
    small = resize(full, 30, 40, "area")
    expected = np.where(above[..., None], mapped(full, WARM), mapped(full, COLD)).clip(0, 1)
    result = resize(expected.astype(np.float32), 30, 40, "area")
    maps = affine.smoothed(affine.fit(small, result, 1e-5), small, radius=6)
    found = applied_at(maps, small, full)
    blurred = resize(result, 240, 320, "bicubic")
    beside = np.abs(np.diff(above, axis=0, append=above[-1:])) > 0
    beside = sum(np.roll(beside, shift, axis=0) for shift in range(-6, 7)) > 0
    error = np.abs(found - expected)
    assert error[beside].mean() < 0.1 * np.abs(blurred - expected)[beside].mean()
    assert error[~beside].mean() < 0.004
    step = [(values[above].mean() - values[~above].mean()) for values in (found, expected)]
    assert step[0] == pytest.approx(step[1], rel=0.02)


def test_another_photo_is_refused():
    check_same(SMALL, FULL)
    with pytest.raises(MapsError, match=r"\(17 x 26 pixels\) is not the one"):
        check_same(SMALL, FULL[::-1].copy())
    with pytest.raises(MapsError, match=r"\(17 x 20 pixels\) differs in aspect ratio .*\(8 x 12"):
        applied_at(MAPS, SMALL, FULL[:20])


# --- files ----------------------------------------------------------------------------------------


def test_a_file_gives_back_what_was_written(tmp_path):
    write_maps(tmp_path / "m.npz", affine.fit(SMALL, SMALL), SMALL)
    first = (tmp_path / "m.npz").read_bytes()
    maps, photo = read_maps(tmp_path / "m.npz")
    np.testing.assert_array_equal(photo, SMALL)
    np.testing.assert_array_equal(maps, affine.fit(SMALL, SMALL))
    write_maps(tmp_path / "m.npz", maps, photo)
    assert (tmp_path / "m.npz").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]


def archive(**changes) -> bytes:
    buffer = io.BytesIO()
    entries = {"version": np.int64(VERSION), "maps": MAPS, "photo": SMALL, **changes}
    np.savez(buffer, **{name: value for name, value in entries.items() if value is not None})
    return buffer.getvalue()


def one_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, MAPS)
    return buffer.getvalue()


DAMAGED, INVALID = "damaged, or not a file of affine maps", "invalid shapes, types or values"


@for_each(
    ("data", "message"),
    [
        (b"", DAMAGED),
        (b"a recipe", DAMAGED),
        (archive()[:-300], DAMAGED),
        (archive()[:5000], DAMAGED),
        (archive().replace(SMALL.tobytes()[:64], bytes(64)), DAMAGED),
        (archive(version=np.array({1: 2}, object)), DAMAGED),
        (one_array(), DAMAGED),
        (archive(version=None), "not a file of affine maps"),
        (archive(version=np.int64(VERSION + 1)), "update jaxstyle"),
        (archive(photo=None), INVALID),
        (archive(photo=FULL), INVALID),
        (archive(maps=np.full_like(MAPS, np.nan)), INVALID),
        (archive(photo=SMALL.astype(float)), INVALID),
    ],
)
def test_invalid_files_are_refused(tmp_path, data, message):
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(MapsError, match=message) as caught:
        read_maps(tmp_path / "m.npz")
    assert "m.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_or_folder_is_refused(tmp_path):
    with pytest.raises(MapsError, match="none.npz: cannot be read: No such file"):
        read_maps(tmp_path / "none.npz")
    with pytest.raises(ImageError, match="cannot be written"):
        write_maps(tmp_path / "none" / "m.npz", MAPS, SMALL)
