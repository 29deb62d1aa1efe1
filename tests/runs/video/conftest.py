"""Clips that are made with a small network, at one scale of one layer: a few per second."""

import numpy as np
import pytest

from jaxstyle.runs.video.feed import Feed, fed
from jaxstyle.runs.video.folder import Folder
from jaxstyle.runs.video.stylize import ClipHooks, Job, schedule_of, stylize
from jaxstyle.settings import resolve
from jaxstyle.settings.clip import ClipSettings, resolve_clip
from tests.runs.video.clips import ClipOf, texture

SHALLOW = {"content_layers": "relu1_1", "style_layers": "relu1_1"}
QUICK = {"size": 40, "smallest_size": 40, "steps": 3, **SHALLOW}
OF_CLIP = set(ClipSettings.__dataclass_fields__)


@pytest.fixture
def job(tmp_path, small_weights):
    """A function from settings, of frames and of the clip, to the job in a folder."""

    def make(folder="frames", flows=None, sides=(32, 40), **settings):
        of_clip = {name: settings.pop(name) for name in OF_CLIP & set(settings)}
        of_frames = resolve(**{**QUICK, **settings})
        styles = [texture(99, 40, 36).astype(np.float32) / 255]
        return Job(
            small_weights,
            styles,
            of_frames,
            resolve_clip(**{"later_steps": 1, **of_clip}),
            schedule_of(*sides, styles, of_frames),
            Folder(tmp_path / folder, flows),
            description="made by a test",
        )

    return make


@pytest.fixture
def make():
    """A function from a job and frames that makes the clip, and returns the reports of frames.

    They are as they come in ``reports``, if that is given, for when the clip is ended.
    """

    def made(job, frames, masks=None, reports=None, devices=(), **hooks):
        job.folder.begin({})
        last, reports = job.schedule[-1], [] if reports is None else reports
        done = hooks.pop("done", lambda report: None)

        def note(report):
            reports.append(report)
            done(report)

        feed = Feed(
            *(ClipOf(frames), masks or {}, (last.height, last.width), job.settings.resampling),
            *(job.clip.earlier_frames, job.folder),
        )
        with fed(feed):
            stylize(job, feed, ClipHooks(done=note, **hooks), devices)
        return reports

    return made
