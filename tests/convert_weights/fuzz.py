"""Parse damaged weights files of all formats: python -m tests.convert_weights.fuzz [COUNT [SEED]].

Each file is a valid one of less than 100 kB with a few changes, some made before it is compressed
or packed. It is parsed as in use (the same code under the same limits) but in a fork of this
process, because to start a process takes longer than to parse. The answer of each must be weights
or one line, in 5 seconds of processor time and 1 GB, and this process must survive it.
"""

import ctypes
import io
import json
import os
import signal
import sys
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from convert_weights import sandbox, sandboxed, vgg19
from convert_weights.vgg19 import Convolution
from convert_weights.weights import Weights
from convert_weights.weights_file import assemble, write_weights
from jaxstyle.errors import WeightsError
from tests.convert_weights import writers

SECONDS, MEGABYTES, BYTES = 5, 1024, 100_000
CHANNELS = [64, *[2] * 15]
EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
EXTREMES += [0xFFFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 1 << 20, 1 << 31, 1 << 40]


class Kind(NamedTuple):
    """A valid file: the bytes to change, and the function that makes a file of them."""

    name: str
    data: bytes
    pack: Callable[[bytes], bytes] = bytes
    only_own: bool = False


class Outcome(NamedTuple):
    """What became of a file, and what it took."""

    verdict: str
    seconds: float
    megabytes: float


def kinds(folder: Path) -> list[Kind]:
    """Return a valid file of every format and layout."""
    arrays = writers.random_arrays(CHANNELS)
    path = folder / "valid"

    def made(write: Callable, *arguments, **options) -> bytes:
        path.unlink(missing_ok=True)
        write(path, *arguments, **options)
        return path.read_bytes()

    layers = writers.matlab_layers(arrays)
    mean = {"meta": {"normalization": {"averageImage": np.array([writers.MEAN_RGB])}}}
    own = Weights(
        {name: Convolution(*pair) for name, pair in arrays.items()},
        *("BGR", 255.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0), False, "random", "0" * 64),
    )
    state = writers.state_dict(arrays, [f"features.{i}" for i in writers.FEATURES])
    mat = made(writers.write_mat_v5, layers, mean)
    packed = made(writers.write_torch_zip, state)
    return [
        Kind("own", made(write_weights, own, "float16"), only_own=True),
        *(Kind(f"keras {x}", made(writers.write_keras, arrays, x)) for x in ("tf", "keras3")),
        Kind("keras gzip", made(write_compressed_keras, arrays)),
        Kind("mat v7.3", made(writers.write_mat_v73, layers, mean)),
        Kind("mat v5", mat),
        Kind("mat v5 compressed", mat[128:], lambda data: compressed_mat(mat[:128], data)),
        Kind("torch legacy", made(writers.write_torch_legacy, state)),
        Kind("torch zip", packed),
        Kind("torch zip, its pickle", *pickle_in(packed)),
    ]


def write_compressed_keras(path: Path, arrays: writers.Arrays) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, pair in arrays.items():
            group = file.create_group(f"block{name[4]}_conv{name[6]}")
            for part, array in zip(("kernel", "bias"), pair, strict=True):
                group.create_dataset(part, data=array, compression="gzip", shuffle=True)


def compressed_mat(header: bytes, elements: bytes) -> bytes:
    """Return a .mat file whose variables are compressed, as they may be damaged."""
    parts, rest = [header], elements
    while rest:
        size = 8 + int.from_bytes(rest[4:8], "little")
        packed = zlib.compress(rest[:size], 1)
        parts.append((15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
        rest = rest[size:]
    return b"".join(parts)


def pickle_in(archive: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Return the pickle of a file of torch.save, and the function that puts one back."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}

    def pack(data: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as made:
            for name, content in {**members, "vgg/data.pkl": data}.items():
                made.writestr(name, content)
        return buffer.getvalue()

    return members["vgg/data.pkl"], pack


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the data after one to four changes of the kinds that break parsers."""
    result = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if not result:
            break
        # Half of the changes where headers are: near the beginning.
        reach = min(len(result), 4096) if rng.random() < 0.5 else len(result)
        at, size = int(rng.integers(reach)), int(rng.choice([1, 2, 4, 8]))
        match int(rng.integers(7)):
            case 0:
                result[at] ^= 1 << int(rng.integers(8))
            case 1:
                result[at : at + size] = rng.bytes(size)
            case 2 | 3:
                value = EXTREMES[rng.integers(len(EXTREMES))] & (256**size - 1)
                result[at : at + size] = value.to_bytes(size, "little" if at % 3 else "big")
            case 4:
                start = int(rng.integers(len(result)))
                result[at : at + 8 * size] = result[start : start + 8 * size]
            case 5:
                piece = result[at : at + int(rng.integers(1, 300))]
                result[at:at] = bytes(piece) * int(rng.choice([1, 2, 50]))
            case 6:
                cut = rng.random() < 0.3
                del result[at : None if cut else at + int(rng.integers(1, 100))]
    return bytes(result)


def outcome(path: Path, only_own: bool) -> Outcome:
    """Parse a file, and once more if it is accepted: memory must not be taken for numbers."""
    answer, code, seconds, megabytes = parsed_in_fork(path, only_own, 0x55)
    verdict = told(path, answer) if code == 0 else f"ended by {name_of(code)}"
    if verdict == "accepted" and parsed_in_fork(path, only_own, 0xAA)[0] != answer:
        verdict = "memory as numbers"
    return Outcome(verdict, seconds, megabytes)


def parsed_in_fork(path: Path, only_own: bool, fill: int) -> tuple[bytes, int, float, float]:
    """Parse a file in a fork of this process, under the limits of use.

    Args:
        path: The file.
        only_own: Refuse other formats.
        fill: Byte that memory is filled with when it is allocated and freed, with glibc.

    Returns:
        The answer, the exit status, the processor seconds and the megabytes taken.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        fill_memory(fill)
        sandboxed.limit(*sandbox.limits(path.stat().st_size))
        with open(writing, "wb") as output:
            output.writelines(sandboxed.answer(sandboxed.reader(only_own), path))
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answers:
        answer = answers.read()
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return answer, code, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def fill_memory(fill: int) -> None:
    """Fill all memory with a byte when it is allocated and freed, where glibc is used."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(-6, fill)  # M_PERTURB


def name_of(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"status {code}"


def told(path: Path, answer: bytes) -> str:
    """Return what this process makes of the answer of the other."""
    try:
        assemble(path, sandboxed.decode(answer))
    except WeightsError as error:
        assert str(error).isprintable() and len(str(error)) <= 1000, error
        return "unforeseen" if "Error: " in str(error) else "refused"
    return "accepted"


def main(count: int = 2000, seed: int = 0) -> int:
    """Parse so many damaged files; print what became of them, as JSON. Return the exit status."""
    rng = np.random.default_rng(seed)
    few = zip(writers.NAMES, zip([3, *CHANNELS], CHANNELS, strict=False), strict=True)
    vgg19.LAYERS.update(few)
    verdicts: dict[str, Counter[str]] = {}
    worst = {"seconds": 0.0, "megabytes": 0.0, "bytes": 0}
    bad: list[str] = []
    for only_own in (True, False):
        sandboxed.reader(only_own)  # import once
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        valid = kinds(folder)
        for index in range(count + len(valid)):
            kind = valid[index % len(valid)]
            data = kind.pack(kind.data if index < len(valid) else changed(kind.data, rng))
            path = folder / f"{index}.bin"
            path.write_bytes(data)
            result = outcome(path, kind.only_own)
            if index < len(valid):
                assert result.verdict == "accepted", (kind.name, result)
            verdicts.setdefault(kind.name, Counter())[result.verdict] += 1
            measured = {**result._asdict(), "bytes": len(data)}
            worst = {each: max(value, measured[each]) for each, value in worst.items()}
            # Forks that a library ends are no failures: that is what they are for.
            large = len(data) <= BYTES and result.megabytes > MEGABYTES
            wrong = result.verdict in ("memory as numbers", "ended by status 1")
            if result.seconds > SECONDS or large or wrong:
                bad.append(f"{kind.name} {index}: {result}")
            path.unlink()
    print(json.dumps({"verdicts": verdicts, "worst": worst, "bad": bad}, indent=1))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
