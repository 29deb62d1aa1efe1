"""The page: what is on it, and what happens when something is pressed.

Work is asked for by one function a tab (`Page.paint` and its like), which put it into the line;
`Page.watch` then shows it until it is over. It goes on whether anybody watches or not.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder, is_in_or_equal

from jaxstyle import images
from jaxstyle.errors import ImageError, JaxstyleError, UsageError
from jaxstyle.machine.files import temporary_name
from jaxstyle.runs.recipe import Recipe
from jaxstyle.settings import resolve
from jaxstyle.settings.text import written
from jaxstyle.studio import easel, examples, regions
from jaxstyle.studio.controls import Controls, parsed, several, sweepable
from jaxstyle.studio.history import Entry
from jaxstyle.studio.line import Line, failure, views
from jaxstyle.studio.look import CHOOSE, CONFIRM, THEME_SWITCH, TO_EASEL
from jaxstyle.studio.view import View, jpeg
from jaxstyle.studio.work import Studio, going_on, grid_of

MOST_STYLES = 4
"""Style pictures that can be painted on."""

KINDS = {"paint": "default", "photo": "photo", "texture": "texture", "sweep": "default"}
"""The tabs, each with its usual preset."""

NONE = "none"
NO_PICTURE = "give a photo: drop one, or choose an example"
NO_STYLE = "give a style picture: drop one, or choose an example"


def html(value: str, **options: Any) -> gr.HTML:
    """Return HTML with the style of the page alone."""
    return gr.HTML(value, apply_default_css=False, **options)


def uploaded(**options: Any) -> gr.Image:
    """Return a field for a picture whose value is the path of the file as it was uploaded.

    Gradio's own would decode it first, and fail without a word about what is wrong with it.
    """
    field = gr.Image(type="filepath", **options)
    field.preprocess = lambda payload: payload and payload.path
    return field


@dataclass(frozen=True)
class Form:
    """What the fields of the page have when something is pressed.

    Attributes:
      kind: the tab.
      photo: path of the uploaded photo.
      styles: path and caption of each style picture.
      shares: their shares, as text.
      preset: name of the preset.
      full_size: whether a photo is to keep all its pixels.
      width, height: of a texture.
      periodic: whether a texture is to be seamless.
      across, across_values, down, down_values: settings of a sweep, and their values as text.
      auto_masks: number of regions to be found.
      painted_on: paths of the pictures that the editors show, first the photo.
      paints: what the editors have.
      values: what the fields of the settings have.
    """

    kind: str
    photo: str | None
    styles: Sequence[tuple[str, str | None]] | None
    shares: str
    preset: str
    full_size: bool
    width: float | None
    height: float | None
    periodic: bool
    across: str
    across_values: str
    down: str
    down_values: str
    auto_masks: int
    painted_on: Sequence[str | None]
    paints: Sequence[Any]
    values: Sequence[Any]

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Form":
        """Return the form of these values of fields, in the order of `Page.form`."""
        *alone, paints, shown = (field.name for field in fields(cls))
        first = len(alone)
        rest: dict[str, Any] = {paints: values[first : first + 1 + MOST_STYLES]}
        rest[shown] = values[first + 1 + MOST_STYLES :]
        return cls(**dict(zip(alone, values, strict=False)), **rest)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width of a texture; None for those of the style picture."""
        if self.kind != "texture" or not (self.width or self.height):
            return None
        return int(self.height or self.width or 0), int(self.width or self.height or 0)


class Page:
    """The page of a studio.

    Args:
      studio: what makes pictures.
      line: the line of work.
      most_pixels: pixels of an uploaded picture, at most; None for a page that one person uses.
    """

    def __init__(self, studio: Studio, line: Line, most_pixels: int | None = None):
        self.studio, self.line, self.most_pixels = studio, line, most_pixels
        self.history = studio.history
        # No analytics: nothing is sent anywhere.
        with gr.Blocks(
            title="jaxstyle studio", analytics_enabled=False, delete_cache=(3600, 24 * 3600)
        ) as self.blocks:
            self._layout()
            self._wire()

    # --- what is on it ----------------------------------------------------------------------------

    def _layout(self) -> None:
        self.job = gr.BrowserState("", storage_key="jaxstyle-job")
        self.kind = gr.State("paint")
        self.made = gr.State("")
        self.painted_on = gr.State([])
        html(
            '<header><h1>jaxstyle <span>studio</span></h1><button type="button" '
            'aria-label="Switch between light and dark">◐</button></header>',
            js_on_load=THEME_SWITCH,
            elem_id="head",
        )
        with gr.Tabs(elem_id="tabs") as self.all_tabs:
            with gr.Tab("Make", id="make"), gr.Row(elem_id="make"):
                with gr.Column(scale=3, min_width=220, elem_id="materials"):
                    self._materials()
                with gr.Column(scale=4, min_width=300, elem_id="work"):
                    self._tools()
                with gr.Column(scale=6, min_width=320, elem_id="result"):
                    self._result()
            with gr.Tab("Regions", id="regions", elem_id="regions") as self.regions_tab:
                self._regions()
            with gr.Tab("History", id="history", elem_id="history") as self.history_tab:
                self._history()

    def _materials(self) -> None:
        sources: Any = ["upload", "clipboard", "webcam"]
        html("<p class='name'>Photo</p>")
        self.photo = uploaded(
            label="Photo", show_label=False, sources=sources, height=190, elem_id="photo",
            buttons=[], alt_text="The photo to be painted",
        )  # fmt: skip
        self.photo_examples = self._examples("photos")
        html("<p class='name'>Style pictures</p>")
        self.styles = gr.Gallery(
            label="Style pictures", show_label=False, type="filepath", sources=sources,
            interactive=True, height=190, columns=2, elem_id="styles", object_fit="cover",
            buttons=[], file_types=["image"],
        )  # fmt: skip
        self.style_examples = self._examples("styles")
        self.shares = gr.Textbox(
            label="Shares of the style pictures", placeholder="equal: 1, 1", visible=False,
            info="such as 0.3, 0.7", elem_id="shares", max_lines=1,
        )  # fmt: skip

    def _examples(self, kind: str) -> gr.HTML:
        return html(
            easel.strip(kind, [path.stem for path in examples.pictures(kind)]),
            js_on_load=CHOOSE,
            elem_classes="examples",
        )

    def _tools(self) -> None:
        self.tabs = {}
        with gr.Tabs(elem_id="kinds") as self.kinds:
            with gr.Tab("Paint", id="paint") as self.tabs["paint"]:
                html("<p class='hint'>The photo, painted after the style pictures.</p>")
            with gr.Tab("Photo", id="photo") as self.tabs["photo"]:
                html(
                    "<p class='hint'>The photo in the light, weather or season of another photo, "
                    "without brush strokes.</p>"
                )
                self.full_size = gr.Checkbox(
                    label="All pixels of the photo", info="apply the colors to it at its full size"
                )
            with gr.Tab("Texture", id="texture") as self.tabs["texture"]:
                html("<p class='hint'>More of the style picture, of any size.</p>")
                with gr.Row():
                    self.width = gr.Number(None, label="Width", precision=0, min_width=80)
                    self.height = gr.Number(None, label="Height", precision=0, min_width=80)
                self.periodic = gr.Checkbox(
                    label="Seamless", info="tiles without a seam; sides are multiples of 16"
                )
            with gr.Tab("Sweep", id="sweep") as self.tabs["sweep"]:
                html("<p class='hint'>A grid of pictures over one or two settings.</p>")
                with gr.Row():
                    self.across = gr.Dropdown(
                        sweepable(), value="strength", label="Across", min_width=110
                    )
                    self.across_values = gr.Textbox(
                        "0.3, 0.5, 0.7", label="Values across", min_width=110, max_lines=1
                    )
                with gr.Row():
                    self.down = gr.Dropdown(
                        [("None", NONE), *sweepable()],
                        value=NONE,
                        label="Down",
                        min_width=110,
                        elem_id="down",
                    )
                    self.down_values = gr.Textbox(
                        "", label="Values down", min_width=110, max_lines=1, placeholder="1, 10"
                    )
        self.controls = Controls()

    def _result(self) -> None:
        self.easel = html(easel.EMPTY, elem_id="easel", js_on_load=CHOOSE)
        with gr.Row(elem_id="buttons"):
            self.go = gr.Button("Paint", variant="primary", elem_id="go", min_width=90)
            self.agree = gr.Button(
                "Start it", variant="primary", elem_id="agree", visible=False, min_width=90
            )
            self.on = gr.Button("Go on", elem_id="on", interactive=False, min_width=90)
            self.stop = gr.Button("Stop", elem_id="stop", interactive=False, min_width=90)
        self.links = html("", elem_id="links")

    def _regions(self) -> None:
        html(
            "<p class='hint'>Paint on the photo and on the style pictures: what has the same color "
            "on both belongs together, and so does what has none. Or have regions found.</p>"
        )
        with gr.Row():
            self.photo_paint = self._editor("On the photo", "paint-photo", True)
            self.style_paints = [
                self._editor(f"On style picture {i + 1}", f"paint-style-{i + 1}", i == 0)
                for i in range(MOST_STYLES)
            ]
        with gr.Row(elem_classes="bar"):
            self.auto_masks = gr.Slider(
                0, 8, 0, step=1, label="Regions to be found", elem_id="auto-masks",
                info="0: only what is painted; not used where something is painted",
            )  # fmt: skip
            self.see = gr.Button("See the regions", elem_id="see", min_width=140, size="md")
        self.seen = html("", elem_id="seen")

    def _editor(self, label: str, id: str, visible: bool) -> gr.ImageEditor:
        return gr.ImageEditor(
            label=label, elem_id=id, type="pil", sources=(), transforms=(), layers=False,
            brush=gr.Brush(
                colors=[(color, regions.OPACITY) for color in regions.BRUSHES],
                default_color=(regions.BRUSHES[0], regions.OPACITY),
                color_mode="fixed", default_size=24,
            ),
            height=430, visible=visible, buttons=[], min_width=300,
        )  # fmt: skip

    def _history(self) -> None:
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                self.cards = html("", js_on_load=CHOOSE, elem_id="cards")
            with gr.Column(scale=6, min_width=320, elem_id="details"):
                self.chosen = gr.State("")
                self.detail = html("", elem_id="detail")
                with gr.Column(visible=False) as self.of_chosen:
                    with gr.Row(elem_classes="bar"):
                        self.take = gr.Button(
                            "Take its settings",
                            variant="primary",
                            elem_id="take",
                            min_width=120,
                            size="md",
                        )
                        self.take_on = gr.Button(
                            "Go on from it", elem_id="take-on", min_width=120, size="md"
                        )
                        self.delete = gr.Button(
                            "Delete", variant="stop", elem_id="delete", min_width=90, size="md"
                        )
                    self.other = gr.Dropdown([], label="Compare with", elem_id="other")
                    self.command = gr.Code(
                        label="The same from the command line", language="shell", lines=2,
                        wrap_lines=True, interactive=False, show_line_numbers=False,
                    )  # fmt: skip

    # --- what happens -----------------------------------------------------------------------------

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self._wire_materials(quiet)
        controls, fields = self.controls, self.controls.fields
        controls.preset.input(self.use_preset, controls.preset, fields, **quiet)
        for kind, tab in self.tabs.items():
            tab.select(
                lambda kind=kind: self.use_kind(kind),
                None,
                [self.kind, self.go, controls.preset, *fields],
                **quiet,
            )
        self.form = form = [
            *(self.kind, self.photo, self.styles, self.shares, controls.preset),
            *(self.full_size, self.width, self.height, self.periodic),
            *(self.across, self.across_values, self.down, self.down_values),
            *(self.auto_masks, self.painted_on, self.photo_paint, *self.style_paints, *fields),
        ]
        watched = [self.easel, self.go, self.agree, self.on, self.stop, self.made, self.links]
        watching: dict[str, Any] = {"concurrency_limit": None, **quiet}
        for button, ask in ((self.go, self.ask), (self.agree, self.agreed), (self.on, self.ask_on)):
            asked = [self.job, self.easel, self.agree]
            button.click(ask, [self.made, *form], asked, js=TO_EASEL, **quiet).then(
                self.watch, self.job, watched, **watching
            )
        self.blocks.load(self.back, self.job, [self.job], **quiet).then(
            self.watch, self.job, watched, **watching
        )
        self.stop.click(self.end, self.job, self.stop, **quiet)
        self.see.click(self.ask_regions, form, [self.job, self.seen], **quiet).then(
            self.watch_regions, self.job, self.seen, **watching
        )
        self._wire_history(quiet)

    def _wire_materials(self, quiet: dict[str, Any]) -> None:
        self.photo.upload(self.checked, self.photo, self.photo, **quiet)
        self.styles.change(self.new_styles, self.styles, self.shares, **quiet)
        self.regions_tab.select(
            self.open_regions,
            [self.photo, self.styles, self.painted_on],
            [self.painted_on, self.photo_paint, *self.style_paints],
            **quiet,
        )
        self.photo_examples.select(self.example, None, self.photo, **quiet)
        self.style_examples.select(self.one_more, self.styles, self.styles, **quiet)

    def _wire_history(self, quiet: dict[str, Any]) -> None:
        chosen = [
            *(self.chosen, self.cards, self.detail, self.of_chosen, self.other, self.command),
        ]
        form = [
            *(self.all_tabs, self.kinds, self.kind, self.go, self.photo, self.styles, self.shares),
            *(self.full_size, self.width, self.height, self.periodic, self.auto_masks),
            *(self.controls.preset, *self.controls.fields),
        ]
        hand = [self.made, self.easel, self.on, self.links]
        self.history_tab.select(self.show_history, self.chosen, self.cards, **quiet)
        self.cards.select(self.choose, None, chosen, **quiet)
        self.other.input(self.compare, [self.chosen, self.other], self.detail, **quiet)
        self.delete.click(self.remove, self.chosen, chosen, js=CONFIRM, **quiet)
        self.take.click(self.take_settings, self.chosen, form, **quiet)
        self.take_on.click(self.take_settings, self.chosen, form, **quiet).then(
            self.take_up, self.chosen, hand, **quiet
        )
        self.easel.select(self.take_cell, None, form, **quiet)

    # --- materials --------------------------------------------------------------------------------

    def checked(self, path: str | None) -> str | None:
        """Return an uploaded picture if it can be read, else nothing, with a message."""
        try:
            if path:
                self._check(path)
        except JaxstyleError as error:
            gr.Warning(str(error))
            return None
        return path

    def _check(self, path: str) -> Path:
        """Return the path of an uploaded picture.

        Raises:
          ImageError: it is none, or too large.
        """
        folders = get_upload_folder(), self.history.folder / "inputs"
        if not any(is_in_or_equal(path, folder) for folder in folders):
            raise ImageError("this picture was not uploaded here")
        try:
            height, width = images.read_sides(path)
        except ImageError as error:  # its folder is of no interest
            raise ImageError(str(error).replace(path, Path(path).name)) from error
        if self.most_pixels and height * width > self.most_pixels:
            raise ImageError(
                f"{Path(path).name}: {width} × {height} pixels are too many here: at most "
                f"{self.most_pixels / 1e6:.0f} megapixels"
            )
        return Path(path)

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
            return regions.canvas(self._check(path)) if path else None
        except JaxstyleError:  # said when it is used
            return None

    def example(self, event: gr.EventData) -> Any:
        """Return an example photo."""
        found = examples.picture(event.name)
        return str(found) if found else gr.skip()

    def one_more(self, styles: Sequence[Any] | None, event: gr.EventData) -> Any:
        """Return the style pictures with an example picture, or without it if it was there."""
        found = examples.picture(event.name)
        if found is None:
            return gr.skip()
        left = [each for each in styles or () if Path(each[0]).name != found.name]
        return left if len(left) < len(styles or ()) else [*left, (str(found), None)]

    # --- settings ---------------------------------------------------------------------------------

    def use_preset(self, preset: str) -> list[Any]:
        """Return what the fields show of a preset."""
        return self.controls.values(resolve(preset))

    def use_kind(self, kind: str) -> list[Any]:
        """Return the tab, the words on the button and the fields of the tab's usual preset."""
        words = {"paint": "Paint", "photo": "Paint", "texture": "Make", "sweep": "Make the grid"}
        preset = KINDS[kind]
        return [kind, gr.update(value=words[kind]), preset, *self.use_preset(preset)]

    # --- asking for work --------------------------------------------------------------------------

    def recipe(self, form: Form) -> Recipe:
        """Return what the form asks for; its pictures are kept in the history's folder.

        Raises:
          UsageError: a picture is missing.
          SettingError, ImageError: a setting or a picture cannot be used.
        """
        if not form.photo and form.kind != "texture":
            raise UsageError(NO_PICTURE)
        if not form.styles:
            raise UsageError(NO_STYLE)
        given = self.controls.given(form.preset, form.values)
        if form.shares and len(form.styles) > 1:
            given["style_blend"] = parsed("style_blend", form.shares)
        styles = [self.history.keep(self._check(path)) for path, _ in form.styles]
        if form.kind == "texture":
            if form.shape:
                given.pop("size", None)
            return Recipe(
                "", tuple(map(str, styles)), resolve(**given),
                shape=form.shape, periodic=form.periodic,
            )  # fmt: skip
        assert form.photo
        photo = self.history.keep(self._check(form.photo))
        given |= self._masks(form, photo, styles)
        full_size = form.kind == "photo" and form.full_size
        return Recipe(str(photo), tuple(map(str, styles)), resolve(**given), full_size=full_size)

    def _masks(self, form: Form, photo: Path, styles: Sequence[Path]) -> dict[str, Any]:
        """Return the settings for what was painted, or for regions to be found."""
        shown = [form.photo, *(path for path, _ in form.styles or ())]
        paints = [
            regions.painted(editor) if before == now else None
            for editor, before, now in zip(form.paints, form.painted_on, shown, strict=False)
        ]
        paints += [None] * (len(shown) - len(paints))
        if not any(paints):
            return {"auto_masks": form.auto_masks} if form.auto_masks else {}
        if len(styles) > MOST_STYLES:
            raise UsageError(f"regions can be painted on {MOST_STYLES} style pictures at most")
        masks = []
        for paint, picture in zip(paints, [photo, *styles], strict=True):
            mask = self.history.folder / temporary_name()
            try:
                regions.write_mask(paint, picture, mask)
                masks.append(str(self.history.keep(mask, f"{picture.stem}-mask")))
            finally:
                mask.unlink(missing_ok=True)
        return {"content_mask": (masks[0],), "style_mask": tuple(masks[1:])}

    def ask(self, made: str, *values: Any) -> list[Any]:
        """Put what the form asks for into the line."""
        return self._ask(Form.of(values))

    def agreed(self, made: str, *values: Any) -> list[Any]:
        """The same, even if it takes long."""
        return self._ask(Form.of(values), agreed=True)

    def ask_on(self, made: str, *values: Any) -> list[Any]:
        """The same, from the picture that was made last."""
        return self._ask(Form.of(values), start=made)

    def _ask(self, form: Form, agreed: bool = False, start: str = "") -> list[Any]:
        """Return the name of the new job, the easel, and no question."""
        try:
            recipe = self.recipe(form)
            if start:
                recipe = going_on(recipe, str(self.history.keep(self.history.entry(start).path)))
            view = View(title=_title(form), alt=_title(form))
            if form.kind == "sweep":
                across = form.across, several(form.across, form.across_values)
                down = None
                if form.down != NONE:
                    down = form.down, several(form.down, form.down_values)
                grid = grid_of(recipe, across, down)
                job = self.line.ask(self.studio.sweeping(grid, agreed), view)
            else:
                job = self.line.ask(self.studio.painting(recipe, agreed), view)
        except Exception as error:
            return ["", easel.drawn(View("failed", text=failure(error))), gr.update(visible=False)]
        return [job.id, gr.skip(), gr.update(visible=False)]

    def ask_regions(self, *values: Any) -> list[Any]:
        """Put the drawing of the regions into the line."""
        form = Form.of(values)
        try:
            recipe = self.recipe(replace(form, kind="paint"))
            work = self.studio.seeing_regions(recipe)
            job = self.line.ask(work, View(title="Regions", alt="The regions of the pictures"))
        except Exception as error:
            return ["", easel.drawn(View("failed", text=failure(error)))]
        return [job.id, gr.skip()]

    # --- watching ---------------------------------------------------------------------------------

    def back(self, id: str) -> str:
        """Return the job of a browser that comes back; of one person's page, the one at work."""
        job = self.line.job(id or "")
        if job is None and self.most_pixels is None:
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
        if job := self.line.job(id or ""):
            async for view in views(job, lambda: self.line.place(job)):
                yield view

    def end(self, id: str) -> Any:
        """Ask a job to end."""
        if job := self.line.job(id or ""):
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
        return self._details(event.name)

    def _details(self, name: str) -> list[Any]:
        entries = self.history.entries()
        entry = next((each for each in entries if each.name == name), None)
        cards = easel.cards(entries, name)
        if entry is None:
            return ["", cards, "", gr.update(visible=False), gr.skip(), gr.skip()]
        others = [("the photo", ""), *((e.name, e.name) for e in entries if e.name != name)]
        return [
            *(name, cards, easel.details(entry), gr.update(visible=True)),
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
        return self.take_settings(event.name)

    def take_settings(self, name: str) -> list[Any]:
        """Return the form with the pictures and settings of a picture."""
        try:
            recipe = self.history.entry(name).recipe
        except JaxstyleError as error:
            gr.Warning(str(error))
            return [gr.skip()] * (13 + len(self.controls.fields))
        settings, kind = recipe.settings, _kind(recipe)
        if settings.content_mask:
            gr.Info("Its painted regions are not taken along: paint them again under Regions.")
        height, width = recipe.shape or (None, None)
        return [
            *(gr.update(selected="make"), gr.update(selected=kind), *self.use_kind(kind)[:2]),
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
