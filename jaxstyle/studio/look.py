"""The look of the page: its theme, its style sheet, and the few lines of JavaScript it needs."""

from pathlib import Path

from gradio import themes

STYLE_SHEET = Path(__file__).with_name("look.css")

CHOOSE = """element.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-name]");
  if (chosen) trigger("select", { name: chosen.dataset.name });
});"""
"""Tells which button with a name was pressed."""

CONFIRM = """(name) => (confirm(`Delete ${name}?`) ? name : "")"""
"""Asks before a picture is deleted."""

THEME_SWITCH = """const kept = localStorage.getItem("jaxstyle-theme");
if (kept) document.body.classList.toggle("dark", kept === "dark");
element.querySelector("button").addEventListener("click", () => {
  const dark = document.body.classList.toggle("dark");
  localStorage.setItem("jaxstyle-theme", dark ? "dark" : "light");
});"""
"""Switches between light and dark, and remembers it."""

TO_EASEL = """(...values) => {
  const easel = document.querySelector("#easel");
  if (easel.getBoundingClientRect().top > window.innerHeight - 200) {
    easel.scrollIntoView({ behavior: "smooth" });
  }
  return values;
}"""
"""Brings the picture into sight when something is asked for, as on a phone."""

SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

CLAY = themes.Color(
    *("#faf3ef", "#f3e2d9", "#e7c5b4", "#d8a189", "#c67f61", "#b3633f", "#994f30", "#7b3f27"),
    *("#5f321f", "#472617", "#2e180e"),
    name="clay",
)
PAPER = themes.Color(
    *("#fbfaf7", "#f4f2ec", "#e6e2d8", "#d2ccbe", "#a9a294", "#7d776b", "#5d584e", "#45413a"),
    *("#2e2b26", "#211f1b", "#171512"),
    name="paper",
)


def theme() -> themes.Base:
    """Return the theme: ink on paper, and one color of clay; fonts of the system alone."""
    base = themes.Base(
        primary_hue=CLAY, secondary_hue=CLAY, neutral_hue=PAPER, font=SANS, font_mono=MONO,
        radius_size=themes.sizes.radius_md, spacing_size=themes.sizes.spacing_md,
        text_size=themes.sizes.text_md,
    )  # fmt: skip
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_800",
        body_text_color_dark="*neutral_200",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_label_border_width="0px",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_200",
        block_title_text_weight="600",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        block_padding="0",
        panel_border_width="0px",
        input_background_fill="white",
        input_background_fill_dark="*neutral_900",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_width="1px",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_hover="*neutral_200",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        slider_color="*primary_600",
        checkbox_background_color_selected="*primary_600",
        checkbox_background_color_selected_dark="*primary_600",
    )
