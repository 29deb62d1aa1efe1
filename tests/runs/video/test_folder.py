"""The folder of a clip: whose it is, what is in it, and what is left of it."""

import re
import shutil

import numpy as np
import pytest

from jaxstyle.errors import CheckpointError, ImageError
from jaxstyle.runs.video.folder import Folder, pixels_of, write_pixels
from jaxstyle.settings import resolve
from tests.runs.video.clips import texture

MADE_BY = {"size": 48, "the style picture": "0a1b", "earlier_frames": [1, 2]}


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "clip.mp4.frames")
    made.begin(MADE_BY)
    return made


def names(folder):
    return sorted(str(each.relative_to(folder.path)) for each in folder.path.rglob("*"))


FOLDERS = ["content", "flow", "masks", "results"]


def test_a_folder_is_begun_and_gone_on_with(folder):
    assert names(folder) == ["clip.json", *FOLDERS]
    write_pixels(folder.frame(1), texture())
    folder.begin({**MADE_BY, "earlier_frames": [1, 2]})
    assert len(folder.frames()) == 1


def test_an_empty_folder_is_taken_and_folders_above_are_made(tmp_path):
    for path in (tmp_path / "empty", tmp_path / "new" / "deep"):
        Folder(path).begin(MADE_BY)
        assert (path / "clip.json").exists()


def refused(folder, made_by):
    with pytest.raises(CheckpointError) as caught:
        folder.begin(made_by)
    line = str(caught.value)
    assert line.startswith(str(folder.path))
    assert line.isprintable()
    return line


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    (tmp_path / "file").touch()
    for name in ("photos", "file"):
        assert "is not empty" in refused(Folder(tmp_path / name), MADE_BY)
    assert [each.name for each in (tmp_path / "photos").iterdir()] == ["a.png"]


def test_frames_of_other_settings_are_refused_by_the_names_of_what_differs(folder):
    folder.save_result(1, 1, texture() / np.float32(255))
    line = refused(folder, {**MADE_BY, "size": 64, "earlier_frames": [1]})
    assert re.search("made with another (size, earlier_frames|earlier_frames, size): delete", line)
    assert "the style picture" in refused(folder, {**MADE_BY, "the style picture": "ffff"})
    assert folder.has_result(1, 1)
    folder.begin(MADE_BY)


def test_a_folder_without_results_is_begun_afresh_by_other_settings(folder):
    write_pixels(folder.content(1), texture())
    folder.begin({**MADE_BY, "size": 64})
    assert names(folder) == ["clip.json", *FOLDERS]
    folder.save_result(1, 1, texture() / np.float32(255))
    folder.begin({**MADE_BY, "size": 64})
    assert "size" in refused(folder, MADE_BY)


@pytest.mark.parametrize("record", [b"", b"{", b"[1]", b"\xff"])
def test_a_damaged_record_is_refused(folder, record):
    (folder.path / "clip.json").write_bytes(record)
    assert "delete the folder" in refused(folder, MADE_BY)


def test_frames_are_those_up_to_the_first_that_lacks(folder):
    assert folder.frames() == []
    for number in (1, 2, 4):
        write_pixels(folder.frame(number), texture())
    assert [each.name for each in folder.frames()] == ["frame-000001.png", "frame-000002.png"]
    write_pixels(folder.frame(3), texture())
    assert len(folder.frames()) == 4


def test_pixels_survive(folder):
    pixels = texture()
    pixels[:16, :16] = np.arange(256).reshape(16, 16, 1)
    write_pixels(folder.content(3), pixels)
    np.testing.assert_array_equal(pixels_of(folder.content(3)), pixels)


def test_results_are_replaced_by_those_of_a_later_pass(folder):
    image = np.linspace(-0.1, 1.1, 6 * 5 * 3).reshape(6, 5, 3).astype(np.float32)
    for number in (1, 2, 3):
        assert not folder.has_result(1, number)
        folder.save_result(1, number, image)
    found = pixels_of(folder.result(1, 2)) / 255
    np.testing.assert_allclose(found, np.clip(image, 0, 1), atol=0.5 / 255 + 1e-6)
    folder.save_result(2, 3, image)
    assert folder.count_results() == 4
    folder.forget_results(1, (2, 3))
    folder.forget_results(1, (2, 3))  # as after an end in the middle of it
    assert [folder.result(1, number).exists() for number in (1, 2, 3)] == [True, False, False]
    assert all(folder.has_result(1, number) for number in (1, 2, 3))
    assert [folder.has_result(2, number) for number in (2, 3)] == [False, True]
    assert folder.count_results() == 4


def test_a_result_that_was_just_about_to_be_deleted_counts_once(folder, monkeypatch):
    folder.save_result(1, 1, texture()[..., :3] / np.float32(255))

    def fail(path, missing_ok):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(folder.path), "unlink", fail)
    with pytest.raises(KeyboardInterrupt):
        folder.forget_results(1, [1])
    assert folder.result(1, 1).exists()
    assert folder.count_results() == 1


def test_scenes_are_known_of_frames_that_are_ready(folder):
    folder.save_scene(12, 7)
    assert folder.scene(12).first == 7
    assert folder.scene(13) is None


def test_flow_is_named_as_the_authors_programs_do(folder, tmp_path):
    flow = np.random.default_rng(0).normal(size=(5, 6, 2)).astype(np.float32)
    folder.save_flow(1, 2, flow)
    folder.save_flow(2, 1, -flow)
    assert names(folder)[3:5] == ["flow/backward_2_1.flo", "flow/forward_1_2.flo"]
    np.testing.assert_array_equal(folder.flow(2, 1), -flow)
    given = Folder(folder.path, tmp_path)
    assert given.flow_file(10, 2) == tmp_path / "backward_10_2.flo"
    with pytest.raises(ImageError, match="forward_2_3.flo"):
        given.flow(2, 3)


def test_masks_that_are_clips_are_those_of_the_frame(folder):
    settings = resolve(content_mask=["still.png", "clip.mp4"], style_mask=["s.png", "t.png"])
    write_pixels(folder.mask(1, 5), texture())
    masks = folder.with_masks(settings, 5).content_mask
    assert masks == ("still.png", str(folder.path / "masks" / "1-000005.png"))
    assert folder.with_masks(settings, 6) == settings


def filled(folder):
    for path in (folder.frame(1), folder.content(1), folder.mask(0, 1), folder.result(1, 1)):
        write_pixels(path, texture())
    folder.save_flow(1, 2, np.zeros((4, 4, 2), np.float32))
    folder.save_scene(1, 1)


def test_frames_can_be_kept_alone(folder):
    filled(folder)
    folder.keep_frames_alone()
    assert names(folder) == ["frame-000001.png"]


def test_a_folder_is_deleted_with_all_that_a_clip_puts_there(folder):
    filled(folder)
    folder.delete()
    assert not folder.path.exists()


def ended_early(delete, monkeypatch):
    """Begin a deletion that fails at its first folder."""
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *arguments, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            delete()


def test_a_deletion_that_ended_early_is_completed_before_anything_else(folder, monkeypatch):
    filled(folder)
    ended_early(folder.delete, monkeypatch)
    with folder.locked():
        folder.begin(MADE_BY)
    assert folder.frames() == [] and not folder.content(1).exists()
    assert folder.count_results() == 0


def test_frames_that_are_kept_stay_when_that_ended_early(folder, monkeypatch):
    filled(folder)
    ended_early(folder.keep_frames_alone, monkeypatch)
    with folder.locked(), pytest.raises(CheckpointError, match="is not empty"):
        folder.begin(MADE_BY)
    assert [path for path in names(folder) if path != ".lock"] == ["frame-000001.png"]


def test_files_of_others_are_not_deleted(folder):
    filled(folder)
    (folder.path / "notes.txt").touch()
    (folder.path / "frame-of-mind.png").touch()
    folder.delete()
    assert names(folder) == ["frame-of-mind.png", "notes.txt"]
