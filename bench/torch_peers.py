"""Neural style transfer in PyTorch, written from the published formulas: what jaxstyle is measured
against. Shares no code with it, and is imported only where PyTorch is wanted.

    L(y) = mean (F - P)^2 at relu4_2 + 1e5 sum over relu1_1 ... relu5_1 of mean (G - A)^2,
    G = F F^T / (C H W)

The image y is what the network sees: pixels in 0..255 with the mean color taken away, as in
neural-style-pt, so that its learning rates and L-BFGS's first step mean what they do there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from convert_weights.weights_file import Weights

CONTENT = "conv4_2"
STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
STYLE_WEIGHT = 1e5
WHITE = 255.0

Optimizer = Literal["adam", "lbfgs"]


class Objective(nn.Module):
    """The loss of a batch of images, the sum of each one's.

    Args:
      content, style: height x width x 3, sRGB in [0, 1].
      expert: tensors are channels-last, and kernels and maps bfloat16; without it, NCHW float32.
    """

    def __init__(
        self, weights: Weights, content: np.ndarray, style: np.ndarray, device: str, expert: bool
    ):
        super().__init__()
        self.device, self.expert = torch.device(device), expert
        self.layout = torch.channels_last if expert else torch.contiguous_format
        self.weights, self.names = weights, list(weights.layers)
        self.names = self.names[: self.names.index(STYLE[-1]) + 1]
        for name in self.names:
            kernel, bias = self.convolution(name)
            self.register_buffer(f"{name}_kernel", kernel)
            self.register_buffer(f"{name}_bias", bias)
        with torch.no_grad():
            self.content = self.features(self.pixels(content))[CONTENT].float()
            maps = self.features(self.pixels(style))
            self.grams = {name: gram(maps[name]) for name in STYLE}

    def convolution(self, name: str) -> tuple[Tensor, Tensor]:
        """Kernel, output x input x 3 x 3, and bias; the first one's for pixels in 0..255."""
        layer = self.weights.layers[name]
        kernel = layer.kernel
        if name == self.names[0]:
            gain = self.weights.scale / WHITE / np.asarray(self.weights.std, np.float32)
            kernel = kernel * gain.astype(np.float32)[:, None]
        number = torch.bfloat16 if self.expert else torch.float32
        oihw = torch.tensor(kernel).permute(3, 2, 0, 1).to(self.device, number)
        return oihw.contiguous(memory_format=self.layout), torch.tensor(layer.bias).to(oihw)

    def pixels(self, picture: np.ndarray) -> Tensor:
        """A picture as the network sees it, 1 x 3 x height x width."""
        ordered = picture if self.weights.channel_order == "RGB" else picture[..., ::-1]
        seen = WHITE * (ordered - np.asarray(self.weights.mean) / self.weights.scale)
        nhwc = torch.tensor(seen, dtype=torch.float32, device=self.device)[None]
        return nhwc.permute(0, 3, 1, 2).contiguous()  # L-BFGS takes no other layout

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """Maps after the ReLU of every convolution."""
        found, image = {}, image.contiguous(memory_format=self.layout)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.expert):
            for name in self.names:
                if name.endswith("_1") and found:
                    image = functional.max_pool2d(image, 2)
                kernel, bias = getattr(self, f"{name}_kernel"), getattr(self, f"{name}_bias")
                image = functional.conv2d(image, kernel, bias, padding=1)
                found[name] = image = functional.relu(image, inplace=True)
        return found

    def forward(self, image: Tensor) -> Tensor:
        """The loss of images as the network sees them, batch x 3 x height x width."""
        maps = self.features(image)
        content = mean_square(maps[CONTENT].float(), self.content)
        style = sum(mean_square(gram(maps[name]), self.grams[name]) for name in STYLE)
        return content + STYLE_WEIGHT * style


def gram(maps: Tensor) -> Tensor:
    """Gram matrices divided by the number of features: the product in the maps' own precision."""
    flat = maps.flatten(2)
    return torch.bmm(flat, flat.mT).float() / maps[0].numel()


def mean_square(a: Tensor, target: Tensor) -> Tensor:
    """Mean over the entries of each image, summed over images."""
    return len(a) * functional.mse_loss(a, target.expand_as(a))


class Peer:
    """An image, its objective and its optimizer.

    Without ``expert`` it is the way of neural-style-pt: eager, Adam or L-BFGS with a history of 100
    and no line search, cuDNN choosing its fastest kernels. With it, what else PyTorch has: see
    ``Objective``, and fused Adam.

    Args:
      start: height x width x 3, the image to begin with; ``batch`` times the same.
      compiled: a mode of torch.compile ("" does not compile).
    """

    def __init__(
        self,
        objective: Objective,
        start: np.ndarray,
        optimizer: Optimizer,
        *,
        learning_rate: float = 1.0,
        batch: int = 1,
        compiled: str = "",
    ):
        torch.backends.cudnn.benchmark = True
        self.objective, self.compiled = objective, compiled
        self.loss = (
            torch.compile(objective, mode=compiled, dynamic=False) if compiled else objective
        )
        self.image = objective.pixels(start).repeat(batch, 1, 1, 1).requires_grad_()
        self.optimizer: torch.optim.Optimizer
        if optimizer == "adam":
            fused = objective.expert or None  # None: PyTorch's own choice
            self.optimizer = torch.optim.Adam([self.image], lr=learning_rate, fused=fused)
        else:
            self.optimizer = torch.optim.LBFGS(
                [self.image],
                lr=learning_rate,
                max_iter=1,
                history_size=100,
                tolerance_grad=-1,
                tolerance_change=-1,
            )

    def step(self) -> float:
        """Take one step; the loss before it."""
        loss: Any = self.optimizer.step(self.evaluate)
        return loss.item()

    def take(self, steps: int) -> None:
        """Take steps, one evaluation each, and wait until they are done."""
        for _ in range(steps):
            self.optimizer.step(self.evaluate)
        if self.image.is_cuda:
            torch.cuda.synchronize()

    def evaluate(self) -> Any:
        """The loss, a tensor (optimizers declare a number), its gradient left in the image."""
        if self.compiled:
            torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad()
        loss = self.loss(self.image)
        loss.backward()
        return loss


def total(objective: Objective, image: Tensor) -> float:
    """The loss of a batch, with nothing rounded that the objective does not round."""
    with full_precision(), torch.no_grad():
        return float(objective(image))


def compile_mode(device: str) -> str:
    """Of torch.compile: with CUDA graphs on a GPU, where launching takes as long as computing."""
    return "reduce-overhead" if device == "cuda" else "default"


def device() -> str:
    """Where PyTorch runs: beside jaxstyle on the same GPU, or on the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def forget() -> None:
    """Drop what was compiled, and the memory that is kept for later."""
    torch.compiler.reset()
    torch.cuda.empty_cache()


@contextmanager
def full_precision() -> Iterator[None]:
    """cuDNN rounds the operands of float32 convolutions to ten bits unless told otherwise."""
    rounded = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = rounded
