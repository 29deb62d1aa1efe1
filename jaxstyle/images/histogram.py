"""Exact histogram matching.

Gonzalez & Woods, "Digital Image Processing", section 3.3: with P and R the cumulative distributions
of the picture and of the reference, each value v of the picture becomes

    R^-1(P(v))

in each channel, with linear interpolation between the values of the reference. The distributions
are those of the values themselves, without bins.
"""

import numpy as np
from jaxtyping import Float, Float32, Float64

from jaxstyle.images.transparency import split


def match_histograms(
    picture: Float32[np.ndarray, "h w c"], reference: Float32[np.ndarray, "hr wr cr"]
) -> Float32[np.ndarray, "h w 3"]:
    """Transfer the histogram of each channel from the reference to the picture.

    A fourth channel of either is alpha, by which its pixels are weighted.

    Equal values stay equal, so a picture never gets more distinct values than it has: a picture
    of a single color gets the maximum of each channel of the reference.
    """
    (colors, alpha), (wanted, weights) = split(picture), split(reference)
    channels = [_matched(colors[..., c], wanted[..., c], alpha, weights) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _matched(
    values: Float32[np.ndarray, "h w"],
    reference: Float32[np.ndarray, "hr wr"],
    value_weights: Float32[np.ndarray, "h w"] | None,
    reference_weights: Float32[np.ndarray, "hr wr"] | None,
) -> Float[np.ndarray, "h w"]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    if value_weights is not None:
        counts = np.bincount(places.ravel(), value_weights.ravel())
    levels, level_counts = _counted(reference, reference_weights)
    matched = np.interp(_shares(counts), _shares(level_counts), levels)
    return matched[places.reshape(values.shape)]


def _counted(
    values: Float32[np.ndarray, "h w"], weights: Float32[np.ndarray, "h w"] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct values of a weight above 0, and their weights."""
    if weights is None:
        return np.unique(values, return_counts=True)
    visible = weights > 0
    levels, places = np.unique(values[visible], return_inverse=True)
    return levels, np.bincount(places, weights[visible])


def _shares(counts: np.ndarray) -> Float64[np.ndarray, " n"]:
    return np.cumsum(counts) / counts.sum()
