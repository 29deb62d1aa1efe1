"""Affine color maps computed on a small photo, applied to the photo at full resolution.

Joint bilateral upsampling (Kopf, Cohen, Lischinski, Uyttendaele, SIGGRAPH 2007), of maps instead of
colors (Chen, Adams, Wadhwa, Hasinoff, "Bilateral Guided Upsampling", SIGGRAPH Asia 2016), so that
the large photo keeps its detail. The map of a pixel i is the mean over the nearest 4 x 4 pixels k
of the small photo, weighted by

    B(vertical distance) B(horizontal distance)
        (exp(-mean over r, g, b of (large_i - small_k)^2 / (2 edge^2)) + 1e-4)

with distances in pixels of the small photo, and B the cubic B-spline: close to a Gaussian, but zero
outside the 4 x 4 pixels, so that the result has no steps where these change. The second factor
gives a pixel next to an edge the map of its own side. Its constant 1e-4 gives a pixel whose color
does not occur nearby the spatial mean of the maps.
"""

import io
import os
import zipfile
import zlib
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32, Float64

from jaxstyle.errors import MapsError
from jaxstyle.images import resize
from jaxstyle.images._write import replace_file
from jaxstyle.machine.input_files import open_input
from jaxstyle.machine.programs import jit

Picture = Array | np.ndarray
Path = str | os.PathLike[str]

EDGE = 0.05
"""Standard deviation of the color weight, for colors in [0, 1]. Between 0.02 and 0.1 it hardly
changes results."""

VERSION = 1
"""Version of the file format. Files of this and earlier versions can be read."""

_ANYWHERE = 1e-4
_REACH = 2  # pixels of the small photo: the half-width of the support of B
_ROWS = 64  # of a strip of the large photo
_ANOTHER = 0.1  # median color difference above which two photos are taken to be different


class AffineMaps(NamedTuple):
    """The contents of a file of affine maps.

    Attributes:
      maps: For each pixel, rows for the result's r, g, b and columns for the photo's r, g, b, 1.
      photo: The photo that the maps were computed on.
    """

    maps: Float32[np.ndarray, "h w 3 4"]
    photo: Float32[np.ndarray, "h w 3"]


def applied_at(
    maps: Float[Picture, "h w 3 4"],
    photo_small: Float[Picture, "h w 3"],
    photo_full: Float32[np.ndarray, "H W 3"],
) -> Float32[np.ndarray, "H W 3"]:
    """Apply maps computed on a small photo to the large one.

    Runs in strips of 64 rows, so that it needs little memory besides the large photo and result.

    Args:
      maps: The map of each pixel of the small photo, as `jaxstyle.images.affine.fit` returns them.
      photo_small: The small photo.
      photo_full: The large photo.

    Returns:
      The recolored large photo, clipped to [0, 1].

    Raises:
      MapsError: The two photos differ in aspect ratio.
    """
    small, maps = np.asarray(photo_small, np.float32), np.asarray(maps, np.float32)
    _check_shape(small, photo_full)
    height, width, _ = small.shape
    full_height, full_width, _ = photo_full.shape
    planes = np.concatenate([small, maps.reshape(height, width, -1)], axis=-1)
    around = np.pad(planes, ((_REACH, _REACH), (_REACH, _REACH), (0, 0)), mode="edge")
    down = _places(full_height, height) + _REACH
    right = _places(full_width, width) + _REACH

    rows = min(_ROWS, full_height)
    reached = min(int(rows * height / full_height) + 2 * _REACH + 2, len(around))
    result = np.empty_like(photo_full)
    for start in range(0, full_height, rows):
        start = min(start, full_height - rows)  # equal shapes, so that XLA compiles one program
        part = slice(start, start + rows)
        first = min(int(down[part][0]) - _REACH + 1, len(around) - reached)
        near = around[first : first + reached]
        result[part] = _strip(
            np.moveaxis(near, -1, 0),
            np.moveaxis(photo_full[part], -1, 1),
            (down[part] - first).astype(np.float32),
            right.astype(np.float32),
        )
    return result


def write_maps(
    path: Path, maps: Float[Picture, "h w 3 4"], photo_small: Float[Picture, "h w 3"]
) -> None:
    """Write maps and the photo they were computed on to a NumPy .npz file, atomically.

    Values are float32: slopes reach 30 and more, for which float16 causes visible steps.

    Raises:
      ImageError: The file cannot be written. An existing file is left unchanged.
    """
    buffer = io.BytesIO()
    np.savez(
        buffer,
        version=np.int64(VERSION),
        maps=np.asarray(maps, np.float32),
        photo=np.asarray(photo_small, np.float32),
    )
    replace_file(path, buffer.getvalue())


def read_maps(path: Path) -> AffineMaps:
    """Read a file written by `write_maps`.

    Raises:
      MapsError: The file does not exist, is damaged, of another kind, or of a later version.
    """
    name = os.fspath(path)
    try:
        with open_input(name) as file:
            entries = _entries(file)
    except OSError as error:
        raise MapsError(f"{name}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise MapsError(
            f"{name}: damaged, or not a file of affine maps: create it again"
        ) from error
    version = entries.get("version")
    if version is None or version.shape != () or version.dtype.kind != "i":
        raise MapsError(f"{name}: not a file of affine maps")
    if version > VERSION:
        raise MapsError(
            f"{name}: affine maps of version {version}, but only versions up to {VERSION} are "
            "supported: update jaxstyle"
        )
    found = AffineMaps(*(entries.get(key, np.empty(0)) for key in AffineMaps._fields))
    if not _are_valid(found):
        raise MapsError(f"{name}: damaged: its maps or photo have invalid shapes, types or values")
    return found


def _entries(file):
    archive = np.load(file, allow_pickle=False)
    if isinstance(archive, np.ndarray):
        raise ValueError("a single array")
    return {key: archive[key] for key in archive.files}


def _are_valid(found):
    sides = found.photo.shape[:2]
    return (
        found.photo.size > 0
        and found.photo.shape == (*sides, 3)
        and found.maps.shape == (*sides, 3, 4)
        and all(array.dtype == np.float32 and np.isfinite(array).all() for array in found)
    )


def check_same(small: Float32[np.ndarray, "h w 3"], full: Float32[np.ndarray, "H W c"]) -> None:
    """Check that the small photo shows the same picture as the large one, maybe with alpha.

    Raises:
      MapsError: They differ in aspect ratio or in content.
    """
    _check_shape(small, full)
    height, width, _ = small.shape
    differences = np.abs(resize(full, height, width, "area")[..., :3] - small).mean(axis=-1)
    if np.median(differences) > _ANOTHER:
        height, width, _ = full.shape
        raise MapsError(
            f"the photo ({width} x {height} pixels) is not the one that the affine maps were "
            "computed on: use the same photo"
        )


def _check_shape(small, full):
    (height, width, _), (full_height, full_width, _) = small.shape, full.shape
    sides = f"{full_width} x {full_height}", f"{width} x {height}"
    expected = full_height * width / full_width, full_width * height / full_height
    if min(abs(expected[0] - height), abs(expected[1] - width)) > 1:
        raise MapsError(
            f"the photo ({sides[0]} pixels) differs in aspect ratio from the one that the affine "
            f"maps were computed on ({sides[1]} pixels): use the same photo"
        )


def _places(full: int, small: int) -> Float64[np.ndarray, " {full}"]:
    """Return the pixel centers of the large photo, in pixel coordinates of the small one."""
    return (np.arange(full) + 0.5) * small / full - 0.5


@jit()
def _strip(near, colors, down, right):
    """Compute a strip of the result.

    Args:
      near: Colors and maps of the small photo around the strip, (3 + 12, reached, w).
      colors: Colors of the large photo, (rows, 3, W).
      down: Vertical position of each row in ``near``, (rows,).
      right: Horizontal position of each column in ``near``, (W,).

    Returns:
      The strip, (rows, W, 3).
    """
    left = jnp.floor(right).astype(jnp.int32)
    steps = jnp.arange(1 - _REACH, 1 + _REACH)
    across = _spline(right - left - steps[:, None])
    spread = [plane[:, left + steps[:, None]] for plane in near]  # each (reached, 4, W)

    def row(arguments):
        color, place = arguments
        top = jnp.floor(place).astype(jnp.int32)

        def add(step, totals):
            step_down, step_right = step // (2 * _REACH) + 1 - _REACH, step % (2 * _REACH)

            def there(plane):
                at = top + step_down, step_right, 0
                return lax.dynamic_slice(plane, at, (1, 1, len(left)))[0, 0]

            small, entries = spread[:3], spread[3:]
            unlike = sum((color[c] - there(small[c])) ** 2 for c in range(3)) / 3
            apart = _spline(place - top - step_down) * across[step_right]
            weight = apart * (jnp.exp(-unlike / (2 * EDGE**2)) + _ANYWHERE)
            total, *sums = totals
            for c in range(3):
                *slopes, shift = (there(plane) for plane in entries[4 * c : 4 * c + 4])
                mapped = shift + sum(slope * color[i] for i, slope in enumerate(slopes))
                sums[c] = sums[c] + weight * mapped
            return [total + weight, *sums]

        zeros = [jnp.zeros(len(left))] * 4
        total, *sums = lax.fori_loop(0, (2 * _REACH) ** 2, add, zeros)
        return jnp.clip(jnp.stack(sums) / total, 0, 1)

    return jnp.moveaxis(lax.map(row, (colors, down)), 1, -1)


def _spline(distance):
    """Evaluate the cubic B-spline."""
    x = jnp.abs(distance)
    return jnp.where(x < 1, 4 - 6 * x**2 + 3 * x**3, jnp.maximum(2 - x, 0) ** 3) / 6
