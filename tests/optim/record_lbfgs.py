"""Records what torch.optim.LBFGS does, for ``test_lbfgs.py``; needs torch.

    python -m tests.optim.record_lbfgs

Each problem is written with operators alone, so that torch and JAX run the same code on their own
arrays.
"""

import json
from collections.abc import Callable
from functools import reduce
from itertools import product
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

RECORDED = Path(__file__).with_name("lbfgs_recorded.json")


class Problem(NamedTuple):
    """loss(x, *constants), where to start, and with what settings."""

    loss: Callable[..., Any]
    start: np.ndarray
    constants: tuple[np.ndarray, ...]
    rate: float
    history: int
    steps: int


def quadratic(x, matrix):
    return x @ matrix @ x / 2


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def picture(image, first, second, content, style):
    """Gatys's loss on a random network: features near content's, Gram matrix near style's."""
    found = features(image, first, second)
    return ((found - content) ** 2).mean() + 10 * ((gram(found) - style) ** 2).mean()


def features(image, *kernels):
    """positions x channels, after 3x3 convolutions and ReLU."""
    for kernel in kernels:
        height, width = image.shape[0] - 2, image.shape[1] - 2
        shifts = product(range(3), range(3))
        terms = (image[i : i + height, j : j + width] @ kernel[i, j] for i, j in shifts)
        image = reduce(add, terms)
        image = (image + abs(image)) / 2
    return image.reshape(-1, image.shape[-1])


def gram(found):
    return found.T @ found / found.shape[0]


def _problems() -> dict[str, Problem]:
    rng = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    matrix = rotation @ np.diag(np.geomspace(1e-1, 1e3, 16)) @ rotation.T
    kernels = rng.normal(size=(3, 3, 3, 6)) / 3, rng.normal(size=(3, 3, 6, 8)) / 5
    content, style, noise = (
        rng.uniform(size=shape) for shape in ((9, 8, 3), (10, 9, 3), (9, 8, 3))
    )
    targets = features(content, *kernels), gram(features(style, *kernels))
    return {
        "quadratic": Problem(quadratic, rng.normal(size=16), (matrix,), 1.0, 100, 80),
        "rosenbrock": Problem(rosenbrock, np.tile([-1.2, 1.0], 4), (), 0.3, 10, 80),
        "picture": Problem(picture, noise, (*kernels, *targets), 0.7, 6, 80),
    }


PROBLEMS = _problems()


def torch_run(problem: Problem, dtype: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Losses before each step, and the points after it."""
    import torch

    number = getattr(torch, dtype)
    x = torch.tensor(problem.start, dtype=number, requires_grad=True)
    constants = [torch.tensor(array, dtype=number) for array in problem.constants]
    optimizer = torch.optim.LBFGS(
        [x],
        lr=problem.rate,
        history_size=problem.history,
        max_iter=1,
        tolerance_grad=-1,  # as neural-style-pt: never stop early
        tolerance_change=-1,
    )

    def closure():
        optimizer.zero_grad()
        loss = problem.loss(x, *constants)
        loss.backward()
        return loss

    losses, points = [], []
    for _ in range(steps):
        losses.append(optimizer.step(closure).item())
        points.append(x.detach().numpy().copy())
    return np.array(losses), np.stack(points)


def main() -> None:
    lines = []
    for name, problem in PROBLEMS.items():
        for dtype, steps in (("float32", 20), ("float64", problem.steps)):
            losses, points = torch_run(problem, dtype, steps)
            arrays = {"losses": losses, "first": points[0], "last": points[-1]}
            record = {key: array.ravel().tolist() for key, array in arrays.items()}
            lines.append(f"{json.dumps(f'{name} {dtype}')}: {json.dumps(record)}")
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
