"""Exact histogram matching.

Gonzalez & Woods, "Digital Image Processing", section 3.3: with P and R the cumulative distributions
of the picture and of the reference, each value v of the picture becomes

    R^-1(P(v))

in each channel, with linear interpolation between the values of the reference. The distributions
are those of the values themselves, without bins.
"""

import numpy as np
from jaxtyping import Float32, Float64


def match_histograms(
    picture: Float32[np.ndarray, "h w 3"], reference: Float32[np.ndarray, "hr wr 3"]
) -> Float32[np.ndarray, "h w 3"]:
    """Transfer the histogram of each channel from the reference to the picture.

    Equal values stay equal, so a picture never gets more distinct values than it has: a picture
    of a single color gets the maximum of each channel of the reference.
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
