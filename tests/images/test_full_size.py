"""Tests of affine maps at full size: against a loop over pixels, at edges, and their files."""

import io

import numpy as np
import pytest

from jaxstyle.errors import ImageError, MapsError
from jaxstyle.images import affine, resize
from jaxstyle.images.full_size import EDGE, VERSION, applied_at, check_same, read_maps, write_maps

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


@pytest.mark.parametrize(
    ("sides", "of_small"), [((70, 9), (31, 4)), ((26, 17), (12, 8))], ids=["two strips", "one"]
)
def test_upsampling_pixel_by_pixel(sides, of_small):
    full, _ = scene(*sides)
    small = resize(full, *of_small, "area")
    maps = RANDOM.uniform(0, 0.3, (*of_small, 3, 4)).astype(np.float32)
    found = applied_at(maps, small, full)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, upsampled(maps, small, full), atol=2e-5)


def test_at_the_same_size_equal_maps_are_just_applied():
    maps = np.broadcast_to(WARM, (*FULL.shape, 4))
    np.testing.assert_allclose(applied_at(maps, FULL, FULL), mapped(FULL, maps), atol=1e-5)


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


@pytest.mark.parametrize("sides", [(1, 1), (1, 9), (9, 1)])
def test_small_photos(sides):
    photo = FULL[: sides[0], : sides[1]]
    small = photo[:1, :1] if sides == (1, 1) else photo
    maps = np.broadcast_to(COLD, (*small.shape, 4))
    expected = mapped(photo, COLD).clip(0, 1)
    np.testing.assert_allclose(applied_at(maps, small, photo), expected, atol=1e-5)


def test_the_result_is_clipped():
    maps = np.broadcast_to(5 * WARM, (*SMALL.shape, 4))
    found = applied_at(maps, SMALL, FULL)
    assert found.max() == 1 and found.min() >= 0


def test_a_photo_of_another_aspect_ratio_is_refused():
    with pytest.raises(MapsError, match=r"\(17 x 20 pixels\) differs in aspect ratio .*\(8 x 12"):
        applied_at(MAPS, SMALL, FULL[:20])


def test_another_photo_of_the_same_aspect_ratio_is_refused():
    check_same(SMALL, FULL)
    with pytest.raises(MapsError, match=r"\(17 x 26 pixels\) is not the one"):
        check_same(SMALL, FULL[::-1].copy())


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


def test_writing_to_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ImageError, match="cannot be written"):
        write_maps(tmp_path / "none" / "m.npz", MAPS, SMALL)


def archive(**entries) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **entries)
    return buffer.getvalue()


GOOD = {"version": np.int64(VERSION), "maps": MAPS, "photo": SMALL}
BAD_FILES = {
    "empty": (b"", "damaged, or not a file of affine maps"),
    "text": (b"a recipe", "damaged, or not a file of affine maps"),
    "without its end": (archive(**GOOD)[:-300], "damaged, or not a file of affine maps"),
    "cut": (archive(**GOOD)[:5000], "damaged, or not a file of affine maps"),
    "flipped": (archive(**GOOD).replace(SMALL.tobytes()[:64], bytes(64)), "damaged, or not"),
    "objects": (archive(version=np.array({1: 2}, object)), "damaged, or not"),
    "another archive": (archive(a=MAPS), "not a file of affine maps"),
    "later": (archive(**GOOD | {"version": np.int64(VERSION + 1)}), "update jaxstyle"),
    "no photo": (archive(version=GOOD["version"], maps=MAPS), "invalid shapes, types or values"),
    "other sides": (archive(**GOOD | {"photo": FULL}), "invalid shapes, types or values"),
    "nan": (
        archive(**GOOD | {"maps": np.full_like(MAPS, np.nan)}),
        "invalid shapes, types or values",
    ),
    "doubles": (
        archive(**GOOD | {"photo": SMALL.astype(float)}),
        "invalid shapes, types or values",
    ),
}


@pytest.mark.parametrize("data, message", BAD_FILES.values(), ids=BAD_FILES)
def test_invalid_files_are_refused(tmp_path, data, message):
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(MapsError, match=message) as caught:
        read_maps(tmp_path / "m.npz")
    assert "m.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_one_array_is_not_a_file_of_maps(tmp_path):
    with open(tmp_path / "m.npz", "wb") as file:
        np.save(file, MAPS)
    with pytest.raises(MapsError, match="not a file of affine maps"):
        read_maps(tmp_path / "m.npz")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(MapsError, match="none.npz: cannot be read: No such file"):
        read_maps(tmp_path / "none.npz")
