"""The process that parses one file, with limits on its time and memory; `sandbox` starts it.

It writes to its standard output one line of JSON, and then the bytes of arrays. The other side
interprets nothing else: no pickle, and no file that this process might have written.
"""

import json
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from convert_weights.weights import Parsed, Place
from jaxstyle.errors import WeightsError, one_line

TOO_LARGE = "reading it takes more memory than a VGG-19 in a file of this size"
_MAX_MESSAGE = 1000  # characters: it may quote names of the file


def reader(only_own: bool) -> Callable[[Path], Parsed]:
    """Return the function that parses files of this project's format, or of any.

    It raises `WeightsError`, whose message omits the path, for a file that is not a VGG-19.
    """
    # Imported here, because own files are read at every start of a run.
    if only_own:
        from convert_weights.own_format import find_parts

        return find_parts
    from convert_weights.formats import read_any

    return read_any


def answer(parse: Callable[[Path], Parsed], path: Path) -> list[bytes | memoryview]:
    """Parse a file and return what `decode` understands: the result, or why there is none."""
    try:
        return _encode(parse(path))
    except WeightsError as error:
        reason = str(error)
    except MemoryError:
        reason = TOO_LARGE
    except OSError as error:
        reason = f"cannot be read: {error.strerror or one_line(error)}"
    except Exception as error:  # nobody foresees everything that a file can be
        reason = f"a damaged file ({type(error).__name__}: {one_line(error)})"
    return [json.dumps({"error": reason[:_MAX_MESSAGE]}).encode() + b"\n"]


def decode(data: bytes) -> Parsed:
    """Return the result of an answer.

    Raises:
        WeightsError: The file was refused; this is the reason.
    """
    line, _, rest = data.partition(b"\n")
    head = json.loads(line)
    if "error" in head:
        raise WeightsError(head["error"])
    stored = memoryview(rest)

    def array(described: Sequence[Any]) -> np.ndarray:
        nonlocal stored
        found = np.frombuffer(stored, described[0], math.prod(described[1]))
        stored = stored[found.nbytes :]
        return found.reshape(described[1]).copy()

    return Parsed(
        head["format"],
        head["values"],
        {name: (array(kernel), array(bias)) for name, (kernel, bias) in head["layers"].items()},
        {name: (_place(kernel), _place(bias)) for name, (kernel, bias) in head["places"].items()},
    )


def limit(seconds: float, megabytes: int) -> None:
    """Limit what this process may use from now on, where the system has such limits.

    Args:
        seconds: Processor time.
        megabytes: Memory.
    """
    try:
        import resource
    except ImportError:  # Windows; the caller has a limit on the time
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = usage.ru_utime + usage.ru_stime
    limits = {resource.RLIMIT_CPU: math.ceil(used + seconds), resource.RLIMIT_CORE: 0}
    with suppress(OSError):  # only Linux tells the size of the address space, and limits it
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + (megabytes << 20)
    for kind, value in limits.items():
        soft, hard = resource.getrlimit(kind)
        known = [each for each in (soft, hard) if each != resource.RLIM_INFINITY]
        resource.setrlimit(kind, (min([value, *known]), hard))


def main(path: str, formats: str, seconds: str, megabytes: str) -> None:
    """Parse a file and write the answer to standard output.

    Args:
        path: The file.
        formats: "own" or "any".
        seconds: Limit on processor time.
        megabytes: Limit on memory.
    """
    output = os.dup(1)
    os.dup2(2, 1)  # nothing else gets between: some libraries print
    parse = reader(formats == "own")
    limit(float(seconds), int(megabytes))
    with open(output, "wb") as file:
        file.writelines(answer(parse, Path(path)))


def _encode(parsed: Parsed) -> list[bytes | memoryview]:
    arrays = [np.ascontiguousarray(array) for pair in parsed.layers.values() for array in pair]
    described = iter([(array.dtype.str, array.shape) for array in arrays])
    head = {
        "format": parsed.format,
        "values": parsed.values,
        "layers": {name: (next(described), next(described)) for name in parsed.layers},
        "places": parsed.places,
    }
    line = json.dumps(head).encode() + b"\n"
    return [line, *(array.reshape(-1).view(np.uint8).data for array in arrays)]


def _place(described: list[Any]) -> Place:
    dtype, shape, offset = described
    return Place(dtype, tuple(shape), offset)
