"""Color preservation: style transfer that keeps the colors of the content.

Gatys, Bethge, Hertzmann, Shechtman, "Preserving Color in Neural Artistic Style Transfer",
arXiv:1606.05897, describes two methods. The first recolors the style before the transfer by an
affine map of its pixels, x -> A x + b, that gives it the content's mean and covariance:

    b = mean_C - A mean_S               A S A^T = C

The second transfers only the luminance, and restores the content's chroma afterwards.

Everything is computed in float64. Images of one color, gray images and single pixels need no
special treatment.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64

from jaxstyle.images import resize
from jaxstyle.images._rgb_space import decode, encode
from jaxstyle.images.transparency import joined, split

COLOR_MATCHES = ("cholesky", "pca", "symmetric")
"""Methods to choose A, which the covariances do not determine; see `map_between`."""

LUMINANCES = ("rec601", "rec709", "lab")
"""Definitions of luminance; see `luminance`."""

_RIDGE = 1e-5  # added to the diagonal of both covariances, as in the authors' code
_FLAT = 1e-6  # standard deviation below which luminance counts as constant

_LUMA = {"rec601": (0.299, 0.587, 0.114), "rec709": (0.2126, 0.7152, 0.0722)}
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_XYZ /= _XYZ.sum(axis=1, keepdims=True)  # IEC 61966-2-1, scaled so that white is (1, 1, 1)


class Statistics(NamedTuple):
    """Mean and covariance of the colors of an image."""

    mean: Float64[np.ndarray, " n"]
    covariance: Float64[np.ndarray, "n n"]


def match_colors(
    style: Float32[np.ndarray, "hs ws cs"], content: Float32[np.ndarray, "hc wc cc"], method: str
) -> Float32[np.ndarray, "hs ws cs"]:
    """Recolor the style to the content's mean color and covariance, clipped to [0, 1].

    Args:
      style: The image to recolor: RGB, or RGB and alpha.
      content: The image whose colors are matched, likewise.
      method: One of `COLOR_MATCHES`; see `map_between`.

    Raises:
      ValueError: The method is unknown.
    """
    matrix, shift = color_map(style, content, method)
    colors, alpha = split(style)
    return joined(_picture(colors @ matrix.T + shift), alpha)


def color_map(
    style: Float32[np.ndarray, "hs ws cs"], content: Float32[np.ndarray, "hc wc cc"], method: str
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"]]:
    """Return A and b of the map x -> A x + b that matches the style's colors to the content's.

    The method is one of `COLOR_MATCHES`; see `map_between`.
    """
    return map_between(statistics(*split(style)), statistics(*split(content)), method)


def map_between(
    source: Statistics, target: Statistics, method: str, ridge: float = _RIDGE
) -> tuple[Float64[np.ndarray, "n n"], Float64[np.ndarray, " n"]]:
    """Return A and b of the map x -> A x + b from one mean and covariance to another.

    With S and C the covariances of source and target, each plus ``ridge`` I (a gray source would
    have no A otherwise), and ^(1/2) the symmetric square root:

        cholesky    A = L_C L_S^-1, where S = L_S L_S^T and C = L_C L_C^T, lower triangular
        pca         A = C^(1/2) S^(-1/2), the color transfer of Image Analogies (Hertzmann et al.
                    2001, appendix B); the name is that of the authors' code
        symmetric   A = S^(-1/2) (S^(1/2) C S^(1/2))^(1/2) S^(-1/2), which changes colors the
                    least (linear Monge-Kantorovitch map; Pitie & Kokaram 2007)

    Args:
      source: Statistics of the image to recolor.
      target: Statistics to match.
      method: One of `COLOR_MATCHES`.
      ridge: Variance added to all colors of source and target.

    Raises:
      ValueError: The method is unknown.
    """
    if method not in COLOR_MATCHES:
        raise ValueError(f"unknown color match {method!r}: choose from {', '.join(COLOR_MATCHES)}")
    before, after = (each.covariance + ridge * np.eye(len(each.mean)) for each in (source, target))
    if method == "cholesky":
        matrix = np.linalg.cholesky(after) @ np.linalg.inv(np.linalg.cholesky(before))
    elif method == "pca":
        matrix = _root(after) @ np.linalg.inv(_root(before))
    else:
        root = _root(before)
        whiten = np.linalg.inv(root)
        matrix = whiten @ _root(root @ after @ root) @ whiten
    return matrix, target.mean - matrix @ source.mean


def luminance(image: Float32[np.ndarray, "h w 3"], space: str) -> Float32[np.ndarray, "h w"]:
    """Compute the luminance of each pixel, from 0 for black to 1 for white.

    Args:
      image: The image.
      space: One of

        - ``rec601``: luma, 0.299 R + 0.587 G + 0.114 B: the Y of YUV, YIQ and YCbCr, whose chroma
          planes differ only in their coordinates.
        - ``rec709``: luma, 0.2126 R + 0.7152 G + 0.0722 B.
        - ``lab``: L* / 100 of CIELAB, from linear light, white D65; perceptually uniform.

    Raises:
      ValueError: The space is unknown.
    """
    return _lightness(_responses(image, space), space).astype(np.float32)


def with_luminance(
    colors: Float32[np.ndarray, "h w 3"], luminance: Float32[np.ndarray, "h w"], space: str
) -> Float32[np.ndarray, "h w 3"]:
    """Replace the luminance of an image and keep its chroma; the result is clipped to [0, 1].

    In each space, chroma consists of differences of three responses to light (R, G and B, or the
    cube roots of CIELAB), so adding one amount to all three changes the luminance only. Clipping
    of colors outside sRGB changes their luminance. Black as ``colors`` gives a gray image.

    Args:
      colors: The image that provides the chroma.
      luminance: The new luminance in [0, 1].
      space: One of `LUMINANCES`.

    Raises:
      ValueError: The space is unknown.
    """
    responses = _responses(colors, space)
    change = luminance - _lightness(responses, space)
    if space == "lab":
        linear = _cube(responses + change[..., None] / 1.16) @ np.linalg.inv(_XYZ).T
        return _picture(encode(linear))
    return _picture(responses + change[..., None])


def original_colors(
    stylized: Float32[np.ndarray, "h w 3"], content: Float32[np.ndarray, "hc wc 3"], space: str
) -> Float32[np.ndarray, "h w 3"]:
    """Combine the luminance of a result with the chroma of its content.

    The option -original_colors of neural-style, whose YUV is "rec601".

    Args:
      stylized: The result.
      content: The content, resized to the result if their sizes differ.
      space: One of `LUMINANCES`.

    Raises:
      ValueError: The space is unknown.
    """
    chroma = resize(content, *stylized.shape[:2])
    return with_luminance(chroma, luminance(stylized, space), space)


def match_luminance(
    style: Float32[np.ndarray, "hs ws"],
    content: Float32[np.ndarray, "hc wc"],
    style_weights: Float32[np.ndarray, "hs ws"] | None = None,
    content_weights: Float32[np.ndarray, "hc wc"] | None = None,
) -> Float32[np.ndarray, "hs ws"]:
    """Shift and scale the style's luminance to the content's mean and standard deviation.

        L' = (std_C / std_S) (L - mean_S) + mean_C

    as in luminance-only transfer (arXiv:1606.05897). The result is not clipped. A style of constant
    luminance becomes the content's mean. Pixels may have weights, such as their alpha.
    """
    deviations = style - _mean(style, style_weights)
    scale = _deviation(content, content_weights) / max(_deviation(deviations, style_weights), _FLAT)
    return (scale * deviations + _mean(content, content_weights)).astype(np.float32)


def _mean(values: Float[np.ndarray, "h w"], weights: np.ndarray | None) -> np.float64:
    if weights is None:
        return values.mean(dtype=np.float64)
    return np.average(values.astype(np.float64), weights=weights)


def _deviation(values: Float[np.ndarray, "h w"], weights: np.ndarray | None) -> np.float64:
    if weights is None:
        return values.std(dtype=np.float64)
    return np.sqrt(_mean((values - _mean(values, weights)) ** 2, weights))


def _picture(values: Float64[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    return values.clip(0, 1).astype(np.float32)


def statistics(
    image: Float[np.ndarray, "*n c"], weights: Float32[np.ndarray, "*n"] | None = None
) -> Statistics:
    """Compute the mean and covariance of the colors of an image, or of its chroma.

    Args:
      image: The colors of its pixels.
      weights: Weights of the pixels, not necessarily normalized. None or all zeros: equal weights.
    """
    pixels = image.reshape(-1, image.shape[-1]).astype(np.float64)
    shares = np.full(len(pixels), 1 / len(pixels))
    if weights is not None and weights.any():
        shares = weights.ravel() / weights.sum(dtype=np.float64)
    mean = shares @ pixels
    pixels -= mean
    return Statistics(mean, (pixels * shares[:, None]).T @ pixels)


def _root(matrix: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n n"]:
    """Compute the symmetric square root of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(values) @ vectors.T


def _responses(image: Float32[np.ndarray, "h w 3"], space: str) -> Float64[np.ndarray, "h w 3"]:
    """Compute three responses per pixel whose differences are its chroma; equal for gray."""
    if space not in LUMINANCES:
        raise ValueError(f"unknown luminance {space!r}: choose from {', '.join(LUMINANCES)}")
    values = image.astype(np.float64)
    return _cube_root(decode(values) @ _XYZ.T) if space == "lab" else values


def _lightness(responses: Float64[np.ndarray, "h w 3"], space: str) -> Float64[np.ndarray, "h w"]:
    return 1.16 * responses[..., 1] - 0.16 if space == "lab" else responses @ _LUMA[space]


def _cube_root(light: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Compute CIELAB's f: the cube root, or its tangent line for light below (6 / 29)^3."""
    return np.where(light > (6 / 29) ** 3, np.cbrt(light), light * (29 / 6) ** 2 / 3 + 4 / 29)


def _cube(response: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Compute the inverse of CIELAB's f."""
    return np.where(response > 6 / 29, response**3, 3 * (6 / 29) ** 2 * (response - 4 / 29))
