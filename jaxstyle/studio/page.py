"""The page: what happens when something is pressed.

What is asked for goes into the line of work (`Page.ask`), and `Page.watch` shows it until it is
over. It goes on whether anybody watches or not.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from jaxstyle import images
from jaxstyle.errors import JaxstyleError, UsageError
from jaxstyle.runs.recipe import Recipe
from jaxstyle.settings import INITS, resolve
from jaxstyle.settings.text import written
from jaxstyle.studio import easel, examples, regions
from jaxstyle.studio.controls import given_of
from jaxstyle.studio.form import MOST_STYLES, Form, Reader
from jaxstyle.studio.history import Entry
from jaxstyle.studio.layout import Layout
from jaxstyle.studio.line import Job, Line, failure, views
from jaxstyle.studio.look import CONFIRM, TO_EASEL
from jaxstyle.studio.view import View, jpeg
from jaxstyle.studio.work import Studio, going_on

KINDS = {"paint": "default", "photo": "photo", "texture": "texture", "sweep": "default"}
"""The tabs, each with its usual preset."""

BUTTONS = {"paint": "Paint", "photo": "Paint", "texture": "Make", "sweep": "Make the grid"}
"""The words on the button of each tab."""


class Page:
    """The page of a studio.

    Args:
      studio: what makes pictures.
      line: the line of work.
      most_pixels: pixels of an uploaded picture, at most; None for a page that one person uses.
    """

    def __init__(self, studio: Studio, line: Line, most_pixels: int | None = None):
        self.studio, self.line, self.history = studio, line, studio.history
        self.alone = most_pixels is None
        # No analytics: nothing is sent anywhere.
        with gr.Blocks(
            title="jaxstyle studio", analytics_enabled=False, delete_cache=(3600, 24 * 3600)
        ) as self.blocks:
            layout = Layout()
            self.controls = layout.controls
            self.reader = Reader(self.history, self.controls.names, most_pixels)
            self._wire(layout)

    def _wire(self, on: Layout) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self._wire_materials(on, quiet)
        controls, fields = on.controls, on.controls.fields
        controls.preset.input(self.use_preset, controls.preset, fields, **quiet)
        for kind, tab in on.tabs.items():
            tab.select(
                partial(self.use_kind, kind),
                [on.kind, controls.preset, *fields],
                [on.kind, on.go, controls.preset, *fields],
                **quiet,
            )
        form = [
            *(on.kind, on.photo, on.styles, on.shares, controls.preset),
            *(on.full_size, on.width, on.height, on.periodic),
            *(on.across, on.across_values, on.down, on.down_values),
            *(on.auto_masks, on.painted_on, on.photo_paint, *on.style_paints, *fields),
        ]
        asked = [on.job, on.easel, on.agree]
        watched = [on.easel, on.go, on.agree, on.go_on, on.stop, on.made, on.links]
        watching: dict[str, Any] = {"concurrency_limit": None, **quiet}
        for event in (
            on.go.click(self.ask, form, asked, js=TO_EASEL, **quiet),
            on.go_on.click(self.ask_on, [on.made, *form], asked, js=TO_EASEL, **quiet),
            on.agree.click(self.agreed, on.job, asked, **quiet),
            self.blocks.load(self.back, on.job, on.job, **quiet),
        ):
            event.then(self.watch, on.job, watched, **watching)
        on.stop.click(self.end, on.job, on.stop, **quiet)
        on.see.click(self.ask_regions, form, [on.seeing, on.seen], **quiet).then(
            self.watch_regions, on.seeing, on.seen, **watching
        )
        self._wire_history(on, quiet)

    def _wire_materials(self, on: Layout, quiet: dict[str, Any]) -> None:
        on.photo.upload(self.checked, on.photo, on.photo, **quiet)
        on.styles.upload(self.checked_styles, on.styles, on.styles, **quiet)
        on.styles.change(self.new_styles, on.styles, on.shares, **quiet)
        on.regions_tab.select(
            self.open_regions,
            [on.photo, on.styles, on.painted_on],
            [on.painted_on, on.photo_paint, *on.style_paints],
            **quiet,
        )
        on.photo_examples.select(self.example, None, on.photo, **quiet)
        on.style_examples.select(self.one_more, on.styles, on.styles, **quiet)

    def _wire_history(self, on: Layout, quiet: dict[str, Any]) -> None:
        chosen = [on.chosen, on.cards, on.detail, on.of_chosen, on.other, on.command]
        form = [
            *(on.all_tabs, on.kinds, on.kind, on.go, on.photo, on.styles, on.shares),
            *(on.full_size, on.width, on.height, on.periodic, on.auto_masks),
            *(on.controls.preset, *on.controls.fields),
        ]
        hand = [on.made, on.easel, on.go_on, on.links]
        on.history_tab.select(self.show_history, on.chosen, on.cards, **quiet)
        on.cards.select(self.choose, None, chosen, **quiet)
        on.other.input(self.compare, [on.chosen, on.other], on.detail, **quiet)
        on.delete.click(self.remove, on.chosen, chosen, js=CONFIRM, **quiet)
        on.take.click(self.take_settings, on.chosen, form, **quiet)
        on.take_on.click(self.take_settings, on.chosen, form, **quiet).then(
            self.take_up, on.chosen, hand, **quiet
        )
        on.easel.select(self.take_cell, None, form, **quiet)

    # --- materials --------------------------------------------------------------------------------

    def checked(self, path: str | None) -> str | None:
        """Return an uploaded picture if it can be read, else nothing, with a message."""
        try:
            if path:
                self.reader.check(path)
        except JaxstyleError as error:
            gr.Warning(failure(error, self.history.folder))
            return None
        return path

    def checked_styles(self, styles: Sequence[tuple[str, str | None]] | None) -> Any:
        """Return the uploaded style pictures that can be read, with a message about others."""
        return [each for each in styles or () if self.checked(each[0])]

    def new_styles(self, styles: Sequence[tuple[str, str | None]] | None) -> Any:
        """Return the field for shares, which several style pictures have."""
        return gr.update(visible=len(styles or ()) > 1)

    def open_regions(
        self,
        photo: str | None,
        styles: Sequence[tuple[str, str | None]] | None,
        painted_on: Sequence[str | None],
    ) -> list[Any]:
        """Return what the editors show: new pictures, or what has been painted on the same."""
        none = [None] * (1 + MOST_STYLES)
        paths = [photo, *[path for path, _ in styles or ()], *none][: len(none)]
        updates = []
        for index, (path, before) in enumerate(zip(paths, [*painted_on, *none], strict=False)):
            changes = {} if path == before else {"value": self._canvas(path)}
            updates.append(gr.update(visible=index < 2 or path is not None, **changes))
        return [paths, *updates]

    def _canvas(self, path: str | None) -> Any:
        try:
            return regions.canvas(self.reader.check(path)) if path else None
        except JaxstyleError:  # said when it is used
            return None

    def example(self, event: gr.EventData) -> Any:
        """Return an example photo."""
        found = examples.picture(_name(event))
        return str(found) if found else gr.skip()

    def one_more(self, styles: Sequence[Any] | None, event: gr.EventData) -> Any:
        """Return the style pictures with an example picture, or without it if it was there."""
        found = examples.picture(_name(event))
        if found is None:
            return gr.skip()
        left = [each for each in styles or () if Path(each[0]).name != found.name]
        return left if len(left) < len(styles or ()) else [*left, (str(found), None)]

    # --- settings ---------------------------------------------------------------------------------

    def use_preset(self, preset: str) -> list[Any]:
        """Return what the fields show of a preset."""
        return self.controls.values(resolve(preset))

    def use_kind(self, kind: str, before: str, preset: str, *values: Any) -> list[Any]:
        """Return the tab, the words on its button, and the fields with its usual preset.

        The settings that differ from the preset are taken along to the other.
        """
        shown = [kind, gr.update(value=BUTTONS[kind])]
        if KINDS[kind] == KINDS[before] or preset != KINDS[before]:
            return [*shown, *[gr.skip()] * (1 + len(values))]
        preset, names = KINDS[kind], self.controls.names
        try:
            given = given_of(KINDS[before], names, values)
            return [*shown, preset, *self.controls.values(resolve(**{**given, "preset": preset}))]
        except JaxstyleError:  # something is half typed
            return [*shown, preset, *self.use_preset(preset)]

    # --- asking for work --------------------------------------------------------------------------

    def ask(self, *values: Any) -> list[Any]:
        """Put what the form asks for into the line; return its name, the easel, no question."""
        return self._asked(lambda: self._put(Form.of(values)))

    def ask_on(self, made: str, *values: Any) -> list[Any]:
        """Put what the form asks for into the line, to start from a finished picture."""
        return self._asked(lambda: self._put(Form.of(values), made))

    def agreed(self, id: str) -> list[Any]:
        """Put large work into the line again, now that somebody has agreed to it."""

        def put() -> Job:
            job = self.line.job(id)
            if job is None or job.large is None:
                raise UsageError("this has been asked for too long ago: press Paint again")
            return self.line.ask(job.large, View(title=job.view.title, alt=job.view.alt))

        return self._asked(put)

    def _asked(self, put: Callable[[], Job]) -> list[Any]:
        """Return the name of a new job, the easel, and no question."""
        hidden = gr.update(visible=False)
        try:
            return [put().id, gr.skip(), hidden]
        except Exception as error:
            said = failure(error, self.history.folder)
            return ["", easel.drawn(View("failed", text=said)), hidden]

    def _put(self, form: Form, start: str = "") -> Job:
        """Put what a form asks for into the line, to start from a finished picture if named."""
        view = View(title=_title(form), alt=_title(form))
        if form.kind == "sweep":
            grid = self.reader.grid(form)
            work, large = self.studio.sweeping(grid), self.studio.sweeping(grid, agreed=True)
            key: Any = grid
        else:
            recipe = self.reader.recipe(form)
            if start:
                recipe = going_on(recipe, str(self.history.keep(self.history.entry(start).path)))
            work, large = self.studio.painting(recipe), self.studio.painting(recipe, agreed=True)
            key = recipe
        return self.line.ask(work, view, large, key)

    def ask_regions(self, *values: Any) -> list[Any]:
        """Put the drawing of the regions into the line; return its name, and the easel."""

        def put() -> Job:
            recipe = self.reader.recipe(replace(Form.of(values), kind="paint"))
            view = View(title="Regions", alt="The regions of the pictures")
            return self.line.ask(self.studio.seeing_regions(recipe), view)

        return self._asked(put)[:2]

    # --- watching ---------------------------------------------------------------------------------

    def back(self, id: str) -> str:
        """Return the job of a browser that comes back; of one person's page, the one at work."""
        job = self.line.job(id)
        if job is None and self.alone:
            job = self.line.current()
        return job.id if job else ""

    async def watch(self, id: str) -> AsyncIterator[list[Any]]:
        """Yield the easel and its buttons whenever a job has changed, until it is over."""
        yield [gr.skip()] * 7  # what yields nothing would empty them
        async for view in self._views(id):
            single = view.names and not view.cells
            made = view.names[-1] if single else ""
            yield [
                easel.drawn(view),
                gr.update(interactive=view.over),
                gr.update(visible=view.state == "asking"),
                gr.update(interactive=bool(made)),
                gr.update(interactive=not view.over),
                made,
                self._links(made),
            ]

    async def watch_regions(self, id: str) -> AsyncIterator[Any]:
        """Yield the drawing of the regions."""
        yield gr.skip()
        async for view in self._views(id):
            yield easel.drawn(view)

    async def _views(self, id: str) -> AsyncIterator[View]:
        """Yield the views of a job, with its place while it waits."""
        if job := self.line.job(id):
            async for view in views(job, lambda: self.line.place(job)):
                yield view

    def end(self, id: str) -> Any:
        """Ask a job to end."""
        if job := self.line.job(id):
            job.stop()
        return gr.update(interactive=False)

    def _links(self, name: str) -> str:
        with suppress(UsageError):
            return easel.links(self.history.entry(name)) if name else ""
        return ""

    # --- history ----------------------------------------------------------------------------------

    def show_history(self, chosen: str) -> str:
        """Return the cards of all pictures."""
        return easel.cards(self.history.entries(), chosen)

    def choose(self, event: gr.EventData) -> list[Any]:
        """Return the details of a picture that was chosen."""
        return self._details(_name(event))

    def _details(self, name: str) -> list[Any]:
        entries = self.history.entries()
        entry = next((each for each in entries if each.name == name), None)
        cards = easel.cards(entries, name)
        if entry is None:
            return ["", cards, "", gr.update(visible=False), gr.skip(), gr.skip()]
        try:
            detail = easel.details(entry)
        except JaxstyleError as error:
            said = easel.drawn(View("failed", text=failure(error, self.history.folder)))
            return [name, cards, said, gr.update(visible=True), gr.skip(), ""]
        others = [("the photo", ""), *((e.name, e.name) for e in entries if e.name != name)]
        return [
            *(name, cards, detail, gr.update(visible=True)),
            *(gr.update(choices=others, value=""), _command(entry)),
        ]

    def compare(self, name: str, other: str) -> Any:
        """Return the details of a picture, compared with another one."""
        with suppress(UsageError):
            against = self.history.entry(other) if other else None
            return easel.details(self.history.entry(name), against)
        return gr.skip()

    def remove(self, name: str) -> list[Any]:
        """Delete a picture, and return what is left."""
        if not name:
            return [gr.skip()] * 6
        with suppress(UsageError):
            self.history.delete(name)
        return self._details("")

    def take_cell(self, event: gr.EventData) -> list[Any]:
        """Return the form with the settings of a cell of a grid."""
        return self.take_settings(_name(event))

    def take_settings(self, name: str) -> list[Any]:
        """Return the form with the pictures and settings of a picture."""
        try:
            recipe = self.history.entry(name).recipe
        except JaxstyleError as error:
            gr.Warning(failure(error, self.history.folder))
            return [gr.skip()] * (13 + len(self.controls.fields))
        settings, kind = recipe.settings, _kind(recipe)
        if settings.content_mask:
            gr.Info("Its painted regions are not taken along: paint them again under Regions.")
        if settings.init not in INITS:
            gr.Info("It was made from another picture, which is not taken along: see Go on from it")
        height, width = recipe.shape or (None, None)
        return [
            *(gr.update(selected="make"), gr.update(selected=kind)),
            *(kind, gr.update(value=BUTTONS[kind])),
            *(recipe.content or None, [(path, None) for path in recipe.styles]),
            gr.update(value=written(settings.style_blend), visible=len(recipe.styles) > 1),
            *(recipe.full_size, width, height, recipe.periodic, settings.auto_masks),
            *(settings.preset, *self.controls.values(settings)),
        ]

    def take_up(self, name: str) -> list[Any]:
        """Return the easel with a finished picture, to go on from it."""
        try:
            entry = self.history.entry(name)
            picture = images.read(entry.path)
        except JaxstyleError:
            return [gr.skip()] * 4
        view = View("done", entry.name, "press Go on to start from it", jpeg(picture.over_white()))
        return [name, easel.drawn(view), gr.update(interactive=True), self._links(name)]


def _name(event: gr.EventData) -> str:
    """Return the name of what was chosen; a request may say anything."""
    name = (event._data or {}).get("name") if isinstance(event._data, dict) else None
    return name if isinstance(name, str) else ""


def _title(form: Form) -> str:
    """Return what a form asks for, in a few words."""
    words = {"photo": "A photo in another light", "texture": "A texture", "sweep": "A grid"}
    return words.get(form.kind, "A painting of the photo")


def _kind(recipe: Recipe) -> str:
    """Return the tab that a picture was made by."""
    if not recipe.content:
        return "texture"
    return "photo" if recipe.full_size or recipe.settings.photorealistic else "paint"


def _command(entry: Entry) -> str:
    """Return the command line that makes the same picture, or why there is none."""
    try:
        return entry.command()
    except JaxstyleError as error:
        return f"# {error}"
