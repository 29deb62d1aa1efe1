"""Reference implementation of VGG-19 in float64, for the conventions of all source files."""

from collections.abc import Callable, Sequence

import numpy as np

# From (row, column) of the 3x3 window to its matrix, input x output; and the bias.
Layer = tuple[Callable[[int, int], np.ndarray], np.ndarray]


def features(x: np.ndarray, layers: Sequence[Layer]) -> list[np.ndarray]:
    """Compute all activations after ReLU from conv1_1's input (zero padding, max pooling)."""
    results = []
    for index, (tap, bias) in enumerate(layers):
        if index in (2, 4, 8, 12):
            height, width = x.shape[0] // 2, x.shape[1] // 2
            x = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1).max((1, 3))
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        total = np.zeros((*x.shape[:2], bias.size)) + bias.reshape(-1).astype(np.float64)
        for row in range(3):
            for column in range(3):
                window = padded[row : row + x.shape[0], column : column + x.shape[1]]
                total += window @ tap(row, column).astype(np.float64)
        x = np.maximum(total, 0)
        results.append(x)
    return results


def features_of_weights(weights, image: np.ndarray) -> list[np.ndarray]:
    """Compute the activations of converted weights for an RGB image in [0, 1]."""
    x = image if weights.channel_order == "RGB" else image[..., ::-1]
    x = (x * weights.scale - np.array(weights.mean)) / np.array(weights.std)
    layers = [
        (lambda row, column, kernel=layer.kernel: kernel[row, column], layer.bias)
        for layer in weights.layers.values()
    ]
    return features(x, layers)


def relative_error(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    assert len(found) == len(expected) == 16
    return max(
        float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, expected, strict=True)
    )
