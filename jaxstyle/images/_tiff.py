"""Choice of the main picture of a TIFF file, and checks of its layout, before it is decoded."""

import io
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from PIL import ExifTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2 as Directory

from jaxstyle.errors import ImageError
from jaxstyle.images._kinds import CAMERA_RAW
from jaxstyle.machine.files import BinaryFile

MOST_PAGES = 16
"""Maximum number of pictures in a file that are looked at."""

_SUBFILE, _OLD_SUBFILE, _SUB_IFDS = 254, 255, 330
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_REDUCED = 2
_RAW = (32803, 34892)  # PhotometricInterpretation of camera raw files: CFA and LinearRaw
_RAW_PIXELS, _OLD_JPEG = 1, 6  # Compression
_SAMPLE_FORMAT, _FLOATS = 339, 3
_STRIPS, _TILES = (273, 279), (324, 325)  # tags of offsets and byte counts


@dataclass(frozen=True)
class Page:
    """One picture of a file.

    Attributes:
      offset: Its directory's place in the file.
      tags: Its directory.
      inner: Whether it belongs to another page, as thumbnails and the pictures of a pyramid do.
    """

    offset: int
    tags: Directory
    inner: bool

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width as stored; 0 where they are not told."""
        tags = ExifTags.Base.ImageLength, ExifTags.Base.ImageWidth
        height, width = (self.tags.get(tag, 0) for tag in tags)
        return (height, width) if isinstance(height, int) and isinstance(width, int) else (0, 0)

    @property
    def is_full(self) -> bool:
        """Whether it is neither a smaller version nor a mask of another picture."""
        kind, old = self.tags.get(_SUBFILE, 0), self.tags.get(_OLD_SUBFILE, 0)
        return not (isinstance(kind, int) and kind & (_REDUCED | _MASK)) and old != _OLD_REDUCED


def main_page(file: BinaryFile, name: str) -> tuple[BinaryFile, tuple[str, ...]]:
    """Return a TIFF file whose first picture is the main one, and notes for the user.

    The main picture is the first that is not marked as a smaller version of another. If there are
    others beside it, a note says so.

    Args:
      file: The file.
      name: Its name in messages.

    Raises:
      ImageError: The strips or tiles of the main picture do not cover it, its pixels are floats,
        or it is a camera raw file.
    """
    header = _header(file)
    found = list(_pages(file, header))
    if not found:
        return file, ()  # whatever is wrong, Pillow will say
    full = [page for page in found if page.is_full] or [
        max(found, key=lambda p: math.prod(p.sides))
    ]
    main, *others = [page for page in full if not page.inner] or full
    if main.tags.get(ExifTags.Base.PhotometricInterpretation) in _RAW:
        raise ImageError(f"{name}: is {CAMERA_RAW}")
    if _FLOATS in main.tags.get(_SAMPLE_FORMAT, ()):
        raise ImageError(f"{name}: pixels that are floats are not supported: save it with 16 bits")
    _check_covered(main.tags, name)
    notes = (_several(name, main, others),) if others else ()
    return (file if main is found[0] else _beginning_with(main, file, header)), notes


def _several(name: str, main: Page, others: list[Page]) -> str:
    (height, width), count = main.sides, len(others) + 1
    number = f"at least {count}" if count >= MOST_PAGES else str(count)
    largest = max(others, key=lambda page: math.prod(page.sides)).sides
    larger = (
        f", though another is {largest[1]}x{largest[0]}" if max(largest) > max(main.sides) else ""
    )
    return f"{name}: has {number} pictures: the first is taken ({width}x{height}{larger})"


def _header(file: BinaryFile) -> bytes:
    file.seek(0)
    header = file.read(8)
    return header + file.read(8) if header[2:3] == b"+" or header[3:4] == b"+" else header


def _pages(file: BinaryFile, header: bytes) -> Iterator[Page]:
    """Yield the readable pictures of a file, each followed by those inside it."""
    waiting, seen = [(Directory(header).next, False)], set()
    while waiting and len(seen) < MOST_PAGES:
        offset, inner = waiting.pop(0)
        if not offset or offset in seen:
            continue
        seen.add(offset)
        tags = Directory(header)
        with suppress(Exception):  # damaged directories raise exceptions of any type
            file.seek(offset)
            tags.load(file)
            page = Page(offset, tags, inner)
            below = tags.get(_SUB_IFDS, ())
            below = below if isinstance(below, tuple) else (below,)
            waiting[:0] = [(each, True) for each in below if isinstance(each, int)]
            waiting += [(tags.next, inner)] if not inner else []
            if page.sides != (0, 0):
                yield page


def _beginning_with(page: Page, file: BinaryFile, header: bytes) -> BinaryFile:
    """Return a copy of the file, in memory, whose first directory is that of a page."""
    order = "little" if header[:2] == b"II" else "big"
    file.seek(0)
    data = bytearray(file.read())
    place = slice(8, 16) if len(header) == 16 else slice(4, 8)
    data[place] = page.offset.to_bytes(place.stop - place.start, order)
    return io.BytesIO(data)


def _check_covered(tags: Directory, name: str) -> None:
    """Raise ImageError unless there are strips or tiles, with data, for every pixel."""
    if tags.get(ExifTags.Base.Compression) == _OLD_JPEG:
        return  # its data may be elsewhere
    kind, (offsets, counts), needed = _layout(tags)
    if len(offsets) < needed:
        raise ImageError(
            f"{name}: damaged: it has {len(offsets)} {kind}s of the {needed} that its size needs"
        )
    raw = tags.get(ExifTags.Base.Compression, _RAW_PIXELS) == _RAW_PIXELS  # which need no counts
    parts = zip(offsets, counts[:needed], strict=False)
    empty = sum(not count and not (raw and offset) for offset, count in parts)
    if empty:
        raise ImageError(f"{name}: damaged: {empty} of its {needed} {kind}s are empty")


def _layout(tags: Directory) -> tuple[str, list[tuple[int, ...]], int]:
    """Return the kind of a picture's parts, their offsets and byte counts, and their number."""
    tiled = _TILES[0] in tags
    height, width = Page(0, tags, inner=False).sides
    planes = tags.get(ExifTags.Base.SamplesPerPixel, 1)
    planes = planes if tags.get(ExifTags.Base.PlanarConfiguration) == 2 else 1
    if tiled:
        across, down = (tags.get(tag, 0) for tag in (322, 323))
        number = -(-width // max(1, across)) * -(-height // max(1, down))
    else:
        number = -(-height // max(1, tags.get(ExifTags.Base.RowsPerStrip, height)))
    parts = [tags.get(tag, ()) for tag in (_TILES if tiled else _STRIPS)]
    return "tile" if tiled else "strip", parts, number * planes
