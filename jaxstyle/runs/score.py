"""Scoring: the losses of a given picture under the objective of a preset."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxstyle import images
from jaxstyle.errors import ImageError, SettingError, printable
from jaxstyle.execution import plan
from jaxstyle.execution.choice import choose_for_score
from jaxstyle.execution.compilation import usual_rules
from jaxstyle.execution.factories import in_float64, network_of
from jaxstyle.execution.inputs import inputs_of
from jaxstyle.execution.plan import Scale
from jaxstyle.guidance.masks import everywhere
from jaxstyle.images import sizes
from jaxstyle.images.transparency import LEAST_VISIBLE, joined, split
from jaxstyle.losses.joint import JOINT
from jaxstyle.network import vgg, weights
from jaxstyle.runs.preprocessing import as_measured, recolored
from jaxstyle.runs.regions import regions_of
from jaxstyle.runs.stylize import Source, read_styles
from jaxstyle.settings import Settings, resolve
from jaxstyle.settings.effect import check_effects, is_record

Image = Float[np.ndarray, "_ _ _"]

OF_MAKING = (
    *("steps", "smallest_size", "scale_factor", "original_colors", "style_colors"),
    *("init", "init_noise", "noise", "noise_level", "seed", "optimizer"),
    *("learning_rate", "learning_rate_decay", "schedule", "pyramid_levels"),
    *("opponent_colors", "betas", "epsilon", "momentum", "history", "clamp", "content_factors"),
    *("smooth_radius", "smooth_edge", "refine"),
    *("carry", "average", "keep_best", "tolerance", "normalize_gradients", "shard"),
    "last_style_loss",
)
"""Settings that affect how a picture is made, but not its losses."""


@dataclass(frozen=True)
class Score:
    """The losses of a picture.

    Attributes:
      preset: name of the preset that defines the objective.
      total: sum of the terms.
      terms: weighted losses by name, such as "content/relu4_2", "style/relu1_1" or "tv".
      notes: remarks about pictures, masks and settings, for the user.
    """

    preset: str
    total: float
    terms: dict[str, float]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the score as plain values for JSON."""
        return {"preset": self.preset, "total": self.total, "terms": self.terms}


@usual_rules()
def score(
    image: Source,
    content: Source | None,
    style: Source | Sequence[Source],
    *,
    size: int | None = None,
    weights_file: str | os.PathLike | weights.Loaded | None = None,
    **settings: Any,
) -> Score:
    """Compute the losses of a picture, made by any program, under the objective of a preset.

    The computation is in float32, or in float64 if ``jax_enable_x64`` is set. In float64, pixels of
    8-bit and 16-bit pictures that need no resizing are exact.

    Args:
      image: picture to score: a path, a PIL image or an array (see ``jaxstyle.images.read``).
      content: content picture; may be None if no loss and no color depends on it.
      style: one or several style pictures.
      size: longest side to which all pictures are resized first. If None, the image and the style
        pictures keep their sizes, and the content is resized to the size of the image.
      weights_file: as in ``jaxstyle.stylize``.
      **settings: as in ``jaxstyle.stylize``.

    Raises:
      SettingError, ImageError, WeightsError, PictureSizeError: the input is not usable.
    """
    given = settings if size is None else {**settings, "size": size}
    chosen = resolve(**given)
    if content is None and _depends_on_content(chosen):
        raise SettingError("content", "is needed: the losses or the colors depend on it")
    if chosen.fine_style:
        raise SettingError("fine_style", "cannot be scored: a run prepares that style picture")
    notes: list[str] = []
    picture = images.read(image)
    photo = picture if content is None else images.read(content)
    notes += [*picture.notes, *photo.notes]
    styles = read_styles(style, notes.extend)
    notes += check_given(given, chosen, len(styles))
    loaded = weights.loaded(weights_file)
    pixels = picture.pixels, photo.pixels
    scored = score_pictures(loaded, *pixels, styles, chosen, resized=size is not None)
    return replace(scored, notes=tuple(dict.fromkeys(map(printable, [*notes, *scored.notes]))))


def _depends_on_content(settings: Settings) -> bool:
    """Return whether a loss, the regions or the colors of the styles are found from the content."""
    style = JOINT.get(settings.style_loss)
    searched = style is not None and style.found is not None
    found_in_it = settings.auto_masks > 0 or settings.color_match != "none"
    losses = bool(settings.content_weights()) or settings.photorealistic
    return losses or searched or found_in_it


def check_given(given: Iterable[str], settings: Settings, styles: int) -> list[str]:
    """Return notes about the settings that were given and have no effect on a score.

    Args:
      given: their names.
      settings: all settings.
      styles: number of style pictures.

    Raises:
      SettingError: one is about how a picture is made, or contradicts the others.
    """
    names = set(given)
    if is_record(names):
        return []
    for name in filter(names.__contains__, OF_MAKING):
        raise SettingError(name, "has no effect on a score: leave it out")
    if "size_rule" in names and "size" not in names:
        raise SettingError("size_rule", "has no effect on a score without a size: leave it out")
    return [f"{name} {problem}" for name, problem in check_effects([settings], names, styles)]


def score_pictures(
    loaded: weights.Loaded,
    image: Image,
    content: Image,
    styles: Sequence[Image],
    settings: Settings,
    *,
    resized: bool,
) -> Score:
    """Compute the losses of decoded images.

    Args:
      loaded: weights of the network.
      image: pixels of the picture to score, RGB, or RGB and alpha.
      content: pixels of the content picture, resized to the size of the image.
      styles: pixels of the style pictures.
      settings: settings that define the objective.
      resized: whether to resize all pictures to the size of the settings first.
    """
    if settings.precision == "auto":
        settings = replace(settings, precision="float64" if in_float64() else "float32")
    plan.check_counts(styles, settings)
    height, width = image.shape[:2]
    if resized:
        scale = Scale(
            *sizes.fit(height, width, settings.size, plan.rule_of(settings)), settings.size, 0
        )
        style_sizes = [plan.style_size(s, i, scale, settings) for i, s in enumerate(styles)]
    else:
        scale = Scale(height, width, max(height, width), 0)
        stretched = settings.style_fit == "stretch"
        style_sizes = [(height, width) if stretched else style.shape[:2] for style in styles]
    every = [("the image", scale[:2]), *(("a style picture", size) for size in style_sizes)]
    for name, sides in every:
        plan.require_side(name, sides, vgg.smallest_side(settings.layers()))
    photo, paintings = recolored(content, styles, settings)
    pictures = [_at(p, s, settings) for p, s in zip(paintings, style_sizes, strict=True)]
    measured, alpha = split(_at(as_measured(image, settings), scale[:2], settings))
    # By default the tensor cores of a GPU round float32 to a ten-bit mantissa.
    with jax.default_matmul_precision("highest"):
        network = network_of(loaded, settings)
        regions = regions_of(loaded, content, styles, settings)
        content = _seen_through(_at(photo, scale[:2], settings), alpha)
        if alpha is not None:
            regions = regions or everywhere(len(styles))
        strategy = choose_for_score(scale, style_sizes, settings)
        inputs = inputs_of(network, content, pictures, settings, regions)
        scored = strategy.begun(strategy.objective([inputs]), [measured])
        _, terms = strategy.losses(scored, measured)
    values = {
        name: float(terms[name]) for name in scored.terms if name != "tv" or settings.tv_weight
    }
    notes = regions.notes if regions else ()
    return Score(settings.preset, sum(values.values()), values, notes)


def _seen_through(content: Image, alpha: np.ndarray | None) -> Image:
    """Return the content with the alpha of the scored image too: what it hides does not count."""
    if alpha is None:
        return content
    colors, own = split(content)
    both = alpha if own is None else np.minimum(alpha, own)
    if both.max() < LEAST_VISIBLE:
        raise ImageError("where the image is visible, the content is fully transparent")
    return joined(colors, both)


def _at(picture: Image, size: tuple[int, int], settings: Settings) -> Image:
    """Return a picture resized; in float64, with exact values if no resizing was needed."""
    resized = images.resize(picture, *size, settings.resampling)
    if settings.precision != "float64":
        return resized
    exact = resized.astype(np.float64)
    steps = np.rint(exact * 65535)  # 65535 is 257 times 255: right for 8 and 16 bits
    from_file = np.array_equal((steps / 65535).astype(np.float32), resized)
    return steps / 65535 if from_file else exact
