"""Where commands are tried."""

import numpy as np
import pytest

from jaxstyle import image as images
from jaxstyle import weights
from jaxstyle.image import Picture


@pytest.fixture
def folder(tmp_path, picture, small_weights, monkeypatch):
    """A folder with two pictures in it, and a network of few channels."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "find", lambda path, tell: path)
    monkeypatch.setattr(weights, "load", lambda path: small_weights)
    images.write("content.png", Picture(np.asarray(picture(0, 48, 64)), None))
    images.write("style.png", Picture(np.asarray(picture(1, 40, 40)), None))
    return tmp_path
