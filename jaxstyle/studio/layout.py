"""The layout: what is on the page."""

from typing import Any

import gradio as gr
from gradio.components.image_editor import AcceptBlobs

from jaxstyle.studio import easel, examples, regions
from jaxstyle.studio.controls import Controls, sweepable
from jaxstyle.studio.form import MOST_STYLES, NONE
from jaxstyle.studio.look import CHOOSE, THEME_SWITCH


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


class Layout:
    """What is on the page: an attribute for each field and button, and for what browsers keep.

    To be made inside the page's ``gr.Blocks``.
    """

    def __init__(self) -> None:
        self.job = gr.BrowserState("", storage_key="jaxstyle-job")
        self.seeing = gr.State("")
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
            self.go_on = gr.Button("Go on", elem_id="on", interactive=False, min_width=90)
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
        editor = gr.ImageEditor(
            label=label, elem_id=id, type="pil", sources=(), transforms=(), layers=False,
            brush=gr.Brush(
                colors=[(color, regions.OPACITY) for color in regions.BRUSHES],
                default_color=(regions.BRUSHES[0], regions.OPACITY),
                color_mode="fixed", default_size=24,
            ),
            height=430, visible=visible, buttons=[], min_width=300,
        )  # fmt: skip
        accept = editor.accept_blobs

        def accept_few(data: AcceptBlobs) -> None:
            """Accept what was painted; a request can name any layer, and there is only one."""
            if str(data.data["index"]) in ("", "null", "None", "0"):
                accept(data)

        accept_few._is_server_fn = True  # type: ignore[attr-defined]
        editor.accept_blobs = accept_few
        return editor

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
