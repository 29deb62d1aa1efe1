"""The form: what the fields of the page have, and what it asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder, is_in_or_equal

from jaxstyle import images
from jaxstyle.errors import ImageError, UsageError
from jaxstyle.machine.files import temporary_name
from jaxstyle.runs.recipe import Recipe
from jaxstyle.settings import resolve
from jaxstyle.studio import regions
from jaxstyle.studio.controls import given_of, parsed, several
from jaxstyle.studio.history import History
from jaxstyle.studio.work import Grid, grid_of

MOST_STYLES = 4
"""Style pictures that can be painted on."""

NONE = "none"
"""Of a sweep over one setting, what there is instead of the other."""

NO_PICTURE = "give a photo: drop one, or choose an example"
NO_STYLE = "give a style picture: drop one, or choose an example"


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


@dataclass(frozen=True)
class Reader:
    """Reads forms; the pictures they name are kept in the history's folder.

    Attributes:
      history: the folder.
      names: settings that have a field, in their order.
      most_pixels: pixels of an uploaded picture, at most; None for as many as memory allows.
    """

    history: History
    names: Sequence[str]
    most_pixels: int | None = None

    def check(self, path: str) -> Path:
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
        given = given_of(form.preset, self.names, form.values)
        if form.shares and len(form.styles) > 1:
            given["style_blend"] = parsed("style_blend", form.shares)
        styles = [self.history.keep(self.check(path)) for path, _ in form.styles]
        if form.kind == "texture":
            if form.shape:
                given.pop("size", None)
            return Recipe(
                "", tuple(map(str, styles)), resolve(**given),
                shape=form.shape, periodic=form.periodic,
            )  # fmt: skip
        assert form.photo
        photo = self.history.keep(self.check(form.photo))
        given |= self._masks(form, photo, styles)
        full_size = form.kind == "photo" and form.full_size
        return Recipe(str(photo), tuple(map(str, styles)), resolve(**given), full_size=full_size)

    def _masks(self, form: Form, photo: Path, styles: Sequence[Path]) -> dict[str, Any]:
        """Return the settings for what was painted, or for regions to be found."""
        shown = [form.photo, *(path for path, _ in form.styles or ())]
        paints: list[Any] = []
        for editor, before, now in zip_longest(form.paints, form.painted_on, shown):
            paint = regions.painted(editor)
            if paint is not None and before != now:
                raise UsageError(
                    "regions were painted on another picture: open Regions to paint on this one"
                )
            paints.append(paint)
        paints = paints[: len(shown)]
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

    def grid(self, form: Form) -> Grid:
        """Return the grid that the form asks for.

        Raises:
          UsageError, SettingError, ImageError: as of `recipe`, or the grid makes no sense.
        """
        across, down = (form.across, several(form.across, form.across_values)), None
        if form.down != NONE:
            down = form.down, several(form.down, form.down_values)
        return grid_of(self.recipe(form), across, down)
