"""What a file is that cannot be read as a picture, told from its first bytes."""

import re

HEAD = 2048
"""Number of leading bytes that `kind_of` looks at."""

READABLE = "JPEG, PNG, WebP, TIFF, GIF, BMP or AVIF picture"

PNG = b"\x89PNG\r\n\x1a\n"

_AS_PICTURE = "save it as PNG, JPEG or TIFF"
_HEIF = "a HEIC picture"
CAMERA_RAW = f"a camera raw file: develop it, and {_AS_PICTURE}"

_AVIF = rb".{4}ftyp(?:avi[fs]|(?:mif1|msf1).{4}(?:.{4})*?avi[fs])"

_VIDEO = "a video, which 'jaxstyle video' takes; or take a frame of it, and " + _AS_PICTURE

# Each kind by a pattern of the first bytes; the first that matches counts.
_KINDS: tuple[tuple[bytes, str], ...] = (
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file itself: run 'git lfs pull'"),
    (rb".{4}ftyp(?:hei.|hev.|mif1|msf1)", _HEIF),
    (rb".{4}ftypcrx ", CAMERA_RAW),
    (rb".{4}(?:ftyp|moov|mdat|wide)", _VIDEO),
    (rb"\x1aE\xdf\xa3|RIFF.{4}AVI ", _VIDEO),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", f"a JPEG XL picture: {_AS_PICTURE}"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", f"a JPEG 2000 picture: {_AS_PICTURE}"),
    (rb"II\xbc", f"a JPEG XR picture: {_AS_PICTURE}"),
    (rb"II\*\0.{4}CR|FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0|FOVb|\0MRM", CAMERA_RAW),
    (rb"8BP[SB]", f"a Photoshop document: {_AS_PICTURE}"),
    (rb"gimp xcf", f"a GIMP document: {_AS_PICTURE}"),
    (rb"%PDF-", "a PDF document: save its page as PNG"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript document: save it as PNG"),
    (rb"\0\0[\1\2]\0[^\0]", f"an icon: {_AS_PICTURE}"),
    (rb"icns", f"an icon: {_AS_PICTURE}"),
    (rb"\x76\x2f\x31\x01|#\?RADIANCE|#\?RGBE|PF\n|Pf\n", f"an HDR picture: {_AS_PICTURE}"),
    (rb"P[1-7][\s#]|qoif|DDS |BPG\xfb|FLIF|\x8aMNG|SIMPLE  =", f"a picture: {_AS_PICTURE}"),
    (rb".{128}DICM", f"a DICOM picture: {_AS_PICTURE}"),
    (
        rb"PK\x03\x04|PK\x05\x06|\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ",
        "an archive: unpack it first",
    ),
    (rb"\x89HDF|\x93NUMPY|\x80[\2-\5]", "a file of data"),
    (rb"\x7fELF|MZ|#!", "a program"),
    (rb"ID3|OggS|fLaC|RIFF.{4}WAVE", "a sound"),
)
_MARKUP: tuple[tuple[bytes, bytes, str], ...] = (
    (rb"<svg|<\?xml|<!--|<!doctype svg", b"<svg", "an SVG drawing: save it as PNG"),
    (
        rb"<!doctype html|<html|<head|<body|<!--",
        b"<",
        "an HTML page: what was downloaded is not the picture",
    ),
    (rb"<\?xml", b"<", "an XML file"),
)
"""Each kind of markup by a pattern of its beginning, and a tag that follows somewhere."""

_SIGNATURES = (
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|BM|RIFF.{4}WEBP|II[*+]\0(?!.{4}CR)|MM\0[*+]"
    rb"|" + _AVIF
)


def is_avif(head: bytes) -> bool:
    """Return whether these are the first bytes of an AVIF picture."""
    return re.match(_AVIF, head, re.DOTALL) is not None


def is_heif(head: bytes) -> bool:
    """Return whether these are the first bytes of a HEIC picture."""
    return kind_of(head) == _HEIF


def kind_of(head: bytes) -> str | None:
    """Return what a file of these first bytes is, if it is not known to be a readable picture.

    Returns:
      Its kind, and after a colon what to do about it; None if it may be readable, or is not known.
    """
    if re.match(_SIGNATURES, head, re.DOTALL):
        return None
    if not head.strip(b"\0"):
        return "empty: it holds nothing but zeros"
    for pattern, kind in _KINDS:
        if re.match(pattern, head, re.DOTALL):
            return kind
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for pattern, tag, kind in _MARKUP:
        if re.match(pattern, begin) and tag in begin:
            return kind
    return "a text file" if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    text = head.decode(encoding, "ignore")
    plain = sum(c.isprintable() or c in "\t\n\r\f" for c in text)
    cut_off = 3 if len(head) == HEAD else 0  # bytes of the last character, if it is not whole
    return len(text.encode(encoding)) >= len(head) - cut_off and plain == len(text)
