"""Encoding of pictures as PNG, JPEG, WebP or TIFF, with reproducible bytes.

TIFF and large or 16-bit PNG are encoded strip by strip. JPEG, WebP and small PNG are encoded by
Pillow, which needs the whole picture in memory, in 8 bits.
"""

import io
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image

from jaxstyle.images._icc import srgb_profile
from jaxstyle.images._png import Levels, write_png
from jaxstyle.images._read import SOFTWARE, Picture
from jaxstyle.images._strips import strips
from jaxstyle.machine.files import BinaryFile

PILLOW_PIXELS = 2**24
"""Maximum pixels of a PNG encoded by Pillow, which compresses better than our writer but needs
the whole picture in memory."""

CLASSIC_BYTES = 2**32 - 2**25
"""Maximum bytes of pixels in a classic TIFF, which has 32-bit offsets; larger ones are BigTIFF."""

INCH = 2
"""The unit of resolution in EXIF and TIFF."""

TIFF_STRIP_BYTES = 2**18
"""Bytes of a strip in a TIFF file: few, so that readers can decode a part of the picture."""


def encode(file: BinaryFile, picture: Picture, kind: str, bits: int, description: str) -> None:
    """Write a picture to a file open for writing.

    Args:
      file: A file open for writing.
      picture: Values are clipped to [0, 1] and rounded to the nearest level.
      kind: "PNG", "JPEG", "WEBP" or "TIFF".
      bits: 8, or 16 for PNG and TIFF.
      description: ASCII text for the EXIF tag ImageDescription.

    Raises:
      OSError: The file cannot be written (with an errno), or the encoder failed (without).
      ValueError: The picture or its description cannot be encoded.
      MemoryError: There is not enough memory.
    """
    height, width, _ = picture.rgb.shape
    shape = height, width, 3 if picture.alpha is None else 4
    if kind == "TIFF":
        _tiff(file, picture, shape, bits, description)
    elif kind == "PNG" and (bits == 16 or height * width > PILLOW_PIXELS):
        each = (levels(picture, rows, bits) for rows in strips(height, width))
        about = {"exif": _exif(description).removeprefix(b"Exif\0\0"), "dpi": picture.dpi}
        write_png(file, each, shape, bits=bits, icc_profile=srgb_profile(), **about)
    else:
        file.write(_by_pillow(picture, shape, kind, description))


def levels(picture: Picture, rows: slice, bits: int) -> Levels:
    """Return some rows as integers, clipped to [0, 1] and rounded to the nearest level."""
    values = picture.rgb[rows]
    if picture.alpha is not None:
        values = np.concatenate([values, picture.alpha[rows, :, None]], axis=-1)
    values = np.clip(values, 0, 1)
    values *= np.float32(2**bits - 1)
    return np.rint(values, out=values).astype(np.uint8 if bits == 8 else np.uint16)


def _by_pillow(picture: Picture, shape: tuple[int, int, int], kind: str, description: str) -> bytes:
    over_white = kind == "JPEG"  # JPEG has no alpha
    whole = np.empty((*shape[:2], 3 if over_white else shape[2]), np.uint8)
    for rows in strips(*shape[:2]):
        part = _over_white(picture, rows) if over_white else picture
        whole[rows] = levels(part, slice(None) if over_white else rows, 8)
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}}.get(kind, {})
    options |= {"dpi": picture.dpi} if picture.dpi else {}
    exif = _exif(description, picture.dpi if kind == "WEBP" else None)  # which has no other place
    buffer, image = io.BytesIO(), Image.fromarray(whole)
    del whole  # Pillow holds its own copy
    image.save(buffer, kind, icc_profile=srgb_profile(), exif=exif, **options)
    return buffer.getvalue()


def _over_white(picture: Picture, rows: slice) -> Picture:
    rgb = picture.rgb[rows]
    if picture.alpha is None:
        return Picture(rgb)
    alpha = picture.alpha[rows, :, None]
    return Picture(rgb * alpha + (1 - alpha))


def _exif(description: str, dpi: tuple[float, float] | None = None) -> bytes:
    exif = Image.Exif()
    if dpi:
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = dpi
        exif[ExifTags.Base.ResolutionUnit] = INCH
    exif[ExifTags.Base.Software] = SOFTWARE
    if description:
        exif[ExifTags.Base.ImageDescription] = description
    return exif.tobytes()


def _tiff(
    file: BinaryFile,
    picture: Picture,
    shape: tuple[int, int, int],
    bits: int,
    description: str,
) -> None:
    import tifffile  # slow to import, and only needed here

    height, width, channels = shape
    row_bytes = width * channels * bits // 8
    rows = min(height, max(1, TIFF_STRIP_BYTES // row_bytes))

    def compressed() -> Iterator[bytes]:
        for top in range(0, height, rows):
            values = levels(picture, slice(top, top + rows), bits)
            values[:, 1:] -= values[:, :-1].copy()  # predictor 2; integers wrap
            yield zlib.compress(values.data, 6)

    tifffile.imwrite(
        file,
        compressed(),
        shape=shape,
        dtype=np.uint8 if bits == 8 else np.uint16,
        bigtiff=height * row_bytes > CLASSIC_BYTES,
        rowsperstrip=rows,
        photometric="rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
        compression="zlib",
        predictor=True,
        iccprofile=srgb_profile(),
        description=description or None,
        software=SOFTWARE,
        resolution=picture.dpi,
        resolutionunit=INCH if picture.dpi else None,
        metadata=None,  # omit tifffile's own description
    )
