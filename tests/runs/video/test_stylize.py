"""Clips: the order of the work, what frames start from and are held to, and going on."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxstyle import images
from jaxstyle.errors import DivergedError, SettingError
from jaxstyle.execution.compilation import counted
from jaxstyle.images import Picture
from jaxstyle.images.color import luminance
from jaxstyle.images.video.flow import write_flo
from jaxstyle.losses import temporal
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.stylize import run
from jaxstyle.runs.video import stylize as module
from jaxstyle.runs.video.folder import Folder, pixels_of, write_pixels
from jaxstyle.runs.video.motion import Moved, nothing_earlier
from jaxstyle.runs.video.stylize import LATER_RATE, averaged, filled, inputs_of, schedule_of
from jaxstyle.settings import resolve
from tests.runs.video.clips import ClipOf, moving, texture

warp, reliability = jax.jit(temporal.warp), jax.jit(temporal.reliability)

SIDES = (32, 40)
TWO_SCALES = {"smallest_size": 20, "steps": (3, 2)}


@pytest.fixture
def still_flows(tmp_path):
    """A function that writes flows by which nothing moves, but for those given otherwise."""

    def written(count, distances=(1,), sides=SIDES, **others):
        folder = tmp_path / "flows"
        folder.mkdir()
        for number in range(1, count + 1):
            for other in {number + way * by for way in (-1, 1) for by in distances}:
                path = Folder(folder, folder).flow_file(number, other)
                still = np.zeros((*sides, 2), np.float32)
                write_flo(path, others.get(path.stem, still))
        return folder

    return written


def frames_of(job):
    return [pixels_of(path) for path in job.folder.frames()]


def results_of(job, count, of_pass=1):
    return [images.read(job.folder.result(of_pass, n)).rgb for n in range(1, count + 1)]


def order(reports):
    return [(each.of_pass, each.number) for each in reports]


# --- one pass -------------------------------------------------------------------------------------


def test_first_frames_of_scenes_have_all_steps_and_later_ones_a_few(job, make):
    one = job(later_steps=1, epsilon=3e-8, **TWO_SCALES)  # of no other test
    compiled = []
    with counted() as all_programs:
        frames = [*moving(3), *moving(2, seed=5)]
        reports = make(one, frames, done=lambda report: compiled.append(all_programs.count))
    assert [(each.number, each.first) for each in reports] == [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 4),
        (5, 4),
    ]
    assert [each.steps for each in reports] == [5, 1, 1, 5, 1]
    assert [each.compilations for each in reports] == [2, 0, 0, 0, 0]  # one for each scale
    assert len(set(compiled[1:])) == 1  # nothing else either, once there was one of each kind
    assert {each.of_pass for each in reports} == {1}
    held = [each.terms["temporal"] for each in reports]
    assert held[0] == held[3] == 0
    assert all(each.total == pytest.approx(sum(each.terms.values()), rel=1e-4) for each in reports)
    assert [frame.shape for frame in frames_of(one)] == [(32, 40, 3)] * 5
    assert images.read_description(one.folder.frame(5)) == "made by a test"


def test_the_first_frame_of_a_scene_is_what_a_run_makes_of_it(job, make, small_weights):
    one, frames = job(**TWO_SCALES), [*moving(2), texture(5, *SIDES)]
    make(one, frames)
    for number in (1, 3):
        content = Picture(frames[number - 1].astype(np.float32) / 255)
        alone = run(small_weights, Inputs(content, one.styles, one.settings))
        np.testing.assert_array_equal(frames_of(one)[number - 1], np.rint(alone.image * 255))


def test_without_later_steps_a_frame_is_the_one_before_moved_along_the_flow(job, make, still_flows):
    """What comes into sight begins as a frame alone would; noise would stay noise."""
    back, there = (np.tile(np.float32([way, 0]), (*SIDES, 1)) for way in (4, -4))
    flows = still_flows(3, backward_2_1=back, forward_1_2=there)
    frames = [texture(n, *SIDES) for n in range(3)]
    for init in ("content", "noise"):
        one = job(init, later_steps=0, flows=flows, init=init)
        reports = make(one, frames)
        assert [each.steps for each in reports] == [3, 0, 0]
        first, second, third = frames_of(one)
        np.testing.assert_array_equal(second[:, :-6], first[:, 4:-2])
        new = frames[1] if init == "content" else np.repeat(first[:, -1:], 40, axis=1)
        np.testing.assert_array_equal(second[:, -2:], new[:, -2:])
        np.testing.assert_array_equal(third, second)


def test_a_large_weight_holds_a_frame_to_the_one_before(job, make):
    """Where the flow is reliable, and only there."""
    apart, beside = [], []
    for weight in (0, 3e4):
        one = job(f"weight {weight}", later_steps=6, temporal_weight=weight)
        reports = make(one, moving(2))
        assert (reports[1].terms["temporal"] > 0) == (weight > 0)
        first, second = results_of(one, 2)
        flow, opposite = one.folder.flow(2, 1), one.folder.flow(1, 2)
        sure = np.asarray(reliability(flow, opposite))
        squares = np.mean((second - np.asarray(warp(first, flow))) ** 2, axis=-1)
        apart.append(np.mean(squares[sure > 0.99]))
        beside.append(np.mean(squares[sure == 0]))
        assert np.mean(sure > 0.99) > 0.5
    assert apart[1] < apart[0] / 10
    assert beside[1] / beside[0] > 3 * apart[1] / apart[0]


def test_nothing_is_rounded_to_one_side_from_frame_to_frame(job, make):
    one = job(later_steps=0)
    make(one, [texture(3, *SIDES)] * 3)
    first, second, third = frames_of(one)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)


def test_a_still_clip_keeps_its_brightness_and_gains_no_noise(job, make):
    """Steps that lead away from a frame that is good already would add up over thirty frames."""
    one = job(steps=60, later_steps=8)
    reports = make(one, [texture(3, *SIDES)] * 30)
    first, *_, last = frames_of(one)
    np.testing.assert_allclose(first.mean((0, 1)), last.mean((0, 1)), atol=0.015 * 255)
    early, late = (
        sum(value for name, value in reports[number].terms.items() if name != "temporal")
        for number in (0, -1)
    )
    assert late < 1.05 * early


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lbfgs"])
def test_later_frames_learn_at_a_lower_rate_unless_the_optimizer_finds_its_own(
    job, make, optimizer
):
    one = job(optimizer=optimizer)
    make(one, moving(1))
    first, later = inputs_of(one, 1, 1, 1, 1), inputs_of(one, 2, 1, 1, 1)
    assert first.settings == one.settings
    assert later.settings.rate == one.settings.rate * (1 if optimizer == "lbfgs" else LATER_RATE)
    assert replace(later.settings, learning_rate=None) == one.settings


def test_frames_that_take_no_steps_at_all_are_as_they_begin(job, make):
    for steps, smallest in ((0, 40), ((2, 0), 20)):
        one = job(f"{steps}", steps=steps, smallest_size=smallest, later_steps=0)
        reports = make(one, [texture(3, *SIDES)] * 2)
        assert [each.steps for each in reports] == [sum(one.settings.steps), 0]
        first, second = frames_of(one)
        assert first.shape == (32, 40, 3)
        np.testing.assert_array_equal(first, second)


def test_a_frame_that_diverges_is_named(job, make, monkeypatch):
    def fail(loaded, pictures, *given, **more):
        raise DivergedError("the loss is not finite")

    one = job()
    make(one, moving(2))
    monkeypatch.setattr(module, "optimize", fail)
    with pytest.raises(DivergedError, match="frame 3: the loss is not finite"):
        make(one, moving(4))


def test_progress_within_frames_is_reported(job, make):
    seen = []
    one = job(passes=2)
    make(one, moving(2), report=lambda *given: seen.append(given))
    assert [(number, of_pass, now.step, now.steps) for number, of_pass, now in seen] == [
        *((1, 1, step, 3) for step in (1, 2, 3)),
        *((2, 1, 1, 1), (2, 2, 1, 1), (1, 2, 1, 1)),
    ]


# --- more earlier frames, and passes --------------------------------------------------------------


def test_a_frame_is_held_to_an_older_one_where_the_nearer_does_not_show_it(job, make, still_flows):
    hidden = np.zeros((*SIDES, 2), np.float32)
    hidden[8:20, 10:25] = 9  # the way back from frame 2 contradicts the way there
    flows = still_flows(3, (1, 2), forward_2_3=hidden)
    one = job(flows=flows, earlier_frames=(1, 2))
    photo = texture(3, *SIDES)
    make(one, [photo] * 3)
    results = results_of(one, 3)
    first, second, third = (inputs_of(one, 1, n, 1, n) for n in (1, 2, 3))
    assert first.start is None
    assert not np.any(first.earlier.reliability)
    np.testing.assert_allclose(second.earlier.reliability[..., 0], 1, atol=1e-6)
    np.testing.assert_array_equal(second.earlier.reliability[..., 1], 0)
    near, far = np.moveaxis(np.asarray(third.earlier.reliability), -1, 0)
    np.testing.assert_allclose(near + far, 1, atol=1e-6)
    inner, outer = np.s_[10:18, 12:23], np.s_[24:, :]
    assert np.all(near[inner] == 0) and np.all(far[outer] < 1e-6)
    for j, of in enumerate((results[1], results[0])):
        np.testing.assert_allclose(third.earlier.images[:, :, j], of, atol=1e-6)
    np.testing.assert_allclose(third.start[outer], results[1][outer], atol=1e-6)
    assert third.temporal_weight == one.clip.temporal_weight


def test_frames_of_another_scene_are_not_seen(job, make):
    one = job(earlier_frames=(1, 2))
    make(one, [*moving(2), *moving(3, seed=5)])
    for number, neighbors in ((3, 0), (4, 1), (5, 2)):
        reliable = np.asarray(inputs_of(one, 1, number, 3, number).earlier.reliability)
        assert reliable.any((0, 1)).sum() <= neighbors
        assert reliable[..., :1].any() == (neighbors > 0)
    assert not one.folder.flow_file(3, 1).exists()


def test_passes_go_forward_and_backward_scene_by_scene(job, make):
    one = job(passes=3, later_steps=2)  # before the first one, most differ from nothing earlier
    frames, finished = [*moving(3), *moving(2, seed=5)], []
    reports = make(
        *(one, frames), done=lambda now: finished.append(one.folder.frame(now.number).exists())
    )
    assert finished == [each.of_pass == 3 for each in reports]
    assert order(reports) == [
        *((1, 1), (1, 2), (1, 3), (2, 3), (2, 2), (2, 1), (3, 1), (3, 2), (3, 3)),
        *((1, 4), (1, 5), (2, 5), (2, 4), (3, 4), (3, 5)),
    ]
    assert [each.steps for each in reports] == [3, *[2] * 8, 3, *[2] * 5]
    assert sum(each.compilations for each in reports) <= 1
    # The loss counts in the second half, wherever there is a neighbor that was made before.
    held = {(each.of_pass, each.number) for each in reports if each.terms["temporal"]}
    assert held == {(2, 2), (2, 1), (3, 2), (3, 3), (2, 4), (3, 5)}
    left = {path.name for path in (one.folder.path / "results").glob("*.png")}
    assert left == {f"3-00000{number}.png" for number in range(1, 6)}
    assert len(one.folder.frames()) == 5
    assert make(one, frames) == []


def test_a_later_pass_begins_between_its_own_result_and_its_neighbors(job, make, still_flows):
    one = job(passes=2, flows=still_flows(2))
    with pytest.raises(KeyboardInterrupt):
        make(one, [texture(3, *SIDES)] * 2, done=stop_after(3))
    (first, _), second = results_of(one, 2), images.read(one.folder.result(2, 2)).rgb
    given = inputs_of(one, 2, 1, 1, 2)
    np.testing.assert_allclose(given.start, (first + second) / 2, atol=1e-6)
    np.testing.assert_allclose(given.earlier.images[:, :, 0], second, atol=1e-6)
    last = inputs_of(one, 2, 2, 1, 2)  # the first to be made in this pass
    assert not np.any(last.earlier.reliability)
    np.testing.assert_array_equal(last.start, results_of(one, 2)[1])


def test_what_is_not_reliable_is_filled_in_first_and_not_averaged_later():
    rng = np.random.default_rng(0)
    own, near = (rng.uniform(size=(*SIDES, 3)).astype(np.float32) for _ in range(2))
    sure = rng.uniform(size=SIDES).astype(np.float32)
    sure[:5], sure[5:9] = 0, 1
    found = Moved(near, sure, nothing_earlier(*SIDES, 1))
    start, mean, each = filled(found, own), averaged(found, own), sure[..., None]
    for image in (start, mean):
        np.testing.assert_array_equal(image[:5], own[:5])
    np.testing.assert_allclose(start[5:9], near[5:9], atol=1e-6)
    np.testing.assert_allclose(mean[5:9], (own + near)[5:9] / 2, atol=1e-6)
    np.testing.assert_allclose(start - own, each * (near - own), atol=1e-6)
    np.testing.assert_allclose((mean - own) * (1 + each), each * (near - own), atol=1e-6)
    np.testing.assert_array_equal(filled(found, None), near)


# --- ends, and going on ---------------------------------------------------------------------------


def stop_after(count):
    """A hook that ends a clip at its n-th call."""
    calls = []

    def stop(*given):
        calls.append(given)
        if len(calls) == count:
            raise KeyboardInterrupt

    return stop


def files_of(job):
    return {
        str(path.relative_to(job.folder.path)): path.read_bytes()
        for path in job.folder.path.rglob("*")
        if path.is_file()
    }


RESUMED = {"passes": 2, "earlier_frames": (1, 2)}


@pytest.fixture
def untouched(job, make):
    one = job("untouched", **RESUMED)
    reports = make(one, moving(3))
    return files_of(one), order(reports)


def test_a_clip_ended_after_any_frame_goes_on_to_the_same_bytes(job, make, untouched):
    files, all_of_it = untouched
    for count in range(1, len(all_of_it) + 1):
        one, reports = job(f"ended after {count}", **RESUMED), []
        with pytest.raises(KeyboardInterrupt):
            make(one, moving(3), reports=reports, done=stop_after(count))
        make(one, moving(3), reports=reports)
        assert order(reports) == all_of_it
        assert files_of(one) == files


def test_a_clip_ended_within_a_frame_makes_that_frame_anew(job, make, untouched):
    files, all_of_it = untouched
    one, reports = job("within", **RESUMED), []
    for kind, count in (("report", 2), ("report", 4), ("pause", 3)):
        with pytest.raises(KeyboardInterrupt):
            make(one, moving(3), reports=reports, **{kind: stop_after(count)})
    make(one, moving(3), reports=reports)
    assert order(reports) == all_of_it
    assert files_of(one) == files


def test_a_clip_ended_between_two_files_goes_on_to_the_same_bytes(
    job, make, untouched, monkeypatch
):
    files, all_of_it = untouched
    one = job("between", **RESUMED)
    for name, count in (
        ("save_frame", 1),
        ("save_result", 1),
        ("save_result", 3),
        ("_forgotten", 3),
    ):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            whole, stop = getattr(Folder, name), stop_after(count)
            patch.setattr(Folder, name, lambda *given, w=whole, s=stop: s(*given) or w(*given))
            make(one, moving(3))
    make(one, moving(3))
    assert files_of(one) == files


def test_a_longer_clip_goes_on_after_the_frames_of_a_shorter(job, make):
    """As when another process has read further."""
    one, whole = job("longer"), job("whole")
    make(one, moving(5)[:2])
    assert order(make(one, moving(5))) == [(1, 3), (1, 4), (1, 5)]
    make(whole, moving(5))
    assert files_of(one) == files_of(whole)


def test_scenes_spread_over_devices_are_the_same(job, make):
    frames = [*moving(2), *moving(2, seed=5), *moving(1, seed=6)]
    alone, spread = job("alone", passes=2), job("spread", passes=2)
    make(alone, frames)
    reports = make(spread, frames, devices=jax.devices() * 2)
    assert sorted(order(reports)) == sorted([(p, n) for p in (1, 2) for n in range(1, 6)])
    assert files_of(spread) == files_of(alone)


def test_what_fails_on_one_of_several_devices_ends_all(job, make):
    frames = [*moving(2), *moving(2, seed=5), *moving(1, seed=6)]

    def fail(report):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make(job(), frames, devices=jax.devices() * 2, done=fail)


# --- colors, masks and sizes ----------------------------------------------------------------------


def test_original_colors_are_given_back_to_frames_but_not_to_what_they_start_from(
    job, make, still_flows
):
    one = job(original_colors=True, later_steps=0, flows=still_flows(2))
    frames = [texture(3, *SIDES), texture(4, *SIDES)]
    make(one, frames)
    first, second = results_of(one, 2)
    np.testing.assert_array_equal(first, second)
    for frame, photo in zip(frames_of(one), frames, strict=True):
        own, its = (pixels.astype(np.float32) / 255 for pixels in (frame, photo))
        light = luminance(first, one.settings.luminance)
        inside = np.all((own > 0.01) & (own < 0.99), axis=-1)
        assert inside.mean() > 0.3
        kind = one.settings.luminance
        np.testing.assert_allclose(luminance(own, kind)[inside], light[inside], atol=0.02)
        gray = (own - luminance(own, kind)[..., None], its - luminance(its, kind)[..., None])
        np.testing.assert_allclose(gray[0][inside], gray[1][inside], atol=0.02)


def test_styles_are_given_the_colors_of_the_first_frame_of_a_scene(job, make):
    """Those of a later frame would make the style another one with every frame."""
    one = job(color_match="symmetric")
    red = [np.uint8(frame * [1.0, 0.3, 0.3]) for frame in moving(2)]
    make(one, [*red, texture(5, *SIDES)])
    painted = [inputs_of(one, 1, n, first, n).colors[1][0] for n, first in ((1, 1), (2, 1), (3, 3))]
    np.testing.assert_array_equal(painted[0], painted[1])
    mean = red[0].mean((0, 1)) / 255
    np.testing.assert_allclose(painted[1].mean((0, 1)), mean, atol=0.02)
    assert np.abs(painted[2].mean((0, 1)) - mean).max() > 0.1


def test_a_content_mask_may_be_a_clip(job, make, small_weights, tmp_path):
    """Each frame has its own: here all are first frames of a scene."""
    masks = [np.zeros((*SIDES, 3), np.uint8) for _ in range(2)]
    masks[0][:, :15] = masks[1][20:] = 255
    paint = np.zeros((40, 36, 3), np.uint8)
    paint[:18] = 255
    write_pixels(tmp_path / "style.png", paint)
    given = {"content_mask": "mask.mp4", "style_mask": str(tmp_path / "style.png")}
    one, frames = job(**given), [texture(3, *SIDES), texture(4, *SIDES)]
    reports = make(one, frames, masks={0: ClipOf(masks, "mask.mp4")})
    assert {each.first for each in reports} == {1, 2}
    assert "style/relu1_1/inside" in reports[0].terms
    for number, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        write_pixels(tmp_path / "mask.png", mask)
        settings = replace(one.settings, content_mask=(str(tmp_path / "mask.png"),))
        content = Picture(frame.astype(np.float32) / 255)
        alone = run(small_weights, Inputs(content, one.styles, settings))
        np.testing.assert_array_equal(frames_of(one)[number], np.rint(alone.image * 255))


def test_a_fine_style_is_made_once_for_all_frames(job, make, monkeypatch):
    calls = []

    def finer(loaded, styles, *given):
        calls.append(given)
        return [style * 0.5 for style in styles]

    monkeypatch.setattr(module, "with_fine_texture", finer)
    one, plain = job("fine", fine_style="fine.png"), job("plain")
    make(one, moving(2))
    assert len(calls) == 1
    make(replace(plain, styles=[plain.styles[0] * 0.5]), moving(2))
    for fine, same in zip(frames_of(one), frames_of(plain), strict=True):
        np.testing.assert_array_equal(fine, same)


def test_the_sides_of_a_result_are_even():
    def sides(height, width, **settings):
        settings = resolve(content_layers="relu1_1", style_layers="relu1_1", **settings)
        scales = schedule_of(height, width, [np.zeros((40, 36, 3), np.float32)], settings)
        return [scale[:2] for scale in scales]

    for height, width, size, found in (
        (45, 61, 61, (46, 62)),
        (45, 80, 33, (20, 34)),
        (1, 80, 80, (2, 80)),
        (32, 40, 40, (32, 40)),
    ):
        assert sides(height, width, size=size, smallest_size=size)[-1] == found
    coarse, fine, again = sides(
        *(45, 61), size=61, smallest_size=30, photorealism_weight=(1.0, 2.0)
    )
    assert fine == again == (46, 62)
    assert coarse[1] == 30


@pytest.mark.parametrize("name", ["auto_masks", "padding"])
def test_settings_that_do_not_go_with_clips_are_refused(name):
    settings = resolve(**{name: {"auto_masks": 2, "padding": "circular"}[name]})
    with pytest.raises(SettingError, match=f"^{name}: "):
        schedule_of(64, 64, [np.zeros((64, 64, 3), np.float32)], settings)
