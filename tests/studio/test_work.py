"""The work of the studio, without a page."""

from dataclasses import replace

import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.errors import SettingError
from jaxstyle.network import weights
from jaxstyle.settings import resolve
from jaxstyle.studio import work
from jaxstyle.studio.history import History
from jaxstyle.studio.line import Job
from jaxstyle.studio.view import View
from jaxstyle.studio.work import MOST_CELLS, Studio, going_on, grid_of
from tests.networks import small_weights


@pytest.fixture
def studio(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "find", lambda path, tell: path)
    monkeypatch.setattr(weights, "load", lambda path: small_weights())
    return Studio(History(tmp_path / "studio"))


def done(what, stop_at=None):
    """Do work at once; return its job."""
    job = Job(what, View())
    if stop_at:
        show = job.show

        def stopping(**changes):
            show(**changes)
            if changes.get("picture"):
                job.stop()

        job.show = stopping
    job.do()
    return job


def test_a_painting_is_what_a_run_gives(studio, recipe):
    from jaxstyle.runs.inputs import Inputs
    from jaxstyle.runs.stylize import run

    job = done(studio.painting(recipe))
    assert job.view.state == "done", job.view.text
    photo, style = images.read(recipe.content), images.read(recipe.styles[0])
    direct = run(small_weights(), Inputs(photo, [style.pixels], recipe.settings))
    kept = images.read(studio.history.entry(*job.view.names).extra(".tif")).rgb
    np.testing.assert_allclose(kept, np.clip(direct.image, 0, 1), atol=1e-5)


def test_all_of_it_can_be_seen(studio, recipe):
    view = done(studio.painting(recipe)).view
    assert view.picture[:3] == view.before[:3] == b"\xff\xd8\xff"
    assert len(view.curves["total"]) == 3
    assert view.share == 1


def test_stopped_work_keeps_the_picture_so_far(studio, recipe):
    recipe = replace(recipe, settings=replace(recipe.settings, steps=(10_000,)))
    job = done(studio.painting(recipe), stop_at=1)
    assert job.view.state == "stopped"
    assert "of 10000" in job.view.text
    assert studio.history.entry(*job.view.names).sides() == (24, 32)


def test_a_grid_has_a_picture_for_each_pair_of_values(studio, recipe):
    grid = grid_of(recipe, ("strength", [0.2, 0.8]), ("tv_weight", [1.0, 9.0, 30.0]))
    view = done(studio.sweeping(grid)).view
    assert view.state == "done", view.text
    assert view.columns == 2 and len(view.cells) == 6
    assert view.cells[3].label == "tv weight 9, strength 0.8"
    made = studio.history.entry(view.cells[3].name).recipe.settings
    assert (made.tv_weight, made.strength) == (9.0, 0.8)


def test_grids_that_make_no_sense_are_refused(recipe):
    with pytest.raises(SettingError, match="is that of the columns already"):
        grid_of(recipe, ("strength", [0.2]), ("strength", [0.3]))
    with pytest.raises(SettingError, match="needs values"):
        grid_of(recipe, ("strength", []), None)
    with pytest.raises(SettingError, match=f"{MOST_CELLS} pictures at most"):
        grid_of(recipe, ("seed", range(MOST_CELLS + 1)), None)


def test_large_work_is_asked_about(studio, recipe, monkeypatch):
    monkeypatch.setattr(work, "LARGE", 0.0)
    monkeypatch.setattr(work, "LONG_SECONDS", 0.0)
    job = done(studio.painting(recipe))
    assert job.view.state == "asking"
    assert job.view.text.startswith("32 × 24 will take ")
    assert not studio.history.entries()
    assert done(studio.painting(recipe, agreed=True)).view.state == "done"


def test_quick_work_is_not_asked_about_even_if_it_looks_large(studio, recipe, monkeypatch):
    monkeypatch.setattr(work, "LARGE", 0.0)
    monkeypatch.setattr(work, "LONG_SECONDS", 1e6)
    assert done(studio.painting(recipe)).view.state == "done"


def test_textures_have_no_photo(studio, recipe):
    chosen = resolve("texture", steps=2, style_layers="relu1_1")
    texture = replace(recipe, content="", settings=chosen, shape=(16, 32), periodic=True)
    view = done(studio.painting(texture)).view
    assert view.state == "done", view.text
    assert not view.before
    entry = studio.history.entry(*view.names)
    assert entry.sides() == (16, 32)
    assert "--shape 32x16 --periodic" in entry.command()


def test_found_regions_are_drawn(studio, recipe):
    recipe = replace(recipe, settings=replace(recipe.settings, auto_masks=2))
    view = done(studio.seeing_regions(recipe)).view
    assert view.state == "done", view.text
    assert "region" in view.text and view.picture


def test_without_masks_there_are_no_regions_to_be_seen(studio, recipe):
    view = done(studio.seeing_regions(recipe)).view
    assert view.state == "failed" and "paint on the pictures" in view.text


def test_going_on_takes_the_last_steps_at_the_last_scale(recipe):
    settings = resolve(size=512, steps=(40, 26), content_factors=(1.0, 2.0))
    on = going_on(replace(recipe, settings=settings), "picture.png").settings
    assert (on.init, on.smallest_size, on.steps) == ("picture.png", 512, (26,))
    assert on.content_factors == (2.0,)


def test_going_on_with_a_texture_keeps_its_shape(recipe):
    texture = replace(recipe, content="", shape=(96, 640), settings=resolve("texture"))
    assert going_on(texture, "picture.png").settings.smallest_size == 640


def test_all_pixels_need_color_maps_and_nothing_more(studio, recipe):
    view = done(studio.painting(replace(recipe, full_size=True))).view
    assert view.state == "failed" and view.text.startswith("smooth_radius: must be above 0")


def test_cells_of_a_grid_share_their_pictures(studio, recipe, monkeypatch):
    read, paths = images.read, []
    monkeypatch.setattr(images, "read", lambda path: (paths.append(path), read(path))[1])
    done(studio.sweeping(grid_of(recipe, ("tv_weight", [1.0, 2.0, 3.0]), None)))
    assert paths.count(recipe.content) == paths.count(recipe.styles[0]) == 1


def test_settings_of_the_whole_process_are_refused(studio, recipe):
    recipe = replace(recipe, settings=replace(recipe.settings, precision="float64"))
    view = done(studio.painting(recipe)).view
    assert view.state == "failed" and "use the command line" in view.text


def test_settings_without_effect_are_told(studio, recipe):
    recipe = replace(recipe, settings=resolve(**{**recipe.settings.to_dict(), "steps": (3, 2)}))
    view = done(studio.painting(recipe)).view
    assert any(note.startswith("steps: ") for note in view.notes)
