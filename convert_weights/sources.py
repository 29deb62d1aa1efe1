"""Read a weights file of any supported format."""

from dataclasses import replace
from pathlib import Path

from convert_weights import archive, sandbox
from convert_weights.errors import naming
from convert_weights.weights import Weights
from convert_weights.weights_file import assemble, require_file
from jaxstyle.machine.files import sha256


def load_source(path: Path) -> Weights:
    """Read a weights file of any supported format.

    The file's name and SHA-256 are recorded as the source of the weights, except that weights in
    this project's own format keep the source recorded in them.

    Raises:
        WeightsError: One line with the path of the file and what is wrong with it.
    """
    return identify_and_load(path)[1]


def identify_and_load(path: Path) -> tuple[str, Weights]:
    """Return the name of a file's format and its weights, as `load_source` reads them."""
    with naming(path):
        require_file(path)
        with open(path, "rb") as file:
            is_archive = file.read(2) == b"\x1f\x8b"  # gzip
        if is_archive:
            return archive.FORMAT, archive.read_archive(path)
        parsed = sandbox.parse(path)
        weights = assemble(path, parsed)
        if weights.source:
            return parsed.format, weights
        return parsed.format, replace(weights, source=path.name, source_sha256=sha256(path))
