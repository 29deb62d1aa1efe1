"""The live view of one run of the command line: ``jaxstyle run --watch``."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import gradio as gr

from jaxstyle.images import Picture
from jaxstyle.runs.result import Progress, Result
from jaxstyle.studio import easel
from jaxstyle.studio.line import Job, views
from jaxstyle.studio.server import address, application, bound, in_background, mounted
from jaxstyle.studio.view import View, jpeg
from jaxstyle.studio.work import Watch, summary

LAST_LOOK = 1.0
"""Seconds for which a finished run is still served to browsers that look at it."""


class Live:
    """The live view of a run.

    Attributes:
      url: its address.
      looking: number of browsers that look at it.
    """

    def __init__(self, title: str, url: str):
        self.url, self.looking = url, 0
        self._job = Job(lambda job: None, View("running", title, "starting", alt=title))
        self._watch = Watch(self._job)

    def report(self, progress: Progress) -> None:
        """Show a report."""
        self._watch(progress)

    def done(self, result: Result) -> None:
        """Show the result."""
        picture = jpeg(Picture(result.image, result.alpha).over_white())
        curves = self._watch.course.shown()
        self._job.show(state="done", picture=picture, text=summary(result), share=1.0, **curves)

    def end(self) -> None:
        """Show that the run has ended, if it has no result."""
        if not self._job.view.over:
            self._job.show(state="stopped", text="the run has ended early")

    async def drawn(self) -> AsyncIterator[str]:
        """Yield the easel whenever it has changed."""
        self.looking += 1
        try:
            async for view in views(self._job):
                yield easel.drawn(view)
        finally:
            self.looking -= 1


@contextmanager
def watched(title: str, port: int | None) -> Iterator[Live]:
    """Serve the live view of a run on this machine during the block.

    Args:
      title: what is made, in a few words.
      port: the port; None for the usual one, or the next that is free.

    Raises:
      UsageError: the port cannot be used.
    """
    socket = bound("127.0.0.1", port)
    live = Live(title, address(socket))
    with in_background(mounted(application(), _page(live)), socket):
        try:
            yield live
        finally:
            live.end()
            if live.looking:
                time.sleep(LAST_LOOK)


def _page(live: Live) -> gr.Blocks:
    """Return a page with the easel alone."""
    with gr.Blocks(title="jaxstyle", analytics_enabled=False) as page:
        shown = gr.HTML(easel.EMPTY, elem_id="easel", apply_default_css=False)
        page.load(live.drawn, None, shown, show_progress="hidden", api_visibility="private")
    return page
