"""The feed of a clip: frames, flows and scenes, made ready in the background."""

import threading
import time

import numpy as np
import pytest

from jaxstyle.errors import ImageError
from jaxstyle.images.video.flow import optical_flow, write_flo
from jaxstyle.runs.video.feed import Ended, Feed, fed, resized
from jaxstyle.runs.video.folder import Folder, pixels_of
from tests.runs.video.clips import ClipOf, moving, texture

SIDES = (32, 40)


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "frames")
    made.begin({})
    return made


@pytest.fixture
def feed_of(folder):
    """A function from frames, or a clip, and what else a feed has, to the feed of them."""

    def make(frames, masks=None, sides=SIDES, earlier=(1,), flows=None, ahead=None):
        clip = frames if isinstance(frames, ClipOf) else ClipOf(frames)
        place = Folder(folder.path, flows)
        return Feed(clip, masks or {}, sides, "lanczos", earlier, place, ahead)

    return make


def do_not_pause():
    pass


def scenes(feed):
    """The first frame of the scene of each frame."""
    found, number = [], 1
    with fed(feed):
        while (first := feed.scene(number, do_not_pause)) is not None:
            found.append(first)
            number += 1
    return found


def names(folder, name):
    return sorted(path.name for path in (folder.path / name).iterdir())


def test_frames_and_the_flows_between_them_are_written(feed_of, folder):
    frames = moving(3)
    feed = feed_of(frames)
    assert scenes(feed) == [1, 1, 1]
    assert (feed.count, feed.cuts) == (3, [1])
    for number, frame in enumerate(frames, start=1):
        np.testing.assert_array_equal(pixels_of(folder.content(number)), frame)
    files = {
        name: pair
        for a, b in ((1, 2), (2, 3))
        for name, pair in ((f"forward_{a}_{b}.flo", (a, b)), (f"backward_{b}_{a}.flo", (b, a)))
    }
    assert names(folder, "flow") == sorted(files)
    for number, other in files.values():
        expected = optical_flow(frames[number - 1], frames[other - 1])
        np.testing.assert_array_equal(folder.flow(number, other), expected)
    inner = folder.flow(2, 1)[8:-8, 8:-8]
    np.testing.assert_allclose(np.median(inner, (0, 1)), (2, 1), atol=0.2)


def test_flows_are_computed_to_every_earlier_frame_of_the_scene(feed_of, folder):
    frames = [*moving(4), *moving(3, seed=5)]
    assert scenes(feed_of(frames, earlier=(1, 3))) == [1, 1, 1, 1, 5, 5, 5]
    pairs = {(n, n + 1) for n in range(1, 7)} | {(1, 4)}  # those to find cuts, and one of three
    both = [f"forward_{a}_{b}.flo" for a, b in pairs] + [f"backward_{b}_{a}.flo" for a, b in pairs]
    assert names(folder, "flow") == sorted(both)


def test_another_texture_is_a_cut_and_a_moving_or_darker_one_is_none(feed_of):
    moved, other = moving(3), moving(2, seed=5)
    darker = [np.uint8(0.7 * frame) for frame in moved]
    feed = feed_of([*moved, *other, *darker, darker[-1]])
    assert scenes(feed) == [1, 1, 1, 4, 4, 6, 6, 6, 6]
    assert feed.cuts == [1, 4, 6]


def test_frames_are_resized_to_the_result(feed_of, folder):
    large = texture(0, 64, 80)
    scenes(feed_of([large, large], sides=(32, 40)))
    found = pixels_of(folder.content(2))
    assert found.shape == (32, 40, 3)
    np.testing.assert_array_equal(found, resized(large, (32, 40), "lanczos"))
    means = large.reshape(32, 2, 40, 2, 3).mean((1, 3))
    assert np.mean(np.abs(found - means)) < 4
    assert folder.flow(1, 2).shape == (32, 40, 2)


def test_a_feed_goes_on_after_what_is_there(feed_of, folder):
    frames = [*moving(2), *moving(3, seed=5)]
    scenes(feed_of(frames[:3], earlier=(1, 2)))
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*.*")}
    feed = feed_of(frames, masks={1: ClipOf(frames)}, earlier=(1, 2))
    assert scenes(feed) == [1, 1, 3, 3, 3]
    assert (feed.cuts, feed.clip.begun) == ([1, 3], [3])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert names(folder, "masks") == ["1-000004.png", "1-000005.png"]
    whole = Feed(ClipOf(frames), {}, SIDES, "lanczos", (1, 2), Folder(folder.path.parent / "whole"))
    whole.folder.begin({})
    scenes(whole)
    for name in ("content", "flow"):
        assert names(folder, name) == names(whole.folder, name)
        for each in names(folder, name):
            paths = [place.path / name / each for place in (folder, whole.folder)]
            assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_feed_ended_between_frame_and_scene_makes_the_frame_anew(feed_of, folder):
    frames = moving(3)
    scenes(feed_of(frames[:2]))
    folder.content(3).write_bytes(b"half a picture")
    assert scenes(feed_of(frames)) == [1, 1, 1]
    np.testing.assert_array_equal(pixels_of(folder.content(3)), frames[2])


def test_a_frame_that_cannot_be_read_is_an_error_where_it_is_waited_for(feed_of):
    feed = feed_of(ClipOf(moving(4), "broken.mp4", broken=2))
    with fed(feed):
        assert feed.scene(2, do_not_pause) == 1
        for _ in range(2):
            with pytest.raises(ImageError, match=r"broken\.mp4: cannot be read"):
                feed.scene(3, do_not_pause)
        assert feed.scene(1, do_not_pause) == 1


def test_after_the_last_frame_there_is_none(feed_of):
    feed = feed_of(moving(2))
    with fed(feed):
        assert feed.scene(3, do_not_pause) is None
        assert feed.scene(9, do_not_pause) is None
        assert feed.scene(2, do_not_pause) == 1
    feed.clip.count = 4  # a header may be wrong
    assert feed.count == 2


def given_flows(path, sides, pairs=((2, 1), (1, 2))):
    path.mkdir(exist_ok=True)
    for number, other in pairs:
        flow = np.zeros((*sides, 2), np.float32)
        write_flo(Folder(path, path).flow_file(number, other), flow)
    return path


def test_flows_that_are_given_are_used(feed_of, folder, tmp_path):
    feed = feed_of([texture(0, *SIDES), texture(5, *SIDES)], flows=given_flows(tmp_path, SIDES))
    assert scenes(feed) == [1, 1]  # by these flows, nothing moves
    assert names(folder, "flow") == []


def refused(feed):
    with fed(feed), pytest.raises(ImageError) as caught:
        feed.scene(2, do_not_pause)
    line = str(caught.value)
    assert line.isprintable()
    return line


def test_flows_of_another_size_or_none_are_refused(feed_of, tmp_path):
    frames = moving(2)
    line = refused(feed_of(frames, flows=given_flows(tmp_path / "small", (30, 40))))
    assert line.startswith(str(tmp_path / "small" / "backward_2_1.flo"))
    assert "is a flow of 40x30, and the frames of the result are 40x32" in line
    flows = given_flows(tmp_path / "half", SIDES, pairs=[(2, 1)])
    assert "forward_1_2.flo" in refused(feed_of(frames, flows=flows))


def test_flow_that_is_no_number_is_refused(feed_of, tmp_path):
    """It would spread over the frame: what is unknown is a large number in that format."""
    flows = given_flows(tmp_path, SIDES)
    broken = np.zeros((*SIDES, 2), np.float32)
    broken[3, 4] = np.nan
    write_flo(flows / "forward_1_2.flo", broken)
    assert "forward_1_2.flo" in refused(feed_of(moving(2), flows=flows))


def test_masks_have_a_frame_for_each_of_the_clip(feed_of, folder):
    masks = {0: ClipOf(moving(3, seed=7)), 2: ClipOf(moving(2, seed=8), "short.mp4")}
    with fed(feed := feed_of(moving(3), masks)):
        assert feed.scene(2, do_not_pause) == 1
        with pytest.raises(ImageError, match=r"short\.mp4: has 2 frames, fewer than the clip"):
            feed.scene(3, do_not_pause)
    np.testing.assert_array_equal(pixels_of(folder.mask(2, 2)), masks[2].all[1])
    assert set(names(folder, "masks")) >= {f"{i}-00000{n}.png" for i in (0, 2) for n in (1, 2)}


def test_notes_of_the_clip_and_its_masks_are_known_when_they_are_read(feed_of):
    mask = ClipOf(moving(2), notes=["mask.mp4: is interlaced"])
    feed = feed_of(ClipOf(moving(2), notes=["clip.mp4: is dark"]), {0: mask})
    assert feed.notes == ["clip.mp4: is dark", "mask.mp4: is interlaced"]
    mask.notes.append("mask.mp4: is damaged")
    assert len(feed.notes) == 3


class Slow(ClipOf):
    """A clip whose frames come one by one, when they are let through."""

    def frames(self, first=0):
        for number, frame in super().frames(first):
            assert self.gate.acquire(timeout=30)
            yield number, frame


def slow(frames, ready=0):
    clip = Slow(frames)
    clip.gate = threading.Semaphore(ready)
    return clip


def eventually(condition):
    """Wait until something is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_frames_are_prepared_so_many_ahead_of_the_one_that_is_wanted(feed_of, folder):
    clip = slow(moving(6), ready=6)
    feed = feed_of(clip, ahead=1)

    def taken():
        return 6 - clip.gate._value

    with fed(feed):
        for wanted in (1, 2, 4):
            feed.scene(wanted, do_not_pause)
            eventually(lambda wanted=wanted: taken() == wanted + 2)  # the last one is held back
            time.sleep(0.1)  # in which a feed that went further would do so
            assert taken() == wanted + 2
            assert folder.scene(wanted + 1)
            assert folder.scene(wanted + 2) is None
        feed.scene(5, do_not_pause)
        eventually(lambda: folder.scene(6))


def test_waiting_can_be_ended_and_is_measured(feed_of):
    clip = slow(moving(3), ready=1)
    feed = feed_of(clip)

    def stop():
        raise KeyboardInterrupt

    with fed(feed):
        assert feed.scene(1, do_not_pause) == 1
        with pytest.raises(KeyboardInterrupt):
            feed.scene(2, stop)
        threading.Timer(0.05, clip.gate.release, [2]).start()
        before = feed.waited
        assert feed.scene(3, do_not_pause) == 1
        assert feed.waited > before


def test_a_feed_ends_after_the_frame_it_works_on(feed_of, folder):
    clip = slow(moving(3), ready=1)
    with fed(feed := feed_of(clip)):
        feed.scene(1, do_not_pause)
        threading.Timer(0.05, clip.gate.release).start()
    assert folder.scene(3) is None


def test_nothing_is_waited_for_once_a_feed_has_ended(feed_of):
    """Another thread may still be at work when one has failed."""
    clip = slow(moving(3), ready=1)
    with fed(feed := feed_of(clip)):
        feed.scene(1, do_not_pause)
        found = []

        def wait():
            try:
                feed.scene(3, do_not_pause)
            except Ended as error:
                found.append(error)

        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        feed.end()
        waiting.join(30)
        assert len(found) == 1
        assert feed.scene(1, do_not_pause) == 1
        clip.gate.release(2)


def test_an_ended_feed_says_why_no_frame_came_if_it_had_failed(feed_of):
    feed = feed_of(ClipOf(moving(2), "broken.mp4", broken=1))
    with fed(feed), pytest.raises(ImageError):
        feed.scene(2, do_not_pause)
    with pytest.raises(ImageError, match=r"broken\.mp4"):
        feed.scene(2, do_not_pause)
