"""Mixed styles: the large forms of one picture, in the fine texture of another.

Gatys et al. 2017, section 6.
"""

from collections.abc import Sequence
from dataclasses import replace

from jaxstyle import images
from jaxstyle.errors import SettingError
from jaxstyle.execution.plan import Image, Scale, require_side, style_size
from jaxstyle.images import Picture
from jaxstyle.network import vgg, weights
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks, optimize
from jaxstyle.runs.result import Progress, Result
from jaxstyle.runs.run_checkpoint import RunCheckpoint
from jaxstyle.settings import ONE_SCALE, Settings


def with_fine_texture(
    loaded: weights.Loaded,
    styles: Sequence[Image],
    scale: Scale,
    settings: Settings,
    hooks: Hooks,
    saved: RunCheckpoint,
) -> list[Image]:
    """Return the style pictures with their fine texture replaced by that of another picture.

    Optimization starts from the (coarse) style picture, and matches the Gram matrices of
    ``settings.fine_style`` in the layers up to relu2_1, with no content loss.

    Args:
      loaded: weights of the network.
      styles: the style pictures.
      scale: the finest scale of the run, for which the pictures are made.
      settings: settings of the run.
      hooks: those of the run; progress and checkpoints are marked as ``preparing``.
      saved: checkpoint of the run; pictures that it has already are not made again.

    Raises:
      SettingError: no style layer is at or below relu2_1.
      PictureSizeError: the fine style picture is too small.
    """
    fine = images.read(settings.fine_style).pixels
    shallow = {
        layer: share
        for layer, share in settings.style_layers.items()
        if vgg.LAYERS.index(layer) <= vgg.LAYERS.index("relu2_1")
    }
    if not shallow:
        raise SettingError("fine_style", "needs a style layer up to relu2_1")
    needed = vgg.smallest_side(shallow)
    require_side("the fine style", fine.shape[:2], needed, remedy="use a larger one")

    def report(progress: Progress, reached: RunCheckpoint) -> None:
        kept = replace(reached, mixtures=mixtures, preparing=True)
        hooks.report(replace(progress, preparing=True), kept)

    mixtures = list(saved.mixtures)
    begun = saved if saved.preparing else None
    for index, style in enumerate(styles[len(mixtures) :], start=len(mixtures)):
        mixing = replace(
            settings,
            fine_style="",
            size=max(style_size(style, index, scale, settings)),
            size_rule="longest",
            smallest_size=ONE_SCALE,
            content_weight=0.0,
            last_style_loss="none",
            style_layers=shallow,
            style_scale=(1.0,),
            style_blend=(),
            init="content",
            init_noise=0.0,
            padding="reflect" if settings.padding == "circular" else settings.padding,
            pyramid_levels=1 if settings.padding == "circular" else settings.pyramid_levels,
            strength=0.5,
            color_match="none",
            original_colors=False,
            style_colors=False,
            content_mask=(),
            style_mask=(),
            auto_masks=0,
            photorealism_weight=(0.0,),
            smooth_radius=0,
            refine=False,
        )
        inputs = Inputs(Picture.of(style), [fine], mixing)
        (mixed,) = optimize(loaded, [inputs], Hooks(report, hooks.pause), begun)
        assert isinstance(mixed, Result)
        mixtures.append(Picture(mixed.image, mixed.alpha).pixels)
        begun = None
    return mixtures
