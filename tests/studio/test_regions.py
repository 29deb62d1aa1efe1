"""Masks from what was painted."""

import numpy as np
import pytest
from PIL import Image

from jaxstyle import images
from jaxstyle.guidance.masks import read_regions
from jaxstyle.studio.regions import BRUSHES, canvas, painted, palette, write_mask


def layer(width=64, height=48, color=0, alpha=255):
    """Return a layer whose left half is painted."""
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[:, : width // 2, :3], pixels[:, : width // 2, 3] = palette()[color], alpha
    return Image.fromarray(pixels)


def test_nothing_painted_is_nothing():
    blank = Image.new("RGBA", (8, 8))
    assert painted(None) is None
    assert painted({"layers": []}) is None
    assert painted({"layers": [blank]}) is None


def test_the_mask_has_the_color_where_there_is_paint(pictures, tmp_path):
    write_mask(painted({"layers": [layer(color=2)]}), pictures / "photo.png", tmp_path / "mask.png")
    mask = np.asarray(Image.open(tmp_path / "mask.png"))
    assert mask.shape == (96, 128, 3)  # that of the photo
    np.testing.assert_array_equal(mask[:, :64], np.broadcast_to(palette()[2], (96, 64, 3)))
    assert not mask[:, 64:].any()


@pytest.mark.parametrize("off", [-9, 9])
def test_edges_of_strokes_take_the_nearest_color(pictures, tmp_path, off):
    pixels = np.asarray(layer(color=1)).copy()
    pixels[..., :3] = np.clip(pixels[..., :3].astype(int) + off, 0, 255)
    mask = tmp_path / "mask.png"
    write_mask(Image.fromarray(pixels), pictures / "photo.png", mask)
    colors = np.unique(np.asarray(Image.open(mask)).reshape(-1, 3), axis=0)
    np.testing.assert_array_equal(colors, [[0, 0, 0], palette()[1]])


def test_the_same_color_is_the_same_region(pictures, tmp_path):
    for name in ("photo", "style"):
        write_mask(layer(color=3), pictures / f"{name}.png", tmp_path / f"{name}.png")
    regions = read_regions(
        [tmp_path / "photo.png"], [tmp_path / "style.png"], (96, 128), [(96, 128)]
    )
    assert len(regions.names) == 2
    assert regions.styles[0].any(axis=(1, 2)).all()


def test_a_style_picture_without_paint_serves_whole(pictures, tmp_path):
    write_mask(layer(), pictures / "photo.png", tmp_path / "photo.png")
    write_mask(None, pictures / "style.png", tmp_path / "style.png")
    regions = read_regions(
        [tmp_path / "photo.png"], [tmp_path / "style.png"], (96, 128), [(96, 128)]
    )
    assert len(regions.names) == 2 and regions.notes


def test_the_canvas_is_not_too_large(tmp_path):
    images.write(tmp_path / "wide.png", images.Picture(np.zeros((300, 2000, 3), np.float32)))
    assert canvas(tmp_path / "wide.png").size == (720, 108)


def test_brushes_differ():
    assert len(set(BRUSHES)) == len(BRUSHES)
