"""Recognize the original VGG-19 of Simonyan and Zisserman by three filters of its first layer.

Most VGG-19 files derive from one Caffe model, but their exporters differ in the order of the input
channels, the order of height and width, and whether the filters were rescaled. The file formats do
not record this, so it is detected from the filters: two oriented edges and one color-opponent
filter of conv1_1 determine all three, even after fine-tuning or rescaling.

This matters for imagenet-vgg-verydeep-19.mat. MatConvNet documents its filters as width x height
(vl_nnconv: "FW x FH x FC x K"), and many readers transpose them, yet the published file holds
height x width: up to one factor per filter, its conv1_1 equals that of the normalized Caffe model
to 3e-8 as stored, and differs by 0.6 when transposed.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32

ChannelOrder = Literal["RGB", "BGR"]

# Mean color of ImageNet, which Caffe's VGG models subtract from pixels in 0..255.
MEAN_RGB = (123.68, 116.779, 103.939)
LICENCE = (
    "VGG-19 by K. Simonyan and A. Zisserman, Visual Geometry Group, University of Oxford, CC BY 4.0"
)

# Filters of conv1_1 by output channel, as height x width x RGB, rounded to three decimals.
_FILTERS = {
    1: [  # blue against red
        [[-0.084, 0.034, 0.096], [-0.079, 0.053, 0.134], [-0.116, -0.007, 0.065]],
        [[-0.080, 0.057, 0.134], [-0.062, 0.089, 0.185], [-0.134, -0.007, 0.080]],
        [[-0.078, 0.039, 0.101], [-0.071, 0.060, 0.141], [-0.115, -0.006, 0.066]],
    ],
    62: [  # edge: dark at the top right, bright at the bottom left
        [[-0.038, -0.040, -0.051], [-0.190, -0.205, -0.165], [-0.358, -0.392, -0.299]],
        [[0.318, 0.344, 0.284], [0.259, 0.271, 0.258], [-0.231, -0.254, -0.198]],
        [[0.201, 0.225, 0.146], [0.190, 0.203, 0.163], [-0.138, -0.156, -0.134]],
    ],
    63: [  # a bright bar that enters from the left and ends before the right border
        [[0.047, 0.040, -0.003], [-0.019, -0.057, -0.070], [-0.280, -0.346, -0.283]],
        [[0.422, 0.440, 0.359], [0.423, 0.408, 0.359], [-0.192, -0.255, -0.215]],
        [[0.098, 0.102, 0.050], [0.078, 0.052, 0.028], [-0.266, -0.326, -0.271]],
    ],
}
# Filters match above this cosine similarity. It is 1.000 for the same filters; transposed or in the
# other channel order, the lowest of the three is at most 0.68.
_SAME = 0.9


@dataclass(frozen=True)
class StoredForm:
    """The form in which a file stores the filters of the original VGG-19.

    Attributes:
        channel_order: Channel order of the input of conv1_1.
        transposed: Kernels are stored as width x height.
        rescaled: Filters differ in magnitude from the original ones: the network is normalized.
    """

    channel_order: ChannelOrder
    transposed: bool
    rescaled: bool


def recognize(kernel: Float32[np.ndarray, "3 3 3 64"]) -> StoredForm | None:
    """Recognize the original VGG-19 by the kernel of conv1_1; return None for other networks."""
    reference = np.array(list(_FILTERS.values())).transpose(1, 2, 3, 0)
    found = kernel[:, :, :, list(_FILTERS)].astype(np.float64)
    for transposed in (False, True):
        hwio = found.transpose(1, 0, 2, 3) if transposed else found
        for order in ("RGB", "BGR"):
            rgb = hwio if order == "RGB" else hwio[:, :, ::-1]
            if _cosines(rgb, reference).min() > _SAME:
                scales = np.sum(rgb * reference, (0, 1, 2)) / np.sum(reference**2, (0, 1, 2))
                return StoredForm(order, transposed, bool(np.abs(scales - 1).max() > 0.1))
    return None


def caffe_mean(order: ChannelOrder) -> tuple[float, float, float]:
    """Return the mean that Caffe's VGG models subtract from pixels in 0..255, in this order."""
    red, green, blue = MEAN_RGB
    return (red, green, blue) if order == "RGB" else (blue, green, red)


def decimal(value: float | np.floating) -> float:
    """Return the shortest decimal that rounds to this float32: 103.939, not 103.93900299072266."""
    with np.errstate(over="ignore"):  # beyond its range, infinite: refused with the other values
        return float(str(np.float32(value)))


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # One cosine per filter; zero if all its weights are zero.
    norms = np.sqrt(np.sum(a**2, (0, 1, 2)) * np.sum(b**2, (0, 1, 2)))
    return np.sum(a * b, (0, 1, 2)) / np.maximum(norms, 1e-30)
