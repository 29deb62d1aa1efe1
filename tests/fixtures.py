"""Fixtures of all tests; registered by ``conftest.py`` in the processes that run tests."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest

from convert_weights.weights_file import write_weights
from jaxstyle.execution import compilation
from jaxstyle.network import tuning, weights
from jaxstyle.network.vgg import VGG19
from tests import networks


@pytest.fixture(scope="session")
def network() -> VGG19:
    return networks.small_network()


@pytest.fixture
def picture():
    """A function from a seed and a size to an image with large and small structure."""

    def make(seed: int = 0, height: int = 48, width: int = 40) -> jax.Array:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:height, :width] / 12.0
        waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-2, 2, (3, 3))]
        image = 0.5 + 0.3 * np.stack(waves, axis=-1) + 0.05 * rng.normal(size=(height, width, 3))
        return jax.device_put(image.clip(0, 1).astype(np.float32))

    return make


@pytest.fixture
def unprivileged():
    """A temporary folder of an ordinary user, as whom the test then runs."""
    folder = Path(tempfile.mkdtemp())
    superuser = os.geteuid() == 0
    if superuser:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if superuser:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory):
    """Keep what tests compile and measure out of the user's caches."""
    path = tmp_path_factory.mktemp("cache") / "convolutions.json"
    direct = {"direct": 1.0, "winograd": 2.0}
    path.write_text(json.dumps({f"{a}-{b}": direct for a, b in tuning.channels().values()}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation, "persist", lambda: None)
        patch.setattr(tuning, "remembered_path", lambda: path)
        yield


@pytest.fixture
def float64():
    """Double precision for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def weights_path(tmp_path_factory):
    """A weights file of the real shape with random kernels."""
    path = tmp_path_factory.mktemp("weights") / "random.h5"
    write_weights(path, networks.contents(shrink=1), dtype="float16")
    return path


@pytest.fixture(scope="session")
def weights_file(weights_path):
    return weights.load(weights_path)


@pytest.fixture(scope="session")
def small_weights():
    """What a weights file would hold if VGG-19 had few channels."""
    return networks.small_weights()
