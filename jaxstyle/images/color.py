"""Color preservation: the colors of the content with the brushwork of the style.

Gatys, Bethge, Hertzmann, Shechtman, "Preserving Color in Neural Artistic Style Transfer",
arXiv:1606.05897, has two ways. Before the transfer, the style is given the content's colors by a
linear map of its pixels, x -> A x + b, such that mean and covariance become the content's:

    b = mean_C - A mean_S               A S A^T = C

Or only the luminance is transferred, and the content's chroma is put back afterwards.

All is computed in float64. Pictures of one color, gray ones and single pixels are no special case.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64

from jaxstyle.images import resize

COLOR_MATCHES = ("cholesky", "pca", "symmetric")
"""Square roots of a covariance, which determine A; `color_map` explains them."""

LUMINANCES = ("rec601", "rec709", "lab")
"""What can count as luminance; `luminance` explains them."""

_RIDGE = 1e-5  # on the diagonal of both covariances, as the authors' code has it
_FLAT = 1e-6  # a standard deviation below which a picture is of one luminance

_LUMA = {"rec601": (0.299, 0.587, 0.114), "rec709": (0.2126, 0.7152, 0.0722)}
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_XYZ /= _XYZ.sum(axis=1, keepdims=True)  # IEC 61966-2-1, relative to white, which becomes (1, 1, 1)


class Statistics(NamedTuple):
    """Of the colors of a picture."""

    mean: Float64[np.ndarray, "3"]
    covariance: Float64[np.ndarray, "3 3"]


def match_colors(
    style: Float32[np.ndarray, "hs ws 3"], content: Float32[np.ndarray, "hc wc 3"], method: str
) -> Float32[np.ndarray, "hs ws 3"]:
    """The style with the content's mean color and covariance, by `color_map`; clipped to [0, 1].

    Raises:
      ValueError: if there is no such method.
    """
    matrix, shift = color_map(style, content, method)
    return _picture(style @ matrix.T + shift)


def color_map(
    style: Float32[np.ndarray, "hs ws 3"], content: Float32[np.ndarray, "hc wc 3"], method: str
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"]]:
    """A and b of the map x -> A x + b that gives the style the content's mean and covariance."""
    return map_between(statistics(style), statistics(content), method)


def map_between(
    source: Statistics, target: Statistics, method: str, ridge: float = _RIDGE
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"]]:
    """A and b of the map x -> A x + b that turns one mean and covariance into another.

    With S and C the covariances of source and target, each with ``ridge`` I added, without which a
    gray source has no A, and ^(1/2) the symmetric square root:

        cholesky    A = L_C L_S^-1, where S = L_S L_S^T and C = L_C L_C^T, lower triangular
        pca         A = C^(1/2) S^(-1/2), the color transfer of Image Analogies (Hertzmann et al.
                    2001, appendix B), under its name in the authors' code
        symmetric   A = S^(-1/2) (S^(1/2) C S^(1/2))^(1/2) S^(-1/2), the one that moves colors the
                    least (linear Monge-Kantorovitch map; Pitie & Kokaram 2007)

    Raises:
      ValueError: if there is no such method.
    """
    if method not in COLOR_MATCHES:
        raise ValueError(f"no color match {method!r}: choose from {', '.join(COLOR_MATCHES)}")
    before, after = (each.covariance + ridge * np.eye(3) for each in (source, target))
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
    """How light each pixel is, from 0 for black to 1 for white.

    rec601: luma, 0.299 R + 0.587 G + 0.114 B: the Y of YUV, YIQ and YCbCr. The chroma planes of
        these three are the same plane in other coordinates, so one choice stands for them all.
    rec709: luma, 0.2126 R + 0.7152 G + 0.0722 B.
    lab: L* / 100 of CIELAB, from linear light, white D65: even steps look even.

    Raises:
      ValueError: if there is no such space.
    """
    return _lightness(_responses(image, space), space).astype(np.float32)


def with_luminance(
    colors: Float32[np.ndarray, "h w 3"], luminance: Float32[np.ndarray, "h w"], space: str
) -> Float32[np.ndarray, "h w 3"]:
    """The chroma of `colors` and the luminance given; clipped to [0, 1].

    In each of these spaces chroma is differences of three responses to light (R, G and B, or the
    cube roots that Lab is made of): luminance changes alone when all three get the same amount
    added. Colors that leave sRGB are clipped, which moves their luminance. Black as `colors` makes
    a gray picture.

    Raises:
      ValueError: if there is no such space.
    """
    responses = _responses(colors, space)
    change = luminance - _lightness(responses, space)
    if space == "lab":
        linear = _cube(responses + change[..., None] / 1.16) @ np.linalg.inv(_XYZ).T
        return _picture(_encode(linear))
    return _picture(responses + change[..., None])


def original_colors(
    stylized: Float32[np.ndarray, "h w 3"], content: Float32[np.ndarray, "hc wc 3"], space: str
) -> Float32[np.ndarray, "h w 3"]:
    """The luminance of a result and the chroma of its content, resized to it where they differ.

    What neural-style calls original colors: "rec601" is its YUV.

    Raises:
      ValueError: if there is no such space.
    """
    chroma = resize(content, *stylized.shape[:2])
    return with_luminance(chroma, luminance(stylized, space), space)


def match_luminance(
    style: Float32[np.ndarray, "hs ws"], content: Float32[np.ndarray, "hc wc"]
) -> Float32[np.ndarray, "hs ws"]:
    """The style's luminance, shifted and scaled to the content's mean and standard deviation.

        L' = (std_C / std_S) (L - mean_S) + mean_C

    so that the style's brush strokes are looked for in the content's range (1606.05897,
    luminance-only transfer). Not clipped. A flat style becomes the content's mean.
    """
    deviations = style - style.mean(dtype=np.float64)
    scale = content.std(dtype=np.float64) / max(deviations.std(), _FLAT)
    return (scale * deviations + content.mean(dtype=np.float64)).astype(np.float32)


def _picture(values: Float64[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    return values.clip(0, 1).astype(np.float32)


def statistics(
    image: Float32[np.ndarray, "h w 3"], weights: Float32[np.ndarray, "h w"] | None = None
) -> Statistics:
    """Mean color and covariance; of pixels that count by ``weights``, if there are any."""
    pixels = image.reshape(-1, 3).astype(np.float64)
    shares = np.full(len(pixels), 1 / len(pixels))
    if weights is not None and weights.any():
        shares = weights.ravel() / weights.sum(dtype=np.float64)
    mean = shares @ pixels
    pixels -= mean
    return Statistics(mean, (pixels * shares[:, None]).T @ pixels)


def _root(matrix: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "3 3"]:
    """The symmetric square root of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(values) @ vectors.T


def _responses(image: Float32[np.ndarray, "h w 3"], space: str) -> Float64[np.ndarray, "h w 3"]:
    """The three numbers of a pixel whose differences are its chroma; equal where it is gray."""
    if space not in LUMINANCES:
        raise ValueError(f"no luminance {space!r}: choose from {', '.join(LUMINANCES)}")
    values = image.astype(np.float64)
    return _cube_root(_decode(values) @ _XYZ.T) if space == "lab" else values


def _lightness(responses: Float64[np.ndarray, "h w 3"], space: str) -> Float64[np.ndarray, "h w"]:
    return 1.16 * responses[..., 1] - 0.16 if space == "lab" else responses @ _LUMA[space]


def _decode(encoded: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """sRGB values to linear light (IEC 61966-2-1)."""
    curve = ((np.maximum(encoded, 0) + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, curve)


def _encode(linear: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Linear light to sRGB values; below black goes on as a line."""
    curve = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve)


def _cube_root(light: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """CIELAB's f: the cube root, and its tangent line where light is less than (6 / 29)^3."""
    return np.where(light > (6 / 29) ** 3, np.cbrt(light), light * (29 / 6) ** 2 / 3 + 4 / 29)


def _cube(response: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """The inverse of f."""
    return np.where(response > 6 / 29, response**3, 3 * (6 / 29) ** 2 * (response - 4 / 29))
