"""Floating-point operations of a step, computed from the shapes of the feature maps."""

from collections.abc import Iterator, Sequence

from jaxstyle.network import vgg
from jaxstyle.settings import Settings


def step_flops(
    height: int,
    width: int,
    settings: Settings,
    channels: Sequence[int] = vgg.CHANNELS_PER_BLOCK,
) -> float:
    """Return the floating-point operations of one evaluation of the loss and its gradient.

    A multiply-add counts as two operations. Counted are the 3x3 convolutions up to the deepest
    layer in use, forward and backward, always as if by direct convolution; and the Gram or
    covariance matrices.

    Args:
      height: height of the image in pixels.
      width: width of the image in pixels.
      settings: settings of the run.
      channels: number of channels of each of the five blocks of the network.

    >>> round(step_flops(256, 256, Settings()) / 1e9)
    99
    """
    products = settings.style_weights() if settings.style_loss != "mean-std" else {}
    total = 0
    for layer, fan_in, fan_out, pixels in maps(height, width, settings, channels):
        if layer.startswith("conv"):
            total += 2 * (2 * 9 * fan_in * fan_out * pixels)
        if layer in products:
            total += 2 * (2 * fan_out**2 * pixels)
    return float(total)


def maps(
    height: int, width: int, settings: Settings, channels: Sequence[int]
) -> Iterator[tuple[str, int, int, int]]:
    """Yield the layers up to the deepest one in use.

    Each comes as (layer name, input channels, output channels, number of positions of its map).
    """
    depth = max((vgg.LAYERS.index(layer) + 1 for layer in settings.layers()), default=0)
    up = vgg.rounds_up(settings.pooling, settings.rounding)
    fan_in = fan_out = 3
    for layer in vgg.LAYERS[:depth]:
        if layer.startswith("pool"):
            height, width = (height + up) // 2, (width + up) // 2
        elif layer.startswith("conv"):
            fan_in, fan_out = fan_out, channels[int(layer[4]) - 1]
        yield layer, fan_in, fan_out, height * width
