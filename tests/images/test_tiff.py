"""The main picture of TIFF files that hold several, and TIFF files that do not hold all of one."""

import struct

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from jaxstyle import images
from jaxstyle.errors import ImageError
from tests.cases import for_each

MAIN = np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8)
SMALL = MAIN[::4, ::4]
OTHER = 255 - MAIN
REDUCED, MASK = 1, 4  # NewSubfileType


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.tif"


def write(path, *pages: tuple[np.ndarray, dict], **options) -> None:
    """Write pages, each with its options."""
    with tifffile.TiffWriter(path, **options) as file:
        for levels, more in pages:
            kind = "minisblack" if levels.ndim == 2 else "rgb"
            file.write(levels, **{"photometric": kind, "metadata": None, **more})


def holds(path, levels: np.ndarray) -> tuple[str, ...]:
    """Check the pixels that are read and the sides that are planned; return the notes."""
    picture = images.read(path)
    assert picture.rgb.shape[:2] == images.read_sides(path) == levels.shape[:2]
    np.testing.assert_allclose(picture.rgb, levels / np.iinfo(levels.dtype).max, atol=1e-6)
    return picture.notes


# --- several pictures -----------------------------------------------------------------------------


@for_each("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
@for_each("compression", [None, "zlib"])
def test_a_thumbnail_before_the_picture_is_passed_over(path, options, compression):
    write(path, (SMALL, {"subfiletype": REDUCED}), (MAIN, {"compression": compression}), **options)
    assert holds(path, MAIN) == ()


def test_a_thumbnail_marked_in_the_old_way_is_passed_over(path):
    old = [(255, "H", 1, 2, True)]
    write(path, (SMALL, {"extratags": old}), (MAIN, {}))
    assert holds(path, MAIN) == ()


def test_a_mask_before_the_picture_is_passed_over(path):
    write(path, (MAIN[..., 0], {"subfiletype": REDUCED}), (MAIN, {}))
    with_tag(path, 254, MASK)
    assert holds(path, MAIN) == ()


def test_the_picture_may_be_inside_its_thumbnail(path):
    write(path, (SMALL, {"subfiletype": REDUCED, "subifds": 2}), (MAIN, {}), (SMALL, {}))
    notes = holds(path, MAIN)
    assert notes == (f"{path}: has 2 pictures: the first is taken (40x60)",)
    deep = MAIN.astype(np.uint16) * 257
    write(path, (SMALL, {"subfiletype": REDUCED, "subifds": 1}), (deep, {"compression": "zlib"}))
    assert holds(path, deep) == ()


def test_smaller_versions_after_the_picture_do_not_matter(path):
    write(path, (MAIN, {"subifds": 1}), (SMALL, {"subfiletype": REDUCED}))
    assert holds(path, MAIN) == ()
    write(path, (MAIN, {}), (SMALL, {"subfiletype": REDUCED}))
    assert holds(path, MAIN) == ()


def test_of_several_full_pictures_the_first_is_taken_and_a_note_says_so(path):
    write(path, (MAIN, {}), (OTHER, {}), (OTHER, {}))
    assert holds(path, MAIN) == (f"{path}: has 3 pictures: the first is taken (40x60)",)
    write(path, (SMALL, {}), (MAIN, {}))
    larger = f"{path}: has 2 pictures: the first is taken (10x15, though another is 40x60)"
    assert holds(path, SMALL) == (larger,)
    write(path, *[(SMALL, {})] * 40)
    assert "has at least 16 pictures" in holds(path, SMALL)[0]


def test_if_all_are_called_smaller_versions_the_largest_is_taken(path):
    write(path, *[(each, {"subfiletype": REDUCED}) for each in (SMALL, MAIN, SMALL)])
    assert holds(path, MAIN) == ()


def test_directories_in_a_circle_are_read_once(path):
    write(path, (MAIN, {}), byteorder="<")
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)  # the next is the first again
    path.write_bytes(data)
    assert holds(path, MAIN) == ()


def test_a_damaged_second_directory_does_not_matter(path):
    write(path, (MAIN, {}), (OTHER, {}))
    with tifffile.TiffFile(path) as file:
        second = file.pages[1].offset
    path.write_bytes(path.read_bytes()[: second + 5])
    assert holds(path, MAIN) == ()


@for_each("photometric", ["cfa", 34892])
def test_a_camera_raw_file_is_called_so(path, photometric):
    raw = np.zeros((60, 40) if photometric == "cfa" else (60, 40, 3), np.uint16)
    inside = {"photometric": photometric, "subfiletype": 0}
    write(path, (SMALL, {"subfiletype": REDUCED, "subifds": 1}), (raw, inside))
    with pytest.raises(ImageError, match=r"a\.tif: is a camera raw file: develop it"):
        images.read(path)


# --- pixels that are not there --------------------------------------------------------------------


def with_tag(path, code: int, number: int, page: int = 0) -> None:
    """Change the value of a tag of a TIFF."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[page].tags[code].overwrite(number)


@for_each("compression", [None, "zlib", "packbits"])
@for_each("height", [61, 600, 2**24])
@for_each("layout", [{"rowsperstrip": 12}, {"tile": (16, 16)}])
def test_strips_and_tiles_that_do_not_cover_the_picture_are_refused(
    path, compression, height, layout
):
    if compression == "packbits":
        Image.fromarray(MAIN).save(path, compression="packbits", tiffinfo={278: 12})
    else:
        write(path, (MAIN, {"compression": compression, **layout}))
    height += 16 if "tile" in layout else 0
    height = min(height, 65535) if compression == "packbits" else height  # of 16 bits there
    with_tag(path, ExifTags.Base.ImageLength, height)
    for read in (images.read, images.read_sides):
        with pytest.raises(ImageError, match="damaged: it has .* of the .* that its size needs"):
            read(path)


def test_planes_are_covered_each(path):
    planes = np.moveaxis(MAIN, 2, 0)
    write(path, (planes, {"planarconfig": "separate", "rowsperstrip": 12}))
    assert holds(path, MAIN) == ()
    with_tag(path, ExifTags.Base.RowsPerStrip, 11)
    with pytest.raises(ImageError, match="it has 15 strips of the 18 that"):
        images.read(path)


def test_empty_tiles_are_refused(path):
    write(path, (np.zeros((64, 64, 3), np.uint8), {"tile": (16, 16), "compression": "zlib"}))
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = list(file.pages[0].tags[325].value)
        file.pages[0].tags[325].overwrite([0, 0, *counts[2:]])
    with pytest.raises(ImageError, match="damaged: 2 of its 16 tiles are empty"):
        images.read(path)


def test_uncompressed_strips_need_no_byte_counts(path):
    write(path, (MAIN, {}))
    with_tag(path, ExifTags.Base.StripByteCounts, 0)
    assert holds(path, MAIN) == ()
    with_tag(path, ExifTags.Base.StripOffsets, 0)
    with pytest.raises(ImageError, match="damaged: 1 of its 1 strips are empty"):
        images.read(path)


# --- bits -----------------------------------------------------------------------------------------


def packed(path, values: np.ndarray, bits: int) -> np.ndarray:
    """Write gray values of so many bits each, and read them."""
    height, width = values.shape
    each = values[..., None] >> np.arange(bits - 1, -1, -1) & 1
    rows = np.packbits(each.reshape(height, -1), axis=1)
    tifffile.imwrite(path, rows, photometric="minisblack", metadata=None)
    with_tag(path, ExifTags.Base.ImageWidth, width)
    with_tag(path, ExifTags.Base.BitsPerSample, bits)
    picture = images.read(path)
    assert picture.notes == ()
    return picture.rgb[..., 0]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12])
def test_bits_of_a_gray_level(path, bits):
    values = np.arange(16 * 240).reshape(16, 240) % 2**bits
    np.testing.assert_allclose(packed(path, values, bits), values / (2**bits - 1), atol=2e-5)


def test_uncompressed_pixels_beyond_the_file_are_refused_from_the_header(path):
    write(path, (MAIN, {}))
    with_tag(path, ExifTags.Base.ImageWidth, 2**15)
    with pytest.raises(ImageError, match="bytes cannot hold 32768x60 pixels"):
        images.read_sides(path)
