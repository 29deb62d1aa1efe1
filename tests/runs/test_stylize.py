"""Whole runs with a random network: sizes, records, inputs, refusals."""

import json

import numpy as np
import pytest
from PIL import Image

import jaxstyle
from jaxstyle.errors import PictureSizeError, SettingError
from jaxstyle.execution.plan import plan
from jaxstyle.images import Picture
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.stylize import run, stylize

QUICK = {"size": 96, "steps": (3, 2), "smallest_size": 48}
SHALLOW = {**QUICK, "content_layers": ["relu2_1"], "style_layers": ["relu1_1", "relu2_1"]}
"""Quicker to compile."""


@pytest.fixture
def pictures(picture):
    return np.asarray(picture(0, 45, 64)), np.asarray(picture(1, 40, 40))


def test_a_run_goes_coarse_to_fine_and_keeps_a_record(small_weights, pictures):
    seen = []
    settings = {"learning_rate": 0.002, "epsilon": 2e-8, **SHALLOW}  # of no other test
    result = stylize(*pictures, weights_file=small_weights, callback=seen.append, **settings)
    assert result.image.shape == (68, 96, 3)
    assert result.image.dtype == np.float32
    assert 0 <= result.image.min() < result.image.max() <= 1
    assert [(s.scale, s.step) for s in seen] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)]
    assert seen[0].image.shape == (34, 48, 3)
    assert [(r["scale"], r["step"]) for r in result.losses] == [(s.scale, s.step) for s in seen]
    report = json.loads(json.dumps(result.report()))
    assert [(s["height"], s["width"]) for s in report["scales"]] == [(34, 48), (68, 96)]
    assert report["picture"] == {"height": 68, "width": 96}
    assert [s["steps"] for s in report["scales"]] == [3, 2]
    assert [s["compilations"] for s in report["scales"]] == [1, 1]
    assert all(s["compile_seconds"] > 0 and s["run_seconds"] > 0 for s in report["scales"])
    assert report["losses"][-1]["total"] < report["losses"][-2]["total"]
    assert set(report["losses"][0]["terms"]) > {"content/relu2_1", "style/relu1_1", "tv"}
    assert len(report["weights"]["sha256"]) == 64
    assert {"jax", "flax", "jaxstyle", "python"} <= set(report["versions"])
    assert report["settings"]["size"] == 96


def test_same_seed_same_bytes_other_seed_other_bytes(small_weights, pictures):
    def made(seed):
        settings = {**SHALLOW, "init": "noise", "seed": seed}
        return stylize(*pictures, weights_file=small_weights, **settings).image.tobytes()

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_sources_may_be_paths_pil_images_or_arrays(small_weights, pictures, tmp_path):
    content, style = ((p * 255).round().astype(np.uint8) for p in pictures)
    Image.fromarray(content).save(tmp_path / "content.png")
    made = [
        stylize(source, [style], weights_file=small_weights, **SHALLOW).image
        for source in (content, tmp_path / "content.png", Image.fromarray(content))
    ]
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])


def test_the_initial_image_may_be_a_file(small_weights, pictures, tmp_path):
    start = Picture(np.full((45, 64, 3), 0.25, np.float32), None)
    jaxstyle.images.write(tmp_path / "start.png", start)
    settings = {**SHALLOW, "steps": (0,), "init": str(tmp_path / "start.png")}
    result = stylize(*pictures, weights_file=small_weights, **settings)
    np.testing.assert_allclose(result.image, 0.25, atol=1 / 255)


def test_alpha_of_the_content_is_kept_at_the_new_size(small_weights, pictures):
    alpha = np.zeros((45, 64), np.float32)
    alpha[:, 32:] = 1
    content = Picture(pictures[0], alpha)
    inputs = Inputs(content, [pictures[1]], jaxstyle.resolve(size=32, steps=1))
    result = run(small_weights, inputs)
    assert result.alpha.shape == result.image.shape[:2] == (22, 32)
    assert result.alpha[:, :14].max() < 0.05
    assert result.alpha[:, 18:].min() > 0.95


def test_two_styles_and_a_blend(small_weights, pictures, picture):
    styles = [pictures[1], np.asarray(picture(5, 50, 30))]
    first, second, both = (
        stylize(pictures[0], styles, weights_file=small_weights, style_blend=blend, **SHALLOW).image
        for blend in ((1, 0), (0, 1), (1, 1))
    )
    alone = stylize(pictures[0], styles[0], weights_file=small_weights, **SHALLOW).image
    np.testing.assert_allclose(first, alone, atol=1e-4)
    assert np.abs(first - second).mean() > 0.003
    assert np.abs(both - first).mean() > 1e-3


def refused(pictures, **settings):
    content = Picture(pictures[0], None)
    return plan(content.rgb, [pictures[1]], jaxstyle.resolve(**settings))


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000)])
def test_tiny_pictures_are_refused_before_any_work(pictures, shape):
    tiny = np.zeros((*shape, 3), np.float32)
    with pytest.raises(PictureSizeError, match=f"content picture is {shape[1]}x{shape[0]} pixels"):
        refused((tiny, pictures[1]))
    with pytest.raises(PictureSizeError, match=f"style picture 1 is {shape[1]}x{shape[0]} pixels"):
        refused((pictures[0], tiny))


def test_a_result_too_small_for_the_layers_is_refused(pictures):
    with pytest.raises(PictureSizeError, match="result would be 16x11 pixels, too small"):
        refused(pictures, size=16)
    with pytest.raises(PictureSizeError, match="style picture 1 would be 6x6.*style scale"):
        refused(pictures, size=64, smallest_size=64, style_scale=0.1)
    assert [s.size for s in refused(pictures, size=64, smallest_size=16)] == [32, 64]
    assert refused(pictures, size=16, style_layers=["relu2_1"], content_layers=["relu2_1"])


def test_a_blend_must_fit_the_styles(pictures):
    with pytest.raises(SettingError, match="style_blend: has 2 shares for 1 style"):
        refused(pictures, style_blend=(1, 2))
