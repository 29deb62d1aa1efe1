"""Reading of damaged pictures by the thousand: ``python -m tests.images.fuzz NUMBER [SEED]``.

Each is read in a process with limits on memory. It must be read, or refused by one line of an
`ImageError`, within seconds, with no word on standard error and without ending the process.
"""

import faulthandler
import io
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import tifffile
from PIL import Image

from jaxstyle import images
from jaxstyle.errors import ImageError

SECONDS, HUNG = 5, 60
"""Seconds of processor time that a picture may take; seconds after which its process is ended."""
MEMORY = 2**30
PIXELS = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
SMOOTH = np.linspace(0, 255, 37 * 50 * 3).astype(np.uint8).reshape(37, 50, 3)


# --- whole pictures -------------------------------------------------------------------------------


def _by_pillow(kind: str, mode: str = "RGB", **options) -> bytes:
    picture, buffer = Image.fromarray(SMOOTH).convert(mode), io.BytesIO()
    if options.pop("animated", False):
        options |= {"save_all": True, "append_images": [Image.fromarray(PIXELS).convert(mode)]}
    exif = Image.Exif()
    exif[274] = 6
    if kind not in ("GIF", "BMP"):
        options["exif"] = exif
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _by_tifffile(**options) -> bytes:
    buffer, depth = io.BytesIO(), options.pop("dtype", np.uint8)
    with tifffile.TiffWriter(buffer, bigtiff=options.pop("bigtiff", False)) as file:
        pixels = PIXELS.astype(depth)
        if options.get("planarconfig") == "separate":
            pixels = np.moveaxis(pixels, 2, 0)
        below = options.pop("below", 0)
        file.write(pixels, photometric="rgb", subifds=below, **options)
        for _ in range(below):
            file.write(PIXELS[::2, ::2], photometric="rgb", subfiletype=1)
    return buffer.getvalue()


def _run_length_bmp() -> bytes:
    rows = b"".join(bytes([25, n, 25, 255 - n, 0, 0]) for n in range(37))
    data = rows + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, 50, 37, 1, 8, 1, len(data), 0, 0, 256, 0)
    palette = bytes(range(256)) * 4
    start = 14 + len(header) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + header + palette + data


def _png(depth: int, color: int, interlaced: int, *chunks: tuple[bytes, bytes]) -> bytes:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = bytes((50 * channels * depth + 7) // 8 + 1)
    header = struct.pack(">IIBBBBB", 50, 37, depth, color, 0, 0, interlaced)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(row * 80)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    whole = kind + data
    return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))


def pictures() -> dict[str, bytes]:
    """Return small pictures of all formats, by name."""
    text = (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(5000)))
    found = {
        "png": _by_pillow("PNG"),
        "png palette": _by_pillow("PNG", "P", transparency=3),
        "png alpha": _by_pillow("PNG", "RGBA"),
        "png bits": _by_pillow("PNG", "1"),
        "png animated": _by_pillow("PNG", animated=True),
        "png text": _png(8, 2, 0, text, (b"pHYs", bytes(9)), (b"gAMA", bytes(4))),
        "png interlaced bits": _png(1, 0, 1),
        "png interlaced 16": _png(16, 6, 1),
        "png 16": _png(16, 2, 0, (b"tRNS", bytes(6))),
        "jpeg": _by_pillow("JPEG"),
        "jpeg gray": _by_pillow("JPEG", "L"),
        "jpeg cmyk": _by_pillow("JPEG", "CMYK"),
        "jpeg progressive": _by_pillow("JPEG", progressive=True),
        "mpo": _by_pillow("MPO", animated=True),
        "gif": _by_pillow("GIF", "P"),
        "gif animated": _by_pillow("GIF", animated=True),
        "bmp": _by_pillow("BMP"),
        "bmp palette": _by_pillow("BMP", "P"),
        "bmp bits": _by_pillow("BMP", "1"),
        "bmp run length": _run_length_bmp(),
        "webp": _by_pillow("WEBP"),
        "webp lossless": _by_pillow("WEBP", "RGBA", lossless=True),
        "webp animated": _by_pillow("WEBP", animated=True),
        "avif": _by_pillow("AVIF"),
        "tiff tiles": _by_tifffile(tile=(16, 16)),
        "tiff zlib tiles": _by_tifffile(tile=(16, 16), compression="zlib", predictor=True),
        "tiff planes": _by_tifffile(planarconfig="separate", rowsperstrip=8),
        "tiff 16": _by_tifffile(dtype=np.uint16, rowsperstrip=8),
        "tiff 16 zlib": _by_tifffile(dtype=np.uint16, compression="zlib"),
        "tiff big": _by_tifffile(bigtiff=True, compression="zlib", rowsperstrip=8),
        "tiff pyramid": _by_tifffile(below=2),
    }
    for compression in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "tiff_lzma"):
        found[f"tiff {compression}"] = _by_pillow("TIFF", compression=compression)
    for compression in ("group3", "group4", "tiff_ccitt"):
        found[f"tiff {compression}"] = _by_pillow("TIFF", "1", compression=compression)
    return found


# --- damage ---------------------------------------------------------------------------------------

NUMBERS = (
    *(0, 1, 2, 7, 8, 127, 128, 255, 256, 5000, 20000),
    *(32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1),
)


def _bytes(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    near = rng.choice((40, 400, len(data)))
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(min(near, len(data)))] = rng.randrange(256)


def _bits(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _number(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    width, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    place = rng.randrange(min(rng.choice((64, 600, len(data))), len(data)))
    number = min(rng.choice(NUMBERS), 256**width - 1)
    data[place : place + width] = number.to_bytes(width, order)


def _cut(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    del data[rng.randrange(1, len(data)) :]


def _delete(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    place = rng.randrange(len(data))
    del data[place : place + rng.randint(1, 40)]


def _repeat(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    start = rng.randrange(len(data))
    part = data[start : start + rng.randint(1, 400)]
    data[start:start] = part * rng.choice((1, 2, 20, 200))


def _splice(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    other, place = rng.choice(others), rng.randrange(len(data))
    start = rng.randrange(len(other))
    data[place:] = other[start:]


DAMAGE: tuple[Callable[[bytearray, random.Random, list[bytes]], None], ...] = (
    *(_bytes, _bytes, _bits, _number, _number, _number),
    *(_cut, _delete, _repeat, _splice),
)


def damaged(names: list[str], whole: dict[str, bytes], seed: int, index: int) -> tuple[str, bytes]:
    """Return the name and the bytes of one damaged picture."""
    rng = random.Random(f"{seed} {index}")
    name = names[index % len(names)]
    data = bytearray(whole[name])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if data:
            rng.choice(DAMAGE)(data, rng, list(whole.values()))
    if name.startswith("png") and rng.random() < 0.8:
        _mend_checksums(data)
    return name, bytes(data)


def _mend_checksums(data: bytearray) -> None:
    """Make the checksums of PNG chunks right, so that the damage is not found by them alone."""
    place = 8
    while place + 12 <= len(data):
        end = place + 8 + struct.unpack_from(">I", data, place)[0]
        if end + 4 > len(data):
            return
        struct.pack_into(">I", data, end, zlib.crc32(data[place + 4 : end]))
        place = end + 4


# --- reading --------------------------------------------------------------------------------------


def _problem(path: str) -> str | None:
    """Read a picture; return what is wrong about how that went."""
    start, sides, planned = time.process_time(), None, None
    try:
        planned = images.read_sides(path)
        picture = images.read(path)
        sides = picture.rgb.shape[:2]
        if not 0 <= picture.rgb.min() <= picture.rgb.max() <= 1:
            return "values outside of [0, 1]"
    except ImageError as error:
        if "\n" in str(error) or path not in str(error):
            return f"not one line with the name: {error!r}"
        if isinstance(error.__cause__, MemoryError):
            return f"out of memory: {error}"
    except Exception as error:
        return f"unexpected {type(error).__name__}: {error}"
    if sides and sides != planned:
        return f"planned as {planned}, but read as {sides}"
    seconds = time.process_time() - start
    return f"{seconds:.1f} s" if seconds > SECONDS else None


def _work(number: int, seed: int, first: int, folder: str) -> None:
    """Read pictures from the first on; print a line for each problem and each picture begun."""
    whole, path = pictures(), os.path.join(folder, "picture")
    names = sorted(whole)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for index in range(first, number):
        name, data = damaged(names, whole, seed, index)
        with open(path, "wb") as file:
            file.write(data)
        print(json.dumps({"begun": index}), flush=True)
        faulthandler.dump_traceback_later(HUNG, exit=True)
        problem = _problem(path)
        faulthandler.cancel_dump_traceback_later()
        if said := os.fstat(2).st_size:
            os.ftruncate(2, 0)
            os.lseek(2, 0, os.SEEK_SET)
            problem = problem or f"{said} bytes on standard error"
        if problem:
            print(json.dumps({"index": index, "name": name, "problem": problem}), flush=True)


_COMMAND = [
    *(sys.executable, "-c"),
    "import sys; from tests.images import fuzz; fuzz._work(*map(int, sys.argv[1:4]), sys.argv[4])",
]


def problems(number: int, seed: int = 0) -> Iterator[str]:
    """Read so many damaged pictures in other processes; yield a line for each problem."""
    first = 0
    while first < number:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
            command = [*_COMMAND, str(number), str(seed), str(first), folder]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as work:
                begun = first - 1
                for line in work.stdout or ():
                    found = json.loads(line)
                    begun = found.get("begun", begun)
                    if "problem" in found:
                        yield f"{found['index']} ({found['name']}): {found['problem']}"
            if work.returncode:
                said.seek(0)
                words = said.read()[-2000:].decode()
                yield f"{begun}: ended with status {work.returncode}: {words}"
            first = begun + 1 if work.returncode else number


if __name__ == "__main__":
    for problem in problems(*map(int, sys.argv[1:3])):
        print(problem, flush=True)
