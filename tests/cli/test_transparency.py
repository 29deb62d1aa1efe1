"""The commands and pictures with alpha: what is hidden in a file changes no byte of a result."""

from pathlib import Path

import numpy as np
import pytest

from jaxstyle.__main__ import main
from tests.cli.conftest import ONE_SCALE, PAIR, files_in, save

OF_PAIR = {
    "run": [*PAIR, "-o", "out.png", *ONE_SCALE],
    "batch": ["--contents", "content.png", "--styles", "style.png", "-o", "out", *ONE_SCALE],
    "sweep": [*PAIR, "-o", "out.png", *ONE_SCALE, "--rows", "none"],
    "photo": [*PAIR, "-o", "out.png", *ONE_SCALE, "--full-size"],
    "photo --method color": [*PAIR, "-o", "out.png"],
    "photo --method histogram": [*PAIR, "-o", "out.png"],
    "texture": ["style.png", "-o", "out.png", *ONE_SCALE],
    "reconstruct": ["style.png", "-o", "out.png", *ONE_SCALE],
}


def without_content_layers(arguments):
    at = arguments.index("--content-layers")
    return [*arguments[:at], *arguments[at + 2 :]]


@pytest.fixture
def saved(folder, picture):
    """A function that saves content and style, of which the left third is hidden."""

    def save_both(seed):
        for index, (name, height, width) in enumerate([("content", 48, 64), ("style", 40, 40)]):
            alpha = np.clip((np.arange(width) - width // 3) / 4, 0, 1) * np.ones((height, 1))
            rgb, hidden = (np.asarray(picture(each, height, width)) for each in (index, seed))
            rgb = np.where(alpha[..., None] > 0.5 / 255, rgb, hidden)
            save(f"{name}.png", rgb, alpha.astype(np.float32))

    return save_both


@pytest.mark.slow
@pytest.mark.parametrize("command", OF_PAIR)
def test_hidden_colors_change_no_byte(saved, command):
    arguments = OF_PAIR[command]
    arguments = without_content_layers(arguments) if command == "texture" else arguments
    made = []
    for seed in (8, 9):
        saved(seed)
        before = Path("content.png").read_bytes(), Path("style.png").read_bytes()
        extra = ["--force"] if command == "batch" else []
        assert main([*command.split(), *arguments, *extra, "--quiet"]) == 0
        made.append({p: b for p, b in files_in(".").items() if b and p.suffix == ".png"})
        made[-1] = {p: b for p, b in made[-1].items() if str(p) not in PAIR}
        made[-1]["inputs"] = before
    first, second = made
    assert first.pop("inputs") != second.pop("inputs")
    assert first
    assert first == second


@pytest.mark.parametrize("name", PAIR)
def test_a_picture_that_shows_nothing_is_refused_in_one_line(folder, refused, name):
    save(name, np.ones((48, 64, 3)), np.zeros((48, 64), np.float32))
    said = f"{name}: every pixel is fully transparent: there is nothing to see"
    refused(["run", *PAIR, "-o", "out.png", *ONE_SCALE], 1, said)
