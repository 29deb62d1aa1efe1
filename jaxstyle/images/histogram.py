"""Histogram matching: a picture with the colors of another as often as it has them.

Gonzalez & Woods, "Digital Image Processing", section 3.3: with P and R the shares of pixels that
are at most of a value, in the picture and in the reference, each value v of the picture becomes

    R^-1(P(v))

channel by channel, between the values of the reference by linear interpolation. Exact: from the
values themselves, with no bins.
"""

import numpy as np
from jaxtyping import Float32, Float64


def match_histograms(
    picture: Float32[np.ndarray, "h w 3"], reference: Float32[np.ndarray, "hr wr 3"]
) -> Float32[np.ndarray, "h w 3"]:
    """The picture with the reference's histogram of each channel.

    Pixels that are equal stay equal, so a picture of few values gets as few: one of a single color
    gets the reference's highest of each channel.
    """
    channels = [_matched(picture[..., c], reference[..., c]) for c in range(picture.shape[-1])]
    return np.stack(channels, axis=-1).astype(np.float32)


def _matched(values: Float32[np.ndarray, "h w"], reference: Float32[np.ndarray, "hr wr"]):
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    levels, level_counts = np.unique(reference, return_counts=True)
    matched = np.interp(_shares(counts), _shares(level_counts), levels)
    return matched[places.reshape(values.shape)]


def _shares(counts: np.ndarray) -> Float64[np.ndarray, " n"]:
    return np.cumsum(counts) / counts.sum()
