"""From file to file: which masks are clips, and what the frames of a clip depend on."""

import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jaxstyle.images.video import open_clip
from jaxstyle.runs.run_checkpoint import differences
from jaxstyle.runs.video.render import Range, made_by, masks_of
from jaxstyle.settings import resolve
from tests.runs.video.clips import moving


def write_frames(folder, count=2, name="{}.png"):
    folder.mkdir(exist_ok=True)
    for number, frame in enumerate(moving(count)):
        Image.fromarray(frame).save(folder / name.format(number))


def write_gif(path, count=2):
    first, *others = map(Image.fromarray, moving(count))
    first.save(path, save_all=True, append_images=others, duration=40)


@pytest.fixture
def changed(job, tmp_path):
    """A function from settings, and what else changes, to the names of what frames depend on."""
    write_gif(tmp_path / "clip.gif")
    paths, all_of_it = [str(tmp_path / "clip.gif")], Range()

    def of(part=all_of_it, clips=paths, flows=None, change=None, **settings):
        known = made_by(job(), paths, all_of_it)
        one = job(flows=flows, **settings)
        if change:
            one = change(one)
        return sorted(differences(known, made_by(one, clips, part)))

    return of


def test_frames_depend_on_settings_of_frames_and_of_the_clip_and_on_its_range(changed):
    assert changed() == []
    for given in (
        *({"style_weight": 9.0}, {"earlier_frames": (1, 2)}, {"passes": 2}, {"later_steps": 3}),
        *({"temporal_weight": 1.0}, {"original_colors": True}, {"refine": True}),
        *({"smooth_radius": 2}, {"style_colors": True}),
    ):
        assert changed(**given) == list(given)
    assert changed(Range(start=0.02)) == ["start"]
    assert changed(Range(end=0.06, fps=12)) == ["end", "fps"]


def test_the_name_of_a_preset_alone_changes_no_frame(changed):
    assert (
        changed(change=lambda one: replace(one, settings=replace(one.settings, preset="x"))) == []
    )


def test_frames_depend_on_styles_and_on_what_is_in_the_clips(changed, tmp_path):
    darker = changed(change=lambda one: replace(one, styles=[one.styles[0] * 0.5]))
    assert darker == ["style picture 1"]
    write_gif(tmp_path / "same.gif")
    assert changed(clips=[str(tmp_path / "same.gif")]) == []
    write_gif(tmp_path / "clip.gif", count=3)
    assert changed(change=lambda one: one) == []  # both have read the new one
    assert changed(clips=[str(tmp_path / "same.gif")]) == ["clip"]
    mask = [str(tmp_path / "clip.gif"), str(tmp_path / "same.gif")]
    assert changed(clips=mask, content_mask=mask[1]) == ["mask 1"]


def test_frames_depend_on_a_mask_that_is_a_picture(changed, tmp_path):
    write_frames(tmp_path / "masks")
    masks = [str(tmp_path / "masks" / f"{number}.png") for number in range(2)]
    first, second = (changed(content_mask=mask) for mask in masks)
    assert first == second
    assert any("mask" in name for name in first)


def test_frames_depend_on_the_flow_that_is_given(changed, tmp_path):
    write_frames(tmp_path / "flows", name="{}.flo.png")
    assert changed(flows=tmp_path / "flows") == ["flow"]


@pytest.mark.parametrize("name", ["", "{}/frame-%d.png", "{}/frame-*.png"])
def test_folders_and_patterns_change_with_their_frames_alone(job, tmp_path, name):
    """Results and their frames may lie beside them."""
    folder = tmp_path / "fra[m]es"
    write_frames(folder, 3, "frame-{}.png")
    path = name.format(folder) if name else str(folder)
    if "[" in path and "*" in path:
        path = path.replace("[m]", "?m?")  # what is in brackets would be a pattern too

    def known():
        return made_by(job(), [path], Range())["clip"]

    before = known()
    (folder / "out.mp4.frames").mkdir()
    (folder / "out.mp4").touch()
    (folder / "notes.txt").touch()
    assert known() == before
    os.utime(folder / "frame-1.png", ns=(0, 0))
    assert known() != before


def test_masks_that_are_clips_are_told_from_pictures(tmp_path):
    write_gif(tmp_path / "moving.gif")
    write_frames(tmp_path / "frames")
    masks = [
        *("still.png", "still.jpg", str(tmp_path / "moving.gif"), str(tmp_path / "frames")),
        str(tmp_path / "frames" / "%d.png"),
    ]
    clip = open_clip(tmp_path / "frames", fps=25)
    found = masks_of(resolve(content_mask=masks), Range(), clip)
    assert list(found) == [2, 3, 4]
    assert [clip.count for clip in found.values()] == [2, 2, 2]
    assert [clip.fps for clip in found.values()] == [25, 25, 25]
    assert found[2].path == masks[2]
    (_, frame), *_ = found[3].frames()
    np.testing.assert_array_equal(frame, moving(2)[0])
